import { describe, expect, test } from 'vitest';
import { parseReview } from '../parse-review.ts';
import { admitted } from './admitted.ts';
import { mutateBytes } from './engine/mutate-bytes.ts';
import { mutateJson } from './engine/mutate-json.ts';
import { runTarget } from './engine/process.ts';
import { createRandom } from './engine/random.ts';
import { spellJson } from './engine/spell-json.ts';
import { judgeReader } from './plain-review.ts';
import { reviewSeeds } from './review-seeds.ts';

const limits = {
  ...{ seed: 3, guided: true, keep: false, minimise: false },
  ...{ mostFindings: 1, hangMs: 120_000, seconds: 200 },
};

describe('the engine', () => {
  test('is led by coverage to a mistake that chance does not find', { timeout: 240_000 }, async () => {
    const led = await runTarget({ ...limits, target: 'planted', runs: 500_000 });
    expect(led.output).toContain('Error: the planted mistake');
    expect(led.ok).toBe(false);
    const runs = Number(/, (\d+) runs in /.exec(led.output)?.[1]);
    expect(runs).toBeGreaterThan(100);
    const blind = await runTarget({ ...limits, target: 'planted', runs, guided: false });
    expect(blind.output).toContain(`, ${runs} runs in `);
    expect(blind.ok, blind.output).toBe(true);
  });

  test('does the same again with the same seed', { timeout: 240_000 }, async () => {
    const run = async (seed: number) => {
      const { output } = await runTarget({ ...limits, seed, target: 'key-state', runs: 300 });
      return /(\d+ characters .*)$/m.exec(output)?.[1];
    };
    const first = await run(5);
    expect(first).toMatch(/ new inputs, 0 findings, inputs [0-9a-f]{16}$/);
    expect(await run(5)).toBe(first);
    expect(await run(6)).not.toBe(first);
  });

  test.each([
    ['hang', 'no end after 3 s'],
    ['exit', 'the process ended with 7'],
  ])('tells the input that does %s', { timeout: 120_000 }, async (word, why) => {
    const { ok, output } = await runTarget({ ...limits, target: `planted-${word}`, runs: 100_000, hangMs: 3_000 });
    expect(ok).toBe(false);
    expect(output).toContain(`planted-${word}: ${why} at the input "${word}"`);
  });
});

const VALUE = { a: ['x/"\\\u0000é😀', 1, -20, 1.5, null, true], b: { '': {}, c: [[]] }, __proto__: undefined };

test('every spelling of a value is JSON, and one without twins is the same value', () => {
  const texts = Array.from({ length: 400 }, (_, seed) => spellJson(VALUE, createRandom(seed)));
  expect(new Set(texts).size).toBeGreaterThan(20);
  const same = texts.filter((text) => JSON.stringify(JSON.parse(text)) === JSON.stringify(VALUE));
  expect(same.length).toBeGreaterThan(300);
});

describe('a reader of reviews that', () => {
  const textOf = (bytes: Buffer, pattern: RegExp) => pattern.exec(bytes.toString())?.[1] ?? '';
  const readers: Record<string, typeof parseReview> = {
    'takes the first of two equal keys': (bytes) => ({
      ...parseReview(bytes),
      operation: textOf(bytes, /"operation":"([A-Z]+)"/),
    }),
    'ends a list that it skips at its first bracket': (bytes) =>
      parseReview(Buffer.from(bytes.toString().replace(/"managedFields":\[[^\]]*\]/g, '"managedFields":[]'))),
    'does not see the end': (bytes) => parseReview(bytes.subarray(0, bytes.lastIndexOf('}') + 1)),
    'takes bytes for UTF-8 that are none': (bytes) => parseReview(Buffer.from(bytes.toString())),
  };
  /** How many of many changed reviews it reads in another way than JSON.parse. */
  const misread = (reader: typeof parseReview) => {
    const random = createRandom(7);
    const seeds = reviewSeeds(4_096);
    const material = { other: () => random.pick(seeds), dictionary: ['operation', 'CREATE'] };
    let count = 0;
    for (let round = 0; round < 1_200; round++) {
      const seed = random.pick(seeds);
      const bytes = mutateJson(seed, random, material) ?? Buffer.alloc(0);
      const odd = [
        () => bytes,
        () => mutateBytes(seed, random, material),
        () => Buffer.concat([bytes, Buffer.from([random.below(128)])]),
      ];
      const changed = odd[round % odd.length]?.() ?? bytes;
      try {
        judgeReader(changed, reader);
      } catch {
        count += 1;
      }
    }
    return count;
  };

  test.each(Object.keys(readers))('%s is noticed', (name) => {
    expect(misread(readers[name] ?? parseReview)).toBeGreaterThan(0);
  });
  test('reads as JSON.parse does is not', () => {
    expect(misread(parseReview)).toBe(0);
  });
});

describe('a patch', () => {
  const pod = {
    metadata: { annotations: { a: 'b' } },
    spec: { containers: [{ name: 'web', ports: [{ name: 'http' }] }] },
  };
  test.each([
    ['that removes something', { op: 'remove', path: '/metadata' }, 'the operation remove'],
    ['that does not apply', { op: 'add', path: '/spec/volumes/-', value: {} }, 'does not apply'],
    ['that takes the place of something', { op: 'add', path: '/metadata', value: {} }, '/metadata/annotations'],
    [
      'that gives something another value',
      { op: 'add', path: '/metadata/annotations/a', value: 'c' },
      '/annotations/a',
    ],
    ['that comes before something', { op: 'add', path: '/spec/containers/0', value: {} }, '/spec/containers/0'],
  ])('%s is noticed', (_, operation, message) => {
    expect(() => admitted(pod, [operation])).toThrow(message);
  });
  test('that adds, and takes over the name of a port, is not', () => {
    const patch = [
      { op: 'add', path: '/spec/containers/0/ports/0/name', value: 'unprotected' },
      { op: 'add', path: '/spec/containers/-', value: { name: 'more' } },
    ];
    expect(admitted(pod, patch)).toMatchObject({ spec: { containers: [{ ports: [{ name: 'unprotected' }] }, {}] } });
  });
});
