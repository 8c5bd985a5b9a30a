// `npm run fuzz -- [TARGET…] [--seconds N] [--runs N] [--seed N] [--keep] [--minimise]`
import { parseArgs } from 'node:util';
import { HANG_MS, runTarget } from './engine/process.ts';
import { targetNames } from './targets.ts';

const USAGE = `npm run fuzz -- [TARGET…] [--seconds N] [--runs N] [--seed N] [--keep] [--minimise]

For each target (${targetNames.join(', ')}; all where none is named): changes the inputs of test/fuzz/corpus and its
seeds, follows what runs something new, and judges each. Ends with 1 where there is a finding.

  --seconds N  for each target, 60 unless --runs is given
  --runs N     so many fresh inputs for each target; with a seed they are the same ones each time
  --seed N     else one that is told
  --keep       writes what is new into test/fuzz/corpus, and findings into test/fuzz/findings, where a test replays them
  --minimise   instead: keeps the smallest inputs that together run what all of test/fuzz/corpus runs
`;

function wholeNumber(flag: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new RangeError(`${flag}: ${JSON.stringify(text)} is no whole number; accepted: 0 to 999999999`);
}

function jobsIn(argv: readonly string[]): Parameters<typeof runTarget>[0][] {
  const number = { type: 'string' } as const;
  const yes = { type: 'boolean', default: false } as const;
  const { values, positionals } = parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: { seconds: number, runs: number, seed: number, keep: yes, minimise: yes },
  });
  const { keep, minimise } = values;
  const unknown = positionals.filter((name) => !targetNames.includes(name));
  if (unknown.length > 0) {
    throw new RangeError(`${unknown.map((name) => JSON.stringify(name)).join(', ')} is no target`);
  }
  const runs = wholeNumber('--runs', values.runs);
  const seconds = wholeNumber('--seconds', values.seconds) ?? (runs === undefined ? 60 : 86_400);
  const seed = wholeNumber('--seed', values.seed) ?? Date.now() % 1_000_000;
  return (positionals.length > 0 ? positionals : targetNames).map((target) => ({
    ...{
      target,
      runs: runs ?? Number.MAX_SAFE_INTEGER,
      seconds,
      seed,
      guided: true,
      keep,
      minimise,
      hangMs: HANG_MS,
      mostFindings: 20,
    },
  }));
}

let jobs: ReturnType<typeof jobsIn> = [];
try {
  jobs = jobsIn(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n\n${USAGE}`);
  process.exitCode = 2;
}
for (const job of jobs) {
  const { ok, output } = await runTarget(job);
  process.stdout.write(output);
  if (!ok) process.exitCode = 1;
}
