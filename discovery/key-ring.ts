import { mergeKeys } from './merge-keys.ts';
import { type KeyReading, type PublicKey, type RefusedKey, sameMaterial } from './public-key.ts';

export type KeyEventKind =
  /** A key is new, or back after it vanished. */
  | 'published'
  /** It vanished from its source and stays for the hold-down. */
  | 'held'
  /** The hold-down is over. */
  | 'dropped'
  /** Its kid has another key now. */
  | 'replaced'
  /** A source gives another key for a kid that a later source decides. */
  | 'overruled'
  /** A source gives it, and it is not published because it was revoked. */
  | 'revoked';

export interface KeyEvent {
  readonly kind: KeyEventKind;
  readonly kid: string;
  readonly source: string;
}

export interface KeyRingState {
  /** How many keys are in each state; `refused` counts those of the last readings. */
  readonly keys: { readonly published: number; readonly held: number; readonly refused: number };
  readonly sources: readonly {
    readonly name: string;
    /** Epoch seconds of the last reading that did not fail; absent before the first. */
    readonly lastSuccess?: number;
    readonly failing: boolean;
  }[];
}

/** What is known of one key, of those that are not published any more for a month. Times are epoch milliseconds. */
export interface KeyRecord {
  readonly key: PublicKey;
  /** The source that gave it last. */
  readonly source: string;
  readonly firstSeenMs: number;
  readonly lastSeenMs: number;
  /** It vanished from its source: until when it is, or was, published all the same. */
  readonly heldUntilMs?: number;
}

/**
 * Until when a key that vanished has to stay in copies of the documents; nothing for one that did not. Another replica
 * may have seen it after it was held here.
 */
export function heldUntil({ heldUntilMs, lastSeenMs }: KeyRecord, holdDownMs: number): number | undefined {
  return heldUntilMs === undefined ? undefined : Math.max(heldUntilMs, lastSeenMs + holdDownMs);
}

/** How long a record is kept after its key was seen last. */
export const RECORD_MS = 30 * 24 * 3_600_000;
/** What was in its source that short before the start counts as published until the source has spoken. */
const RESTORED_MS = 24 * 3_600_000;

export interface KeyRingOptions {
  /** Unique names. Where two sources give different keys for one kid, the later one decides, on every replica alike. */
  readonly sources: readonly string[];
  readonly holdDownMs: number;
  /** The kids that are never published. */
  readonly revoked: Iterable<string>;
  /** Epoch milliseconds. */
  readonly clock: () => number;
}

interface SourceState {
  readonly name: string;
  keys: ReadonlyMap<string, PublicKey>;
  conflicts: readonly string[];
  refused: readonly RefusedKey[];
  failing: boolean;
  lastSuccessMs?: number;
}

interface HeldKey {
  readonly key: PublicKey;
  readonly source: SourceState;
  readonly untilMs: number;
}

/**
 * Which keys are published: the union of what the sources gave last, and for a while what vanished from it, because
 * replicas of an API server give different keys while one after the other is restarted.
 */
export class KeyRing {
  readonly #sources: readonly SourceState[];
  readonly #held = new Map<string, HeldKey>();
  readonly #records = new Map<string, KeyRecord>();
  readonly #revoked: ReadonlySet<string>;
  readonly #holdDownMs: number;
  readonly #clock: () => number;

  constructor({ sources, holdDownMs, revoked, clock }: KeyRingOptions) {
    if (new Set(sources).size < sources.length) throw new TypeError('two key sources have one name');
    this.#sources = sources.map((name) => ({ name, keys: new Map(), conflicts: [], refused: [], failing: false }));
    this.#revoked = new Set(revoked);
    this.#holdDownMs = holdDownMs;
    this.#clock = clock;
  }

  /**
   * What was known at the end of a process before, to be called first. Hold-downs go on as they were. A key that was not
   * held is held as if it had vanished now: nobody can tell since when its source does not have it. Returns how many keys
   * are published because of it.
   */
  restore(records: readonly KeyRecord[]): number {
    const now = this.#clock();
    for (const record of records) {
      const { key, source: name, lastSeenMs, heldUntilMs } = record;
      if (lastSeenMs > now || lastSeenMs + RECORD_MS < now) continue;
      this.#records.set(key.kid, record);
      const source = this.#sources.find((each) => each.name === name);
      const untilMs = heldUntilMs ?? (lastSeenMs + RESTORED_MS > now ? now + this.#holdDownMs : 0);
      if (source === undefined || untilMs <= now || this.#revoked.has(key.kid)) continue;
      // A hold-down that was made shorter since then counts as it is now.
      this.#held.set(key.kid, { key, source, untilMs: Math.min(untilMs, now + this.#holdDownMs) });
    }
    return this.#held.size;
  }

  /** All that is known, sorted by kid; for `restore`. */
  records(): KeyRecord[] {
    const now = this.#clock();
    for (const [kid, { lastSeenMs }] of this.#records) {
      if (lastSeenMs + RECORD_MS < now && !this.#held.has(kid)) this.#records.delete(kid);
    }
    return [...this.#records.values()].sort((a, b) => (a.key.kid < b.key.kid ? -1 : 1));
  }

  /** A reading that did not fail: what it does not have has vanished. */
  succeeded(name: string, reading: KeyReading): KeyEvent[] {
    const source = this.#source(name);
    source.failing = false;
    source.lastSuccessMs = this.#clock();
    source.refused = reading.refused;
    return this.#update(source, reading.keys);
  }

  /** A reading that failed: nothing is taken away, what it gave nevertheless is added. Its held keys stay, too. */
  failed(name: string, partial?: KeyReading): KeyEvent[] {
    const source = this.#source(name);
    source.failing = true;
    if (partial === undefined) return [];
    source.refused = partial.refused;
    const given = mergeKeys(partial.keys).keys;
    const others = [...source.keys.values()].filter(({ kid }) => !given.has(kid));
    return partial.keys.length === 0 ? [] : this.#update(source, [...others, ...partial.keys]);
  }

  /** Drops the keys whose hold-down is over. A source that fails now cannot say that they are still gone. */
  expire(): KeyEvent[] {
    const over = [...this.#held].filter(([, { source, untilMs }]) => !source.failing && untilMs <= this.#clock());
    for (const [kid] of over) this.#held.delete(kid);
    return over.map(([kid, { source }]) => ({ kind: 'dropped', kid, source: source.name }));
  }

  /** Epoch milliseconds of the next moment at which `expire` has something to do. */
  nextExpiry(): number | undefined {
    const moments = [...this.#held.values()].filter(({ source }) => !source.failing).map(({ untilMs }) => untilMs);
    return moments.length === 0 ? undefined : Math.min(...moments);
  }

  /** The keys to publish, each kid once. */
  keys(): PublicKey[] {
    return [...this.#published().values(), ...[...this.#held.values()].map(({ key }) => key)];
  }

  state(): KeyRingState {
    return {
      keys: {
        published: this.#published().size,
        held: this.#held.size,
        refused: this.#sources.reduce((sum, { refused }) => sum + refused.length, 0),
      },
      sources: this.#sources.map(({ name, failing, lastSuccessMs }) => ({
        name,
        failing,
        ...(lastSuccessMs === undefined ? {} : { lastSuccess: lastSuccessMs / 1000 }),
      })),
    };
  }

  #update(source: SourceState, given: readonly PublicKey[]): KeyEvent[] {
    const events: KeyEvent[] = [];
    const tell = (kind: KeyEventKind, kid: string) => events.push({ kind, kid, source: source.name });
    const { keys: before, conflicts: knownConflicts } = source;
    const publishedBefore = this.#published();
    const { keys, conflicts } = mergeKeys(given);
    source.keys = keys;
    source.conflicts = conflicts;
    const published = this.#published();
    this.#see(source, given);

    for (const [kid, key] of keys) {
      const last = before.get(kid);
      const isNews = last === undefined || !sameMaterial(last, key);
      const now = published.get(kid);
      if (now === undefined) {
        if (isNews) tell('revoked', kid);
      } else if (isNews && !sameMaterial(now, key)) tell('overruled', kid);
    }
    for (const [kid, key] of published) {
      const last = publishedBefore.get(kid) ?? this.#held.get(kid)?.key;
      if (last !== undefined && !sameMaterial(last, key)) tell('replaced', kid);
      else if (conflicts.includes(kid) && !knownConflicts.includes(kid)) tell('replaced', kid);
      if (!publishedBefore.has(kid)) tell('published', kid);
      this.#held.delete(kid);
    }
    for (const [kid, key] of publishedBefore) {
      if (published.has(kid)) continue;
      const heldUntilMs = this.#clock() + this.#holdDownMs;
      this.#held.set(kid, { key, source, untilMs: heldUntilMs });
      const record = this.#records.get(kid);
      if (record !== undefined) this.#records.set(kid, { ...record, heldUntilMs });
      tell('held', kid);
    }
    return [...events, ...this.expire()];
  }

  /** Notes when each key was seen first and last; another key with a known kid is a new one. */
  #see(source: SourceState, given: readonly PublicKey[]): void {
    const now = this.#clock();
    const { keys } = mergeKeys(given);
    for (const key of keys.values()) {
      const before = this.#records.get(key.kid);
      const firstSeenMs = before !== undefined && sameMaterial(before.key, key) ? before.firstSeenMs : now;
      this.#records.set(key.kid, { key, source: source.name, firstSeenMs, lastSeenMs: now });
    }
    for (const [kid, { source: held, untilMs }] of this.#held) {
      const record = this.#records.get(kid);
      if (held === source && !keys.has(kid) && record !== undefined) {
        this.#records.set(kid, { ...record, heldUntilMs: untilMs });
      }
    }
  }

  /** What the sources give, without what was revoked and without what is held. */
  #published(): Map<string, PublicKey> {
    const union = new Map<string, PublicKey>();
    for (const { keys } of this.#sources) {
      for (const [kid, key] of keys) if (!this.#revoked.has(kid)) union.set(kid, key);
    }
    return union;
  }

  #source(name: string): SourceState {
    const source = this.#sources.find((each) => each.name === name);
    if (source === undefined) throw new TypeError(`no key source ${name}`);
    return source;
  }
}
