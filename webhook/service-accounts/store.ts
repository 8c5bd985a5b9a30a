import { type Annotations, NO_ANNOTATIONS } from './account.ts';

// A ServiceAccount with more than this under our prefixes is read live each time rather than held in memory.
const MAX_KEPT = 16 * 1024;
// So many entries are looked at in about a millisecond; requests are answered between two slices.
const SLICE = 5_000;

/** Seen in this round of listing; most have none of our annotations, and then the number is all that is kept. */
type Entry = number | { round: number; readonly annotations: Annotations };

/** What is known of ServiceAccounts. */
export interface Store {
  readonly size: number;
  /** Undefined for one that is not known. */
  get(namespace: string, name: string): Annotations | undefined;
  put(namespace: string, name: string, annotations: Annotations): void;
  delete(namespace: string, name: string): void;
  /** A new list begins; what is there stays until the list is complete. */
  beginRound(): void;
  /** Removes what was not put since, in slices, `pause` between two of them. */
  sweep(pause: () => Promise<unknown>): Promise<void>;
}

/** One map for ever: a second one, for the next list, would double the memory just when a list needs some itself. */
export function createStore(): Store {
  const entries = new Map<string, Entry>();
  let round = 0;
  const keyOf = (namespace: string, name: string) => `${namespace}/${name}`;
  return {
    get size() {
      return entries.size;
    },
    get(namespace, name) {
      const entry = entries.get(keyOf(namespace, name));
      return typeof entry === 'number' ? NO_ANNOTATIONS : entry?.annotations;
    },
    put(namespace, name, annotations) {
      // One that is put together with + would keep its two parts beside itself.
      const key = [namespace, name].join('/');
      const none = annotations === NO_ANNOTATIONS;
      if (!none && JSON.stringify(annotations).length > MAX_KEPT) entries.delete(key);
      else entries.set(key, none ? round : { round, annotations });
    },
    delete(namespace, name) {
      entries.delete(keyOf(namespace, name));
    },
    beginRound() {
      round += 1;
    },
    async sweep(pause) {
      let looked = 0;
      for (const [key, entry] of entries) {
        if ((typeof entry === 'number' ? entry : entry.round) !== round) entries.delete(key);
        looked += 1;
        if (looked % SLICE === 0) await pause();
      }
    },
  };
}
