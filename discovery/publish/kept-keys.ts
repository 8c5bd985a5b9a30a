import { heldUntil, type KeyRecord } from '../key-ring.ts';
import { type PublicKey, sameMaterial } from '../public-key.ts';

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
 * been held by the key ring, and goes at once. What a process before us has held goes on with that hold-down, as far as
 * the key state knows of it; one that appears again later is held anew.
 */
export class KeptKeys {
  readonly #options: KeptKeysOptions;
  readonly #until = new Map<string, number>();
  #ours: ReadonlySet<string> | undefined;

  constructor(options: KeptKeysOptions) {
    this.#options = options;
  }

  keep(own: readonly PublicKey[], published: readonly PublicKey[], known: readonly KeyRecord[] = []): Kept {
    const { holdDownMs, revoked, clock } = this.#options;
    const now = clock();
    const have = new Set(own.map(({ kid }) => kid));
    const keys: PublicKey[] = [];
    const news: string[] = [];
    const expiries: number[] = [];
    for (const key of published) {
      const { kid } = key;
      if (have.has(kid) || revoked.has(kid) || this.#ours?.has(kid) || holdDownMs === 0) continue;
      const before = this.#until.get(kid);
      const expiry = before ?? Math.min(this.#remembered(key, known) ?? Number.POSITIVE_INFINITY, now + holdDownMs);
      this.#until.set(kid, expiry);
      if (expiry <= now) continue;
      if (before === undefined) news.push(kid);
      keys.push(key);
      expiries.push(expiry);
    }
    return { keys, news, nextExpiry: expiries.length === 0 ? undefined : Math.min(...expiries) };
  }

  /** The target has these of ours, and those that were kept: one that appears again is kept anew. */
  published(own: readonly PublicKey[], kept: readonly PublicKey[]): void {
    this.#ours = new Set(own.map(({ kid }) => kid));
    const still = new Set(kept.map(({ kid }) => kid));
    for (const kid of this.#until.keys()) if (!still.has(kid)) this.#until.delete(kid);
  }

  #remembered(key: PublicKey, known: readonly KeyRecord[]): number | undefined {
    if (this.#ours !== undefined) return undefined;
    const record = known.find((each) => each.key.kid === key.kid && sameMaterial(each.key, key));
    return record && heldUntil(record, this.#options.holdDownMs);
  }
}
