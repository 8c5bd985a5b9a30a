import { Failure } from '../src/fault.ts';
import { sleep } from '../src/sleep.ts';
import type { KeySource } from './key-source/key-source.ts';
import type { KeyReading } from './public-key.ts';

export interface PollOptions {
  readonly source: KeySource;
  readonly intervalMs: number;
  /** Ends the polling; a reading under way is given up. */
  readonly signal: AbortSignal;
  onReading(reading: KeyReading): void;
  onFailure(error: unknown): void;
}

/** Above the cluster's own 10 s, and there for file systems that do not answer. */
const READ_TIMEOUT_MS = 15_000;
/** After a failure the wait is short at first and doubles up to the interval. */
const FIRST_RETRY_MS = 1_000;

/** Reads the source at once and then on the interval, until the signal. Resolves after the end; never rejects. */
export async function poll({ source, intervalMs, signal, onReading, onFailure }: PollOptions): Promise<void> {
  const read = oneAtATime(source, signal);
  let retryMs = FIRST_RETRY_MS;
  while (!signal.aborted) {
    let waitMs = intervalMs;
    try {
      onReading(await read());
      retryMs = FIRST_RETRY_MS;
    } catch (error) {
      if (signal.aborted) return;
      waitMs = Math.min(retryMs, intervalMs);
      retryMs *= 2;
      onFailure(error);
    }
    await sleep(waitMs, signal);
  }
}

/** Reads within the time limit. A reading that does not end holds up no other source, and is not joined by a second. */
function oneAtATime(source: KeySource, stop: AbortSignal): () => Promise<KeyReading> {
  let reading = false;
  return async () => {
    if (reading) throw new Failure('the reading before has not ended');
    reading = true;
    const limit = new AbortController();
    const giveUp = (reason: string) => limit.abort(new Failure(reason));
    const stopped = () => giveUp('stopped');
    stop.addEventListener('abort', stopped, { once: true });
    const timer = setTimeout(() => giveUp(`nothing within ${READ_TIMEOUT_MS} ms`), READ_TIMEOUT_MS);
    try {
      return await Promise.race([
        (async () => source.read(limit.signal))().finally(() => {
          reading = false;
        }),
        new Promise<never>((_, reject) => {
          limit.signal.addEventListener('abort', () => reject(limit.signal.reason), { once: true });
        }),
      ]);
    } finally {
      clearTimeout(timer);
      stop.removeEventListener('abort', stopped);
    }
  };
}
