import type { Target } from '../target.ts';
import type { Coverage } from './coverage.ts';
import { judge, signature } from './judge.ts';
import { mutateBytes } from './mutate-bytes.ts';
import { mutateJson } from './mutate-json.ts';
import { createRandom } from './random.ts';

export interface Limits {
  /** Ends after so many fresh inputs, or after so many seconds; the one that comes first. */
  readonly runs: number;
  readonly seconds: number;
  readonly seed: number;
  /** Each kind of mistake is told once, and it ends after so many kinds. */
  readonly mostFindings: number;
  /** False: what is new is not followed, for comparison. */
  readonly guided: boolean;
}

export interface Finding {
  readonly input: Buffer;
  readonly reason: string;
}

export interface Outcome {
  readonly runs: number;
  readonly seconds: number;
  /** The first inputs, and those that ran something new. */
  readonly corpus: readonly Buffer[];
  /** One for each kind of mistake. */
  readonly findings: readonly Finding[];
}

/**
 * Taking coverage costs as much as ten inputs and more, so it is taken once for many, the more the longer nothing was
 * new; which of them it was is looked up then.
 */
const [SMALL_BATCH, LARGE_BATCH] = [32, 1024];
/**
 * Changes inputs of the corpus, keeps those that run what none has run before, and judges all. With a seed and a number
 * of runs it does the same each time; `before` sees each input before it is judged.
 */
export async function fuzz(
  target: Target,
  initial: readonly Buffer[],
  coverage: Coverage,
  limits: Limits,
  before: (input: Buffer) => void,
): Promise<Outcome> {
  const random = createRandom(limits.seed);
  const started = performance.now();
  const seconds = () => (performance.now() - started) / 1000;
  const corpus: Buffer[] = [];
  const findings = new Map<string, Finding>();
  let runs = 0;

  async function run(input: Buffer): Promise<boolean> {
    before(input);
    const reason = await judge(target, input);
    if (reason === undefined) return true;
    const kind = signature(reason);
    if (!findings.has(kind)) findings.set(kind, { input, reason });
    return false;
  }

  /** Finds those of the inputs that run something new, by halves. */
  async function follow(inputs: readonly Buffer[]): Promise<void> {
    const half = inputs.length >> 1;
    for (const part of [inputs.slice(0, half), inputs.slice(half)]) {
      const [first] = part;
      if (first === undefined) continue;
      coverage.take();
      for (const input of part) await run(input);
      const ran = coverage.take();
      if (!ran.isNew) continue;
      if (part.length > 1) await follow(part);
      else {
        ran.keep();
        corpus.push(first);
      }
    }
  }

  coverage.take().keep();
  for (const input of initial) if (await run(input)) corpus.push(input);
  coverage.take().keep();
  const material = { other: () => random.pick(corpus), dictionary: target.dictionary };
  let size = SMALL_BATCH;
  while (runs < limits.runs && seconds() < limits.seconds && findings.size < limits.mostFindings && corpus.length > 0) {
    const batch: Buffer[] = [];
    coverage.take();
    for (let left = Math.min(size, limits.runs - runs); left > 0 && findings.size < limits.mostFindings; left--) {
      // What is new is tried more often: nobody has been there before.
      const from = random.pick(corpus.slice(-random.pick([1, Math.max(8, corpus.length >> 3), corpus.length])));
      const json = target.shape === 'json' && !random.once(4) ? mutateJson(from, random, material) : undefined;
      const input = (json ?? mutateBytes(from, random, material)).subarray(0, target.maxBytes);
      runs += 1;
      if (await run(input)) batch.push(input);
    }
    const ran = coverage.take();
    if (limits.guided && ran.isNew) await follow(batch);
    size = ran.isNew ? SMALL_BATCH : Math.min(size * 2, LARGE_BATCH);
    // What does not run a second time, such as the first filling of a cache, is not looked for again.
    ran.keep();
  }
  return { runs, seconds: seconds(), corpus, findings: [...findings.values()] };
}
