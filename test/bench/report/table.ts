/** The result as tables for people. */
import { nameOf, type Ratio, type Result } from '../result.ts';
import { type Baseline, isLoss } from './baseline.ts';

export function tables({ ratios, figures, notes }: Result, baseline: Baseline | undefined): string {
  const parts = [...new Set([...ratios, ...figures].map(({ part }) => part))];
  const texts = parts.map((part) => {
    const ofPart = ratios.filter((each) => each.part === part);
    const own = figures.filter((each) => each.part === part);
    return [
      `${part}: ratios, over 1 where podpass is the better one; median (quartiles)`,
      columns(ratioRows(ofPart, baseline)),
      ...(own.length === 0 ? [] : ['medians on this machine', columns(figureRows(own))]),
    ].join('\n');
  });
  const losses = ratios.filter((each) => lost(each, baseline)).map((each) => `LOSS: ${nameOf(each)}`);
  return [...texts, [...losses, ...notes.map((each) => `note: ${each}`)].join('\n')].filter(Boolean).join('\n\n');
}

export function lost(ratio: Ratio, baseline: Baseline | undefined): boolean {
  const before = baseline?.ratios[nameOf(ratio)];
  return ratio.kept && before !== undefined && isLoss(ratio, before);
}

function ratioRows(ratios: readonly Ratio[], baseline: Baseline | undefined): string[][] {
  const measures = [...new Set(ratios.map(({ measure }) => measure))];
  const rows = new Map<string, Ratio[]>();
  for (const each of ratios) {
    const key = `${each.case}\0${each.against}`;
    rows.set(key, [...(rows.get(key) ?? []), each]);
  }
  return [
    ['case', 'against', ...measures, 'baseline', 'goal'],
    ...[...rows.values()].map((row) => {
      const [{ case: of = '', against = '' } = {}] = row;
      const cell = (measure: string) => {
        const found = row.find((each) => each.measure === measure);
        return found ? `${found.median.toFixed(2)} (${found.low.toFixed(2)}-${found.high.toFixed(2)})` : '';
      };
      return [of, against, ...measures.map(cell), row.map((each) => change(each, baseline)).join(''), goalOf(row)];
    }),
  ];
}

function change(ratio: Ratio, baseline: Baseline | undefined): string {
  const before = baseline?.ratios[nameOf(ratio)];
  if (!ratio.kept || before === undefined) return '';
  return `${before.median.toFixed(2)} ${isLoss(ratio, before) ? 'LOSS' : isLoss(before, ratio) ? 'gain' : '='}`;
}

/** Of one floor all goals are the same: which measures miss it. */
function goalOf(row: readonly Ratio[]): string {
  const goals = row.flatMap(({ goal, measure, median }) => (goal === undefined ? [] : [{ goal, measure, median }]));
  const [first] = goals;
  if (first === undefined) return '';
  const missed = goals.filter(({ goal, median }) => median < goal).map(({ measure }) => measure);
  return `${first.goal.toFixed(1)} ${missed.length === 0 ? 'met' : `MISSED: ${missed.join(', ')}`}`;
}

function figureRows(figures: Result['figures']): string[][] {
  const names = [...new Set(figures.flatMap(({ values }) => Object.keys(values)))];
  return [
    ['case', 'candidate', ...names],
    ...figures.map(({ case: of, candidate, values }) => [of, candidate, ...names.map((name) => number(values[name]))]),
  ];
}

function number(value: number | undefined): string {
  if (value === undefined || Number.isNaN(value)) return '';
  return value >= 100 ? String(Math.round(value)) : value.toPrecision(3);
}

/** Texts to the left, and a number's column as wide as it must be. */
function columns(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0)));
  return rows.map((row) => `  ${row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join('  ')}`.trimEnd()).join('\n');
}
