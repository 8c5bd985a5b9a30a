import type { Admission, AdmissionSettings } from './admit.ts';
import type { Likeness } from './review-parts.ts';
import type { ServiceAccount } from './service-accounts.ts';

/** An answer that needs no thought the second time. */
export interface KnownAnswer {
  /** Of the likeness. */
  readonly key: string;
  /** Of the likeness; absent where the answer does not follow from them. */
  readonly details?: string;
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

/** The answers to Pods that were asked about before, by the likeness of their reviews. Both are texts of some KiB. */
export interface KnownAnswers {
  get(likeness: Likeness): KnownAnswer | undefined;
  put(number: number, answer: KnownAnswer): void;
}

/** Characters of keys and answers. Twice as many are held at most. */
const GENERATION = 1024 * 1024;
/** Characters of one key and its answer; most have 2,000 to 4,000. */
const MAX_LENGTH = 128 * 1024;

/** Whether an answer is worth being kept. */
export const isShort = ({ key }: Likeness, answer: string): boolean => key.length + answer.length <= MAX_LENGTH;

/**
 * The newer ones, and those that were there before: when the newer are many, they take the others' place. A list by the time
 * of use would have to be changed at every look.
 */
export function createKnownAnswers(generation: number = GENERATION): KnownAnswers {
  // By number: V8 makes none of a long text.
  let newer = new Map<number, KnownAnswer>();
  let older = new Map<number, KnownAnswer>();
  let length = 0;
  function put(number: number, answer: KnownAnswer): void {
    newer.set(number, answer);
    length += lengthOf(answer);
    if (length < generation) return;
    older = newer;
    newer = new Map();
    length = 0;
  }
  return {
    get(likeness) {
      const { number } = likeness;
      const found = newer.get(number);
      if (found !== undefined) return isOf(found, likeness) ? found : undefined;
      const answer = older.get(number);
      if (answer === undefined || !isOf(answer, likeness)) return undefined;
      put(number, answer);
      return answer;
    },
    put,
  };
}

const lengthOf = ({ key, details = '', head, tail }: KnownAnswer) =>
  key.length + details.length + head.length + tail.length;

const isOf = ({ key, details }: KnownAnswer, likeness: Likeness) =>
  key === likeness.key && (details === undefined || details === likeness.details());
