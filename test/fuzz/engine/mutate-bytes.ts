import type { Random } from './random.ts';

/** What a change may take its parts from. */
export interface Material {
  /** Another input of the corpus. */
  other(): Buffer;
  readonly dictionary: readonly string[];
}

type Change = (input: Buffer, random: Random, material: Material) => Buffer;

/** Bytes at which readers of text and lengths turn. */
const EDGES = Buffer.from([0, 1, 9, 10, 13, 31, 32, 34, 44, 45, 47, 48, 58, 61, 91, 92, 93, 123, 125, 127, 128, 0xbf]);
const MORE_EDGES = Buffer.from([0xc0, 0xe2, 0xed, 0xef, 0xf4, 0xff]);
const BYTES = [...EDGES, ...MORE_EDGES];
const NUMBERS = ['0', '-1', '1', '599', '600', '65535', '65536', '2147483648', '4294967297', '9007199254740993', '1e3'];

const splice = (input: Buffer, at: number, drop: number, insert: Buffer) =>
  Buffer.concat([input.subarray(0, at), insert, input.subarray(at + drop)]);

/** A place and a length within the input; short ones most of the time. */
function part(input: Buffer, random: Random): [at: number, length: number] {
  const at = random.below(input.length);
  const most = random.once(4) ? input.length - at : Math.min(16, input.length - at);
  return [at, 1 + random.below(most)];
}

const changes: readonly Change[] = [
  function flipBit(input, random) {
    const copy = Buffer.from(input);
    const at = random.below(copy.length);
    copy[at] = (copy[at] ?? 0) ^ (1 << random.below(8));
    return copy;
  },
  function setByte(input, random) {
    const copy = Buffer.from(input);
    copy[random.below(copy.length)] = random.once(4) ? random.pick(BYTES) : random.below(256);
    return copy;
  },
  function insertByte(input, random) {
    const byte = random.once(2) ? random.pick(BYTES) : random.below(256);
    const times = random.once(8) ? 1 + random.below(64) : 1;
    return splice(input, random.below(input.length + 1), 0, Buffer.alloc(times, byte));
  },
  function cut(input, random) {
    const [at, length] = part(input, random);
    return splice(input, at, length, Buffer.alloc(0));
  },
  function repeat(input, random) {
    const [at, length] = part(input, random);
    return splice(input, at, 0, input.subarray(at, at + length));
  },
  function move(input, random) {
    const [at, length] = part(input, random);
    const moved = input.subarray(at, at + length);
    const rest = splice(input, at, length, Buffer.alloc(0));
    return splice(rest, random.below(rest.length + 1), 0, moved);
  },
  function insertWord(input, random, { dictionary }) {
    const word = dictionary.length === 0 ? '' : random.pick(dictionary);
    return splice(input, random.below(input.length + 1), 0, Buffer.from(word));
  },
  function overwriteWithWord(input, random, { dictionary }) {
    const word = Buffer.from(dictionary.length === 0 ? '' : random.pick(dictionary));
    return splice(input, random.below(input.length), word.length, word);
  },
  function changeNumber(input, random) {
    const numbers = [...input.toString('latin1').matchAll(/\d+/g)];
    if (numbers.length === 0) return input;
    const { index, 0: digits } = random.pick(numbers);
    return splice(input, index, digits.length, Buffer.from(random.pick(NUMBERS)));
  },
  function takePart(input, random, { other }) {
    const from = other();
    const [at, length] = part(from, random);
    return splice(input, random.below(input.length + 1), 0, from.subarray(at, at + length));
  },
  function join(input, random, { other }) {
    const from = other();
    return Buffer.concat([
      input.subarray(0, random.below(input.length + 1)),
      from.subarray(random.below(from.length + 1)),
    ]);
  },
];

/** One to eight changes of the bytes, one after the other. */
export function mutateBytes(input: Buffer, random: Random, material: Material): Buffer {
  let changed = input;
  for (let left = random.once(2) ? 1 : 1 << random.below(4); left > 0; left--) {
    changed = random.pick(changes)(changed.length === 0 ? Buffer.from(' ') : changed, random, material);
  }
  return changed;
}
