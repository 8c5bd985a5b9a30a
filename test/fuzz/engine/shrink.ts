import type { Target } from '../target.ts';
import { judge, signature } from './judge.ts';

const TRIES = 2_000;

/** A smaller input with the same mistake: parts are left out for as long as it stays. */
export async function shrink(target: Target, input: Buffer, reason: string): Promise<Buffer> {
  const wanted = signature(reason);
  let best = input;
  let tries = 0;
  for (let length = best.length >> 1; length > 0; length >>= 1) {
    for (let at = 0; at + length <= best.length && tries < TRIES; tries++) {
      const shorter = Buffer.concat([best.subarray(0, at), best.subarray(at + length)]);
      const why = await judge(target, shorter);
      if (why !== undefined && signature(why) === wanted) best = shorter;
      else at += length;
    }
  }
  return best;
}
