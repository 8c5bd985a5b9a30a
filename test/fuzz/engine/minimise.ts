import type { Target } from '../target.ts';
import type { Coverage } from './coverage.ts';
import { judge } from './judge.ts';

/** Of the inputs those that run what neither the seeds nor a smaller one runs. */
export async function minimise(target: Target, inputs: readonly Buffer[], coverage: Coverage): Promise<Buffer[]> {
  for (const seed of target.seeds()) await judge(target, seed);
  coverage.take().keep();
  const kept: Buffer[] = [];
  const bySize = [...inputs].sort((a, b) => a.length - b.length || a.compare(b));
  for (const input of bySize) {
    if (target.mayBeKept?.(input) === false || (await judge(target, input)) !== undefined) continue;
    const ran = coverage.take();
    if (!ran.isNew) continue;
    ran.keep();
    kept.push(input);
  }
  return kept;
}
