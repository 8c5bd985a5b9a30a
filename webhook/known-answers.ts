import type { Admission, AdmissionSettings } from './admit.ts';
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

/** The templates of which Pods came not long ago, so that nothing is kept of one that comes once. */
export interface RecentTemplates {
  /** Whether it was among them; from now on it is. */
  note(template: number): boolean;
}

/** A template of another one's place drives that out. */
const PLACES = 1024;

export function createRecentTemplates(): RecentTemplates {
  const numbers = new Uint32Array(PLACES);
  return {
    note(template) {
      const place = template % PLACES;
      const isKnown = numbers[place] === template;
      numbers[place] = template;
      return isKnown;
    },
  };
}

/** The answers to Pods that were asked about before, by the likeness of their reviews. Both are texts of some KiB. */
export interface KnownAnswers {
  get(key: string): KnownAnswer | undefined;
  put(key: string, answer: KnownAnswer): void;
}

/** Twice as many are held at most, of 16 KiB and an answer each. */
const GENERATION = 64;
/** Characters; who asks for more has few Pods that are alike. */
const MAX_ANSWER = 16_384;

/**
 * The newer ones, and those that were there before: when the newer are many, they take the others' place. A list by the time
 * of use would have to be changed at every look.
 */
export function createKnownAnswers(generation: number = GENERATION): KnownAnswers {
  let newer = new Map<string, KnownAnswer>();
  let older = new Map<string, KnownAnswer>();
  function put(key: string, answer: KnownAnswer): void {
    if (answer.head.length + answer.tail.length > MAX_ANSWER) return;
    newer.set(key, answer);
    if (newer.size < generation) return;
    older = newer;
    newer = new Map();
  }
  return {
    get(key) {
      const answer = newer.get(key) ?? older.get(key);
      if (answer !== undefined && !newer.has(key)) put(key, answer);
      return answer;
    },
    put,
  };
}
