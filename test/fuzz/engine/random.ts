/** Numbers that depend on nothing but the seed: sfc32 of PractRand, by Chris Doty-Humphrey. */
export interface Random {
  /** A whole number from 0 to below `end`; 0 where `end` is. */
  below(end: number): number;
  /** True once in `times`. */
  once(times: number): boolean;
  /** Any of them; throws a RangeError where there is none. */
  pick<T>(items: readonly T[]): T;
}

export function createRandom(seed: number): Random {
  let [a, b, c, count] = [seed | 0, 0x9e3779b9 | 0, 0x243f6a88 | 0, 1];
  const next = () => {
    const sum = (a + b + count++) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + sum) | 0;
    return sum >>> 0;
  };
  for (let round = 0; round < 12; round++) next();
  const below = (end: number) => (end <= 0 ? 0 : next() % end);
  return {
    below,
    once: (times) => below(times) === 0,
    pick(items) {
      if (items.length === 0) throw new RangeError('nothing to pick from');
      return items[below(items.length)] as (typeof items)[number];
    },
  };
}
