import type { Target } from '../target.ts';

const planted = (word: string, judge: () => void): Target => ({
  name: `planted-${word}`,
  shape: 'bytes',
  maxBytes: 8,
  seeds: () => [Buffer.from('a')],
  dictionary: [word],
  judge(input) {
    if (input.toString() === word) judge();
  },
});

/** One input never ends. */
export const hang = planted('hang', () => {
  for (;;);
});
/** One ends the process. */
export const exit = planted('exit', () => process.exit(7));
