import { describe, expect, test } from 'vitest';
import { readInputs } from './engine/files.ts';
import { judge } from './engine/judge.ts';
import { HANG_MS, runTarget } from './engine/process.ts';
import { loadTarget, targetNames } from './targets.ts';

/** Of the fresh inputs; `npm run fuzz` has others. */
const SEED = 1;
/** One to three seconds for each target on a machine that does nothing else; on a busy one fewer runs have to do. */
const RUNS = 600;
const MOST_SECONDS = 15;
const limits = { seed: SEED, guided: true, keep: false, minimise: false, hangMs: HANG_MS, mostFindings: 5 };

describe.each(targetNames)('%s', (name) => {
  test('holds for the seeds, the corpus and every finding there was', { timeout: 120_000 }, async () => {
    const target = await loadTarget(name);
    const inputs = [
      ...target.seeds().map((bytes, index) => ({ name: `seed ${index}`, bytes })),
      ...readInputs('corpus', name),
      ...readInputs('findings', name),
    ];
    expect(inputs.length).toBeGreaterThan(target.seeds().length);
    for (const { name: file, bytes } of inputs) {
      const reason = await judge(target, bytes);
      expect(reason, `${name}/${file}`).toBeUndefined();
    }
  });

  test('holds for fresh inputs', { timeout: 120_000 }, async () => {
    const { ok, output } = await runTarget({ ...limits, target: name, runs: RUNS, seconds: MOST_SECONDS });
    console.log(output.trimEnd());
    expect(ok, output).toBe(true);
    expect(output).toMatch(/, [1-9]\d* runs in /);
  });

  test('has a corpus that may be committed', async () => {
    const { mayBeKept, maxBytes } = await loadTarget(name);
    for (const { name: file, bytes } of readInputs('corpus', name)) {
      expect(bytes.length, file).toBeLessThanOrEqual(maxBytes);
      expect(mayBeKept?.(bytes) ?? true, file).toBe(true);
      expect(bytes.toString('latin1'), file).not.toMatch(/PRIVATE KEY|eyJ[A-Za-z0-9_-]{16}/);
    }
  });
});
