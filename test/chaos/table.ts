import type { NotRun } from './run-chaos.ts';
import type { Result } from './run-fault.ts';
import { sum } from './tally.ts';

const HEAD = [
  'fault',
  'lasted',
  'created',
  'failed by podpass',
  'without tokens',
  'API server away',
  'one try: without',
  'median',
  'longest',
  'recovery',
];

/** The beginning tells who said it, and what. */
const LONGEST = 240;

/** For people, and as Markdown has it. */
export function table(results: readonly (Result | NotRun)[]): string {
  const rows = [HEAD, ...results.map(rowOf)];
  const widths = HEAD.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, column) => (column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0))).join(' | ')} |`;
  const rule = `| ${widths.map((width, column) => (column === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`)).join(' | ')} |`;
  return [line(rows[0] ?? []), rule, ...rows.slice(1).map(line)].join('\n');
}

function rowOf(result: Result | NotRun): string[] {
  if ('notRun' in result) return [result.name, 'not run', ...HEAD.slice(2).map(() => '')];
  const { name, seconds, created, ours, withoutTokens, failedByOthers, unprotectedWithout, medianMs, longestMs } =
    result;
  const blamed = sum(ours) - withoutTokens;
  // What others failed counts among ours where nothing was done to the API server.
  const others = sum(failedByOthers);
  const away = Object.keys(failedByOthers).some((reason) => reason in ours) ? 0 : others;
  return [
    name,
    `${seconds} s`,
    String(created),
    String(blamed),
    String(withoutTokens),
    String(away),
    String(unprotectedWithout),
    `${medianMs} ms`,
    `${longestMs} ms`,
    result.recoverySeconds === undefined ? 'never' : `${result.recoverySeconds} s`,
  ];
}

/** What there is to say beside the figures, a line each. */
export function remarks(results: readonly (Result | NotRun)[]): string[] {
  return results.flatMap((result) => {
    if ('notRun' in result) return [`${result.name}: NOT RUN: ${result.notRun}`];
    const list = (counts: Readonly<Record<string, number>>, by: string) =>
      Object.entries(counts).map(
        ([reason, count]) => `${result.name}: ${count} failed ${by}: ${reason.slice(0, LONGEST)}`,
      );
    const others = Object.fromEntries(
      Object.entries(result.failedByOthers).filter(([reason]) => !(reason in result.ours)),
    );
    return [
      ...(result.broken === undefined ? [] : [`${result.name}: BROKEN: ${result.broken}`]),
      ...list(result.ours, 'by podpass'),
      ...list(others, 'as the API server was away'),
      ...result.notes.map((note) => `${result.name}: ${note}`),
    ];
  });
}
