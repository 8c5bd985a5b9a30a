import type { Log } from '../log.ts';
import { sleep } from '../sleep.ts';

export type Signal = 'SIGTERM' | 'SIGINT';

/**
 * The first SIGTERM or SIGINT. To be called first thing: as process 1 of a container, Node without a handler ignores
 * both. A second signal ends the process at once.
 */
export function firstSignal(): Promise<Signal> {
  return new Promise((resolve) => {
    let received = false;
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      process.on(signal, () => {
        if (received) process.exit(1);
        received = true;
        resolve(signal);
      });
    }
  });
}

/** A running service, as far as its end is concerned. */
export interface Drainable {
  /** Not ready from now on, and every answer asks the client to leave. */
  drain(): void;
  /** When the last request came in, in milliseconds of `performance.now()`. */
  readonly lastRequest: number;
  /** Closes the listeners; running requests have `graceMs` to end. */
  stop(graceMs: number): Promise<void>;
}

const QUIET_MS = 1_000;
/** Kubernetes kills after 30 s by default; what is left then is for running requests. */
const LONGEST_MS = 26_000;
const GRACE_MS = 3_000;

/**
 * Ends a service so that no request fails: endpoints are removed and connections leave while it still serves, and it
 * closes after a quiet second. A listener that closes at once breaks the requests that are on their way to it.
 */
export async function shutDown(service: Drainable, signal: Signal, delaySeconds: number, log: Log): Promise<void> {
  const started = performance.now();
  const elapsed = () => performance.now() - started;
  service.drain();
  // Ctrl-C is a person who waits.
  if (signal === 'SIGTERM') {
    log.info({ signal, delaySeconds }, 'shutting down: serving on until clients have left');
    await sleep(delaySeconds * 1000);
    while (performance.now() - service.lastRequest < QUIET_MS && elapsed() < LONGEST_MS) await sleep(100);
  }
  await service.stop(GRACE_MS);
  log.info({ signal, seconds: Math.round(elapsed()) / 1000 }, 'stopped');
}
