import { setTimeout } from 'node:timers/promises';

export interface Clock {
  /** Milliseconds; only differences count. */
  now(): number;
  /** Ends early, or rejects, when the signal aborts. */
  sleep(ms: number, signal: AbortSignal): Promise<unknown>;
}

/** Time that no one can set back, as the system has it. */
export const systemClock: Clock = {
  now: () => performance.now(),
  sleep: (ms, signal) => setTimeout(ms, undefined, { signal }),
};
