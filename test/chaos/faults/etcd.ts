import { setTimeout as sleep } from 'node:timers/promises';
import type { Fault } from '../fault.ts';

export const etcd: Fault = {
  name: 'etcd',
  does: 'etcd is killed (SIGKILL), stays away, and is started again with what it had',
  expected: 'the API server cannot create meanwhile; both halves stay ready and answer from memory',
  seconds: 10,
  takesApiServerAway: true,
  async run({ scene, ms, recovery }) {
    await scene.cluster.killEtcd();
    await sleep(ms);
    for (const { name, podpass } of scene.halves) {
      if (!(await podpass.ready())) throw new Error(`half ${name} is not ready while etcd is away`);
    }
    await scene.cluster.startEtcd();
    await recovery();
  },
};
