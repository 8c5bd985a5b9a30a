import type { Fault } from './fault.ts';
import { apiServer } from './faults/api-server.ts';
import { bodies } from './faults/bodies.ts';
import { certificateFiles } from './faults/certificate-files.ts';
import { certificates } from './faults/certificates.ts';
import { certificatesBad } from './faults/certificates-bad.ts';
import { clock } from './faults/clock.ts';
import { connections } from './faults/connections.ts';
import { etcd } from './faults/etcd.ts';
import { keepAlive } from './faults/keep-alive.ts';
import { kill } from './faults/kill.ts';
import { nothing } from './faults/nothing.ts';
import { sigterm } from './faults/sigterm.ts';
import { slowSockets } from './faults/slow-sockets.ts';
import { stateFull } from './faults/state-full.ts';
import { stopped } from './faults/stopped.ts';
import { watchGone } from './faults/watch-gone.ts';
import { watchHalfOpen } from './faults/watch-half-open.ts';
import { watchReset } from './faults/watch-reset.ts';

/** In the order in which they are done. */
export const faults: readonly Fault[] = [
  nothing,
  apiServer,
  etcd,
  watchReset,
  watchHalfOpen,
  watchGone,
  certificates,
  certificateFiles,
  certificatesBad,
  sigterm,
  kill,
  stopped,
  clock,
  stateFull,
  slowSockets,
  connections,
  bodies,
  keepAlive,
];
