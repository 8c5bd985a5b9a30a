import type { Target } from '../target.ts';

const WORDS = ['', 'p', 'po', 'pod'];

/** A mistake behind comparisons that lie in one another: chance finds it once in 2^32 inputs, and coverage leads to it. */
export const target: Target = {
  name: 'planted',
  shape: 'bytes',
  maxBytes: 8,
  seeds: () => WORDS.map((word) => Buffer.from(word)),
  dictionary: [],
  judge(input) {
    if (input[0] !== 0xf0) return;
    if (input[1] !== 0x9f) return;
    if (input[2] !== 0xa6) return;
    if (input[3] === 0xab) throw new Error('the planted mistake');
  },
};
