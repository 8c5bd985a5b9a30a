// Breaks one thing after the other in a real cluster with podpass in it, while Pods are created all the time, and counts
// what that cost. `--list` tells the faults, `--only NAME,…` chooses some, `--seconds N` is how long each lasts,
// `--seed N` shuffles them, `--json` prints the result for programs. Exit status 1 where a creation failed because of
// podpass, or something did not come back.
import { parseArgs } from 'node:util';
import { say } from '../by-hand.ts';
import { controlPlaneBinaries } from '../cluster/binaries.ts';
import { faults } from './faults.ts';
import { type NotRun, runChaos } from './run-chaos.ts';
import { isBad, type Result } from './run-fault.ts';
import type { Scene } from './scene.ts';
import { shuffled } from './shuffled.ts';
import { remarks, table } from './table.ts';

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    list: { type: 'boolean', default: false },
    seconds: { type: 'string' },
    seed: { type: 'string' },
    json: { type: 'boolean', default: false },
  },
});

const problems: string[] = [];
function wholeNumber(flag: 'seconds' | 'seed'): number | undefined {
  const text = values[flag];
  if (text === undefined || /^\d{1,6}$/.test(text)) return text === undefined ? undefined : Number(text);
  problems.push(`--${flag}: "${text}" is not accepted; accepted: a whole number up to 999999`);
  return undefined;
}
const seconds = wholeNumber('seconds');
const seed = wholeNumber('seed');
const names = values.only?.split(',').map((name) => name.trim());
for (const name of names ?? []) {
  if (faults.some((fault) => fault.name === name)) continue;
  problems.push(`--only: "${name}" is no fault; accepted: ${faults.map((fault) => fault.name).join(', ')}`);
}
if (problems.length > 0) {
  for (const problem of problems) say(problem);
  process.exit(2);
}

if (values.list) {
  for (const { name, seconds: lasts, fixed, does, expected } of faults) {
    console.log(`${name} (${fixed ? 'its own time' : `${lasts} s`})\n  does:     ${does}\n  expected: ${expected}`);
  }
} else {
  await run();
}

async function run(): Promise<void> {
  const binaries = await controlPlaneBinaries(say);
  if (!binaries.ok) throw new Error(`a control plane cannot run here: ${binaries.reason}`);
  const chosen = faults.filter(({ name }) => names?.includes(name) ?? true);
  const results: (Result | NotRun)[] = [];
  let scene: Scene | undefined;
  stopOnSignals(results, () => scene);
  await runChaos({
    binaries,
    faults: seed === undefined ? chosen : shuffled(chosen, seed),
    seconds,
    begins: ({ name, does }) => say(`${name}: ${does}`),
    ended(result) {
      results.push(result);
      for (const remark of remarks([result])) say(`  ${remark}`);
    },
    staged(next) {
      scene = next;
    },
  });
  print(results);
  process.exitCode = results.some((result) => !('notRun' in result) && isBad(result)) ? 1 : 0;
}

function print(results: readonly (Result | NotRun)[]): void {
  if (values.json) console.log(JSON.stringify({ node: process.version, seed, results }, undefined, 2));
  else console.log([table(results), '', ...remarks(results)].join('\n'));
}

/** What was measured is printed all the same. What does not stop in time is killed by its guardians when we end. */
function stopOnSignals(results: readonly (Result | NotRun)[], scene: () => Scene | undefined): void {
  const codes = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => {
      say('taking everything down');
      if (results.length > 0) print(results);
      const end = () => process.exit(codes[signal]);
      setTimeout(end, 5_000);
      Promise.resolve(scene()?.stop()).then(end, end);
    });
  }
}
