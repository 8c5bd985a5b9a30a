import type { PublicKey } from '../public-key.ts';

export interface KeptKeysOptions {
  readonly holdDownMs: number;
  readonly revoked: ReadonlySet<string>;
  /** Epoch milliseconds. */
  readonly clock: () => number;
}

export interface Kept {
  /** Published keys that we do not have, and that stay for now. */
  readonly keys: readonly PublicKey[];
  /** Those that are kept for the first time. */
  readonly news: readonly string[];
  /** Epoch milliseconds at which the next of them may go. */
  readonly nextExpiry: number | undefined;
}

/**
 * Which keys of one target stay although we do not publish them: another replica may have them from an API server that
 * we have not asked, or we did before a restart. They go after the hold-down. What we published ourselves has already
 * been held by the key ring, and goes at once.
 */
export class KeptKeys {
  readonly #options: KeptKeysOptions;
  readonly #since = new Map<string, number>();
  #ours: ReadonlySet<string> = new Set();

  constructor(options: KeptKeysOptions) {
    this.#options = options;
  }

  keep(own: readonly PublicKey[], published: readonly PublicKey[]): Kept {
    const { holdDownMs, revoked, clock } = this.#options;
    const now = clock();
    const have = new Set(own.map(({ kid }) => kid));
    const keys: PublicKey[] = [];
    const news: string[] = [];
    const expiries: number[] = [];
    for (const key of published) {
      const { kid } = key;
      if (have.has(kid) || revoked.has(kid) || this.#ours.has(kid) || holdDownMs === 0) continue;
      const since = this.#since.get(kid);
      if (since === undefined) {
        this.#since.set(kid, now);
        news.push(kid);
      }
      const expiry = (since ?? now) + holdDownMs;
      if (expiry <= now) continue;
      keys.push(key);
      expiries.push(expiry);
    }
    return { keys, news, nextExpiry: expiries.length === 0 ? undefined : Math.min(...expiries) };
  }

  /** The target has these of ours, and those that were kept: one that appears again is kept anew. */
  published(own: readonly PublicKey[], kept: readonly PublicKey[]): void {
    this.#ours = new Set(own.map(({ kid }) => kid));
    const still = new Set(kept.map(({ kid }) => kid));
    for (const kid of this.#since.keys()) if (!still.has(kid)) this.#since.delete(kid);
  }
}
