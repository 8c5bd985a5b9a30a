import type { Result } from '../result.ts';

/** The README's table: processor time against the floors. */
export function markdown({ ratios }: Result): string {
  const rows = ratios
    .filter(({ kept }) => kept)
    .map(({ part, case: of, against, measure, median, low, high, goal }) => {
      const spread = `${median.toFixed(2)} (${low.toFixed(2)} to ${high.toFixed(2)})`;
      return `| ${part}: ${of} | ${against} | ${measure} | ${spread} | ${goal === undefined ? '' : goal.toFixed(1)} |`;
    });
  return ['| podpass | against | measure | ratio | goal |', '| --- | --- | --- | --- | --- |', ...rows].join('\n');
}
