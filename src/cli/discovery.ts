import { createKeyStateStore } from '../../discovery/key-state-store.ts';
import { startDiscovery } from '../../discovery/server.ts';
import type { CommandSettings } from '../catalog/commands.ts';
import { keepRequestsYoung } from '../runtime/heap.ts';
import { firstSignal, shutDown } from '../runtime/lifecycle.ts';
import { createLogger } from '../runtime/logger.ts';
import { createMetrics } from '../runtime/metrics.ts';
import { readPair } from '../runtime/tls-files.ts';
import { createCopies } from './copies.ts';
import { openIssuers } from './key-sources.ts';
import { openState } from './key-state.ts';
import type { Terminal } from './terminal.ts';
import { followPair, tlsFilesOf } from './tls.ts';

type Settings = CommandSettings<'discovery'>;

/** What a copy that is being written has to end; other replicas go on meanwhile. */
const COPY_GRACE_MS = 5_000;

export async function runDiscovery(
  settings: Settings,
  terminal: Terminal,
  _argument: string | undefined,
  all: readonly Settings[],
): Promise<number> {
  keepRequestsYoung();
  const signal = firstSignal();
  const log = createLogger(settings.logLevel, 'discovery');
  const metrics = createMetrics('discovery');
  const tls = tlsFilesOf(settings);
  const pair = tls && (await readPair(tls.cert, tls.key));
  const { issuers, close } = openIssuers(all, terminal);
  const state = openState(settings, terminal);
  const copies = await Promise.all(
    issuers.map(({ owner }, index) => createCopies(all[index] ?? settings, owner, terminal, metrics, log)),
  );
  const service = await startDiscovery({
    issuers: issuers.map((issuer, index) => ({
      ...issuer,
      ...timesOf(all[index] ?? settings),
      onChange: (documents, known) => copies[index]?.publish(documents, known),
    })),
    keyStates: state && createKeyStateStore(state.place, Date.now, log),
    clock: Date.now,
    address: settings.bindAddress,
    port: settings.port,
    metricsPort: settings.metricsPort,
    metrics,
    pair,
    log,
  });
  log.info({ address: settings.bindAddress, port: service.port, metricsPort: service.metricsPort }, 'listening');
  const files = tls && pair && followPair(tls, pair, service, metrics, log);

  const received = await signal;
  await Promise.all([
    shutDown(service, received, settings.shutdownDelay, log),
    ...copies.map((each) => each?.stop(COPY_GRACE_MS)),
  ]);
  files?.stop();
  close();
  state?.close();
  return 0;
}

function timesOf({ pollInterval, holdDown, revoke, cacheMaxAge }: Settings) {
  return {
    pollIntervalMs: pollInterval * 1000,
    holdDownMs: holdDown * 1000,
    revoked: revoke,
    cacheMaxAgeSeconds: cacheMaxAge,
  };
}
