import type { FindingCode } from '../../catalog/findings.ts';
import type { Target } from '../../catalog/targets.ts';
import type { Observation } from './observation.ts';

export type Severity = 'error' | 'warning' | 'info';

/** Something that a rule saw, and where. */
export interface Sighting {
  readonly subject: string;
  readonly seen: string;
}

export interface Rule {
  readonly code: FindingCode;
  /** `error` breaks, `warning` is a risk. Of a rule for targets it counts where one of them is asked for. */
  readonly severity: Severity;
  /** Whose rule it is; absent where it is everybody's. */
  readonly targets?: readonly Target[];
  /** With targets: it concerns all others too, one step less severe. */
  readonly others?: true;
  find(observation: Observation): readonly Sighting[];
  readonly why: string;
  /** What to do, as an order. */
  readonly next: string;
}

/** One thing that was found: the form of `-o json`. */
export interface Finding {
  readonly code: FindingCode;
  readonly severity: Severity;
  readonly subject: string;
  readonly seen: string;
  readonly why: string;
  readonly next: string;
}

const ORDER: readonly Severity[] = ['error', 'warning', 'info'];
const LESS: Readonly<Record<Severity, Severity>> = { error: 'warning', warning: 'info', info: 'info' };

/**
 * Everything that the rules find, errors first. Without targets the rules of all of them count, one step less severe, as
 * nobody has said that they matter; with targets the rules of the others are left out.
 */
export function judge(
  observation: Observation,
  targets: readonly Target[],
  rules: readonly Rule[],
): readonly Finding[] {
  const found = rules.flatMap((rule) => {
    const severity = severityOf(rule, targets);
    if (severity === undefined) return [];
    const { code, next } = rule;
    const whom = rule.targets?.filter((target) => targets.length === 0 || targets.includes(target)) ?? [];
    const why = whom.length === 0 ? capital(rule.why) : `For ${whom.join(', ')}: ${rule.why}`;
    return rule
      .find(observation)
      .map(({ subject, seen }) => ({ code, severity, subject: clean(subject), seen: clean(seen), why, next }));
  });
  return ORDER.flatMap((severity) => found.filter((finding) => finding.severity === severity));
}

/** Foreign text for a terminal: what does not print, or turns the direction of writing, is escaped. */
const clean = (text: string) =>
  text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (c) => `\\u${(c.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}`);

const capital = (sentence: string) => sentence.charAt(0).toUpperCase() + sentence.slice(1);

function severityOf(rule: Rule, targets: readonly Target[]): Severity | undefined {
  if (rule.targets === undefined) return rule.severity;
  if (rule.targets.some((target) => targets.includes(target))) return rule.severity;
  return targets.length === 0 || rule.others ? LESS[rule.severity] : undefined;
}
