import { type ConsumerName, type ConsumerRow, consumerRows, type FormatRow } from '../../catalog/consumers.ts';
import { type TargetLimits, targetLimits } from '../../catalog/target-limits.ts';
import { describe, type Problem } from '../../fault.ts';
import { type Body, type Facts, subjectsOf } from './facts.ts';
import { concerns, type Request } from './refusal.ts';
import { refusals } from './refusals.ts';
import { consumers } from './registry.ts';
import { comment, hasComments } from './syntax/comment.ts';

export interface Made {
  /** The whole output; empty where there are problems. */
  readonly text: string;
  /** What to check, where the output has no place for it. */
  readonly checks: readonly string[];
  /** Risks, as sentences for standard error. */
  readonly warnings: readonly string[];
  readonly problems: readonly Problem[];
}

/** The configuration of a consumer, or why there is none. Pure. */
export function make(consumer: ConsumerName, format: string, facts: Facts): Made {
  const { formats, target }: ConsumerRow = consumerRows[consumer];
  const row = formats[format];
  if (row === undefined) throw new TypeError(`${consumer} has no format ${format}`);
  const limits: Partial<Record<string, TargetLimits>> = targetLimits;
  const request: Request = { consumer, format, row, limits: limits[target ?? ''] ?? {}, facts };
  const found = refusals
    .filter((refusal) => concerns(refusal, request))
    .flatMap((refusal) =>
      refusal
        .find(request)
        .map((each) => ({ severity: refusal.severity, object: `podpass render ${consumer}`, ...each })),
    );
  const of = (wanted: 'refused' | 'warning'): Problem[] =>
    found.filter(({ severity }) => severity === wanted).map(({ severity: _, ...problem }) => problem);
  const problems = of('refused');
  const warnings = of('warning').map(describe);
  if (problems.length > 0) return { text: '', checks: [], warnings, problems };
  const write = (consumers[consumer] as Readonly<Record<string, (facts: Facts) => Body>>)[format];
  if (write === undefined) throw new TypeError(`${consumer} does not write ${format}`);
  const { text, checks: own } = write(facts);
  const assumed = (facts.assumed ?? []).map(
    ({ flag, value }) => `${flag} was not given: ${value} stands in its place. Render again with yours.`,
  );
  const checks = [...assumed, ...own];
  return {
    text: header(consumer, format, row, facts, checks) + text,
    checks: hasComments(row.syntax) ? [] : checks,
    warnings,
    problems,
  };
}

function header(consumer: string, format: string, row: FormatRow, facts: Facts, checks: readonly string[]): string {
  const callers = row.callers === false ? [] : [`Callers: ${subjectsOf(facts).join(', ')}`];
  const audiences =
    row.audiences === 'none' ? [] : [`Audience: ${facts.tokens.map(({ audience }) => audience).join(', ')}`];
  const lines = [
    `Made by podpass render ${consumer} -o ${format}: ${row.about}.`,
    ...[`Issuer: ${facts.issuer}`, ...audiences, ...callers],
    ...['What to check:', ...checks.map((check) => `- ${check}`)],
  ];
  return row.syntax === 'shell' ? `#!/bin/sh\n${comment(row.syntax, lines)}set -eu\n` : comment(row.syntax, lines);
}
