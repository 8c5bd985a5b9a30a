import type { ConsumerName, FormatRow } from '../../catalog/consumers.ts';
import type { TargetLimits } from '../../catalog/target-limits.ts';
import type { Problem } from '../../fault.ts';
import type { Facts } from './facts.ts';

/** What is asked for. */
export interface Request {
  readonly consumer: ConsumerName;
  readonly format: string;
  readonly row: FormatRow;
  /** Of the consumer, as `podpass doctor` knows them. */
  readonly limits: TargetLimits;
  readonly facts: Facts;
}

/** What a rule finds: the setting, its value, what is wrong with it and why, what would do. */
export type Found = Omit<Problem, 'object'>;

/** A combination that is known to fail, or that is a risk. */
export interface Refusal {
  /** Absent where it is everybody's. */
  readonly of?: readonly (ConsumerName | `${ConsumerName}/${string}`)[];
  /** How it is known: a file of the consumer's source, its documentation, an issue, `measured`. */
  readonly source: string;
  /** `warning` where it may be meant, or where it cannot be seen from here. */
  readonly severity: 'refused' | 'warning';
  find(request: Request): readonly Found[];
}

/** Whether a rule is about what is asked for. */
export function concerns({ of }: Refusal, { consumer, format }: Request): boolean {
  return of === undefined || of.includes(consumer) || of.includes(`${consumer}/${format}`);
}

/** A sentence within another one. */
export function clause(sentence: string): string {
  return sentence.replace(/\.$/, '');
}
