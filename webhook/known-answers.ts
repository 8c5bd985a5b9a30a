import type { Admission, AdmissionSettings } from './admit.ts';
import type { Likeness } from './review-parts.ts';
import type { ServiceAccount } from './service-accounts.ts';

/** An answer that needs no thought the second time. */
export interface KnownAnswer {
  /** The text of the answer, before and after the uid. */
  readonly head: string;
  readonly tail: string;
  /** The same for the log and the metrics. */
  readonly namespace: string;
  readonly result: Admission['result'];
  readonly reason: string;
  /** What it went by. It holds as long as these are the same objects. */
  readonly serviceAccount: ServiceAccount;
  readonly settings: AdmissionSettings;
}

/** The keys that came not long ago, so that nothing is kept of one that comes once. */
export interface RecentKeys {
  /** Whether a key of this number was among them; from now on it is. */
  note(number: number): boolean;
}

/** A key that takes another one's place drives that out. */
const PLACES = 1024;

export function createRecentKeys(): RecentKeys {
  const numbers = new Uint32Array(PLACES);
  return {
    note(number) {
      const place = number % PLACES;
      const isKnown = numbers[place] === number;
      numbers[place] = number;
      return isKnown;
    },
  };
}

/** There is no one answer for this key: it follows from what is apart, too. */
export const IN_DETAIL = 'in detail';

type Known = KnownAnswer | typeof IN_DETAIL;

/** The answers to Pods that were asked about before, by the likeness of their reviews. Both are texts of some KiB. */
export interface KnownAnswers {
  get(likeness: Likeness): Known | undefined;
  /** A long one is not kept. */
  put(likeness: Likeness, known: Known): void;
}

/** Characters of all that answers hold. Twice as many are held at most. */
const GENERATION = 1024 * 1024;
/** Characters of one answer and what it holds; most have 2,000 to 4,000. */
const MAX_LENGTH = 128 * 1024;
/** What an answer takes beside its texts. */
const OVERHEAD = 512;

/** Whether there is room for an answer. */
export const isShort = ({ key }: Likeness, known: Known): boolean => lengthOf(key, known) <= MAX_LENGTH;

/** The annotations count, too: those of a ServiceAccount that is gone are held by nothing else. */
function lengthOf(key: string, known: Known): number {
  let length = OVERHEAD + key.length;
  if (known === IN_DETAIL) return length;
  const { head, tail, serviceAccount } = known;
  length += head.length + tail.length;
  for (const [name, value] of Object.entries(serviceAccount.annotations)) length += name.length + value.length;
  return length;
}

interface Entry {
  readonly key: string;
  readonly known: Known;
}

/**
 * The newer ones, and those that were there before: when the newer are many, they take the others' place. A list by the time
 * of use would have to be changed at every look.
 */
export function createKnownAnswers(generation: number = GENERATION): KnownAnswers {
  // By number: V8 makes none of a long text.
  let newer = new Map<number, Entry>();
  let older = new Map<number, Entry>();
  let length = 0;
  function put(number: number, entry: Entry): void {
    newer.set(number, entry);
    length += lengthOf(entry.key, entry.known);
    if (length < generation) return;
    older = newer;
    newer = new Map();
    length = 0;
  }
  return {
    get({ number, key }) {
      const isNewer = newer.has(number);
      const entry = isNewer ? newer.get(number) : older.get(number);
      if (entry?.key !== key) return undefined;
      if (!isNewer) put(number, entry);
      return entry.known;
    },
    put(likeness, known) {
      if (isShort(likeness, known)) put(likeness.number, { key: likeness.key, known });
    },
  };
}
