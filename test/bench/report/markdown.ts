import type { Ratio, Result } from '../result.ts';

/** The README's tables: one for each part, with processor time against each floor, and what the notes say. */
export function markdown({ ratios, figures, notes }: Result, how: string): string {
  const kept = ratios.filter((each) => each.kept);
  const parts = [...new Set(kept.map(({ part }) => part))];
  const lines = notes.map((each) => `- ${each}`);
  for (const { part, case: of, candidate, values } of figures) {
    const mib = values['at the end MiB'];
    if (mib !== undefined)
      lines.push(`- ${part}, ${of}: ${candidate} has ${Math.round(mib)} MiB after ${values.requests} requests`);
  }
  return [
    ...parts.map((part) =>
      table(
        kept.filter((each) => each.part === part),
        part,
      ),
    ),
    lines.join('\n'),
    `${how}.`,
  ]
    .filter(Boolean)
    .join('\n\n');
}

function table(ratios: readonly Ratio[], part: string): string {
  const floors = [...new Set(ratios.map(({ against }) => against))];
  const row = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [
    row([part, ...floors.map((each) => `against ${each}`)]),
    row([part, ...floors].map(() => '---')),
    ...[...new Set(ratios.map((each) => each.case))].map((of) =>
      row([of, ...floors.map((floor) => cell(ratios.find((each) => each.case === of && each.against === floor)))]),
    ),
  ].join('\n');
}

const cell = (ratio: Ratio | undefined) =>
  ratio ? `${ratio.median.toFixed(2)} (${ratio.low.toFixed(2)} to ${ratio.high.toFixed(2)})` : '';
