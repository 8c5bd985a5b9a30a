import { WITHOUT_TOKENS } from '../cluster/blame.ts';
import type { Creation } from '../node/load.ts';
import { UNPROTECTED } from './kinds.ts';

/** What came of the creations within some time. */
export interface Count {
  /** With their tokens. */
  readonly created: number;
  /** By what was said: the API server could not ask podpass, or refused the Pod for it. */
  readonly failedByPodpass: Readonly<Record<string, number>>;
  /** Pods that must have tokens and came without. */
  readonly withoutTokens: number;
  /** By what was said: the API server gave another answer, or none. */
  readonly failedByOthers: Readonly<Record<string, number>>;
  /** Pods of which only the ServiceAccount asks, and that came without: they have one try. */
  readonly unprotectedWithout: number;
  /** Of those that went well, in milliseconds. */
  readonly medianMs: number;
  readonly longestMs: number;
}

/** Counts creations as they end. */
export class Tally {
  #creations: Creation[] = [];
  readonly #lastGood = new Map<string, number>();

  readonly note = (creation: Creation): void => {
    this.#creations.push(creation);
    if (!creation.blame) {
      this.#lastGood.set(creation.kind, Math.max(creation.began, this.#lastGood.get(creation.kind) ?? 0));
    }
  };

  /** Whether of each of these kinds one was begun after `since`, and went well. */
  goodSince(since: number, kinds: readonly string[]): boolean {
    return kinds.every((kind) => (this.#lastGood.get(kind) ?? Number.NEGATIVE_INFINITY) >= since);
  }

  /** What has ended since the last call. */
  take(): Count {
    const all = this.#creations;
    this.#creations = [];
    const times = all.filter(({ blame }) => !blame).map(({ ms }) => ms);
    times.sort((a, b) => a - b);
    const without = all.filter(({ blame }) => blame?.reason === WITHOUT_TOKENS);
    const failed = all.filter(({ blame }) => blame && blame.reason !== WITHOUT_TOKENS);
    const reasons = (on: 'podpass' | 'others') =>
      counted(failed.flatMap(({ blame }) => (blame?.on === on ? [blame.reason] : [])));
    return {
      created: times.length,
      failedByPodpass: reasons('podpass'),
      withoutTokens: without.filter(({ kind }) => kind !== UNPROTECTED).length,
      failedByOthers: reasons('others'),
      unprotectedWithout: without.filter(({ kind }) => kind === UNPROTECTED).length,
      medianMs: Math.round(times[times.length >> 1] ?? 0),
      longestMs: Math.round(times.at(-1) ?? 0),
    };
  }
}

export function counted(reasons: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const reason of reasons) counts[reason] = (counts[reason] ?? 0) + 1;
  return counts;
}

export const sum = (counts: Readonly<Record<string, number>>): number =>
  Object.values(counts).reduce((total, count) => total + count, 0);
