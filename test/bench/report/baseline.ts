/** The ratios of an earlier run, in baseline.json by Node's major version, and what was lost since. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { nameOf, type Ratio } from '../result.ts';
import type { Spread } from '../statistics.ts';

const file = new URL('../baseline.json', import.meta.url);

export interface Baseline {
  /** How it was made. */
  readonly made: string;
  readonly ratios: Readonly<Record<string, Spread>>;
}

type Baselines = Readonly<Record<string, Baseline>>;

const major = () => `node ${process.versions.node.split('.')[0]}`;

/** Of this Node; ratios of another one say nothing. */
export function readBaseline(): Baseline | undefined {
  return readAll()[major()];
}

function readAll(): Baselines {
  return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : {};
}

/** What was not measured now stays as it was. */
export function saveBaseline(ratios: readonly Ratio[], made: string): void {
  const all = readAll();
  const kept = ratios.filter(({ kept }) => kept);
  const merged = { ...all[major()]?.ratios, ...Object.fromEntries(kept.map((each) => [nameOf(each), rounded(each)])) };
  writeFileSync(file, `${JSON.stringify({ ...all, [major()]: { made, ratios: merged } }, undefined, 2)}\n`);
}

const rounded = ({ median, low, high }: Spread): Spread => ({
  median: Number(median.toFixed(3)),
  low: Number(low.toFixed(3)),
  high: Number(high.toFixed(3)),
});

/** Where starts and machines differ more than the rounds of one run show. */
const LEAST_LOSS = 0.05;

/** Lost: by more than that, and beyond what both runs call noise. */
export function isLoss(now: Spread, before: Spread): boolean {
  return now.median < before.median * (1 - LEAST_LOSS) && now.high < before.low;
}
