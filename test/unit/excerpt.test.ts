import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import {
  apart,
  apartText,
  createCutter,
  drawn,
  listOf,
  objectOf,
  type Part,
  textOf,
  there,
  whole,
} from '../../webhook/excerpt.ts';

const APART = apart();
const DRAWN = drawn('drawn-');
const TEXT = apartText();
const cutter = createCutter(
  objectOf({
    all: whole,
    there,
    own: APART,
    text: TEXT,
    name: DRAWN,
    some: objectOf({ all: whole, own: APART }),
    most: objectOf({ own: APART, name: DRAWN }, whole),
    kinds: objectOf({ all: whole }, there),
    ours: objectOf({ all: whole, 'other/own': APART }, whole, ['a.b/', 'c/']),
    list: listOf(objectOf({ name: DRAWN, all: whole })),
  }),
);
const cut = (text: string) => cutter(Buffer.from(text));
const keyOf = (value: unknown) => cut(JSON.stringify(value))?.key;

/** What is left, as a value. */
function left(text: string): unknown {
  const bytes = Buffer.from(text);
  const excerpt = cutter(bytes);
  return excerpt === undefined ? 'no excerpt' : JSON.parse(textOf(excerpt, bytes));
}

describe('of a value', () => {
  test.each([
    ['a part that is read, whatever it is', { all: [1, { a: null }] }, { all: [1, { a: null }] }],
    ['no other part', { a: 1, all: 2, b: [{ c: 3 }], d: {} }, { all: 2 }],
    ['nothing where nothing is read', { a: 1, b: 2 }, {}],
    ['those in between', { a: 1, all: 1, b: 2, own: 'x', c: 3 }, { all: 1, own: 'x' }],
    [
      'that something is there',
      { there: { a: [1] }, kinds: { all: 1, a: {}, b: null } },
      { there: 0, kinds: { all: 1, a: 0, b: 0 } },
    ],
    [
      'of others those with a prefix',
      {
        ours: {
          x: 1,
          'a.b/': 2,
          'a.b': 3,
          'a.b/x': 4,
          'c/y': 5,
          'xa.b/': 6,
          d: 7,
          'a/b/x': 8,
          all: 9,
          'other/own': 10,
        },
      },
      { ours: { 'a.b/': 2, 'a.b/x': 4, 'c/y': 5, all: 9, 'other/own': 10 } },
    ],
    ['none of them where none has it', { ours: { x: 1, y: {}, 'a.c/': 1 } }, { ours: {} }],
    [
      'parts of parts',
      { some: { all: 1, a: 2, own: 3 }, most: { a: 2, own: 3 } },
      { some: { all: 1, own: 3 }, most: { a: 2, own: 3 } },
    ],
    [
      'parts of each item',
      { list: [{ a: 1, name: 'n' }, {}, 3, { all: 1 }] },
      { list: [{ name: 'n' }, {}, 3, { all: 1 }] },
    ],
    [
      'values of another type',
      { some: [1], list: { name: 1 }, most: 'x' },
      { some: [1], list: { name: 1 }, most: 'x' },
    ],
    ['empty ones', { some: {}, list: [], most: {}, all: '' }, { some: {}, list: [], most: {}, all: '' }],
    ['letters of more than one byte', { all: 'ä€😀', ü: 1, own: 'ö' }, { all: 'ä€😀', own: 'ö' }],
    ['what is no object at all', [1, 'x'], [1, 'x']],
  ])('%s is left', (_, value, expected) => {
    expect(left(JSON.stringify(value))).toEqual(expected);
  });

  test('of a key that is there twice both are left, so that a parser takes the last one', () => {
    expect(left('{"own":1,"all":2,"own":3,"some":{"own":4},"some":{}}')).toEqual({ own: 3, all: 2, some: {} });
  });

  test('white space may follow, as the API server writes a line', () => {
    expect(left('{"all":1}\n \t\r')).toEqual({ all: 1 });
  });

  test('another value can be put in the place of what is apart', () => {
    const bytes = Buffer.from('{"own":"x","a":1,"most":{"own":[1],"name":"drawn-bcdfg"}}');
    const excerpt = cutter(bytes);
    const replaced = (part: Part, found: string) => (part === DRAWN ? 'zzzzz' : found === '"x"' ? '"y"' : '2');
    expect(excerpt && JSON.parse(textOf(excerpt, bytes, replaced))).toEqual({
      own: 'y',
      most: { own: 2, name: 'drawn-zzzzz' },
    });
  });
});

describe('two keys are', () => {
  test.each([
    ['in what is apart', { own: 'x', some: { own: [1] } }, { own: { y: 2 }, some: { own: 'zzz' } }],
    ['in what is not read', { all: 1, a: 2 }, { b: { c: [] }, all: 1 }],
    ['in what is only there', { there: 'x', kinds: { a: 1 } }, { there: {}, kinds: { a: [2] } }],
    [
      'in drawn letters',
      { name: 'drawn-bcdfg', list: [{ name: 'drawn-bcdfg' }] },
      { name: 'drawn-zxw45', list: [{ name: 'drawn-zxw45' }] },
    ],
  ])('the same where values differ %s', (_, one, other) => {
    expect(keyOf(one)).toBe(keyOf(other));
    expect(cut(JSON.stringify(one))?.number).toBe(cut(JSON.stringify(other))?.number);
  });

  test.each([
    ['in what is read', { all: 1 }, { all: 2 }],
    ['in whether what is apart is there', { all: 1 }, { all: 1, own: 1 }],
    ['in the place of a value', { most: { a: 1, b: 2 } }, { most: { a: 2, b: 1 } }],
    ['in what another key has', { kinds: { a: 1 } }, { kinds: { b: 1 } }],
    ['in letters that nobody draws', { name: 'drawn-bcdfa' }, { name: 'drawn-bcdfg' }],
    ['in a name of other letters', { name: 'drawn-bcdf' }, { name: 'drawn-bcdfg' }],
    ['in a name of another beginning', { name: 'other-bcdfg' }, { name: 'other-hjklm' }],
    [
      'in which names are the same',
      { name: 'drawn-bcdfg', most: { name: 'drawn-bcdfg' } },
      { name: 'drawn-bcdfg', most: { name: 'drawn-hjklm' } },
    ],
    ['in whether it is drawn or apart', { name: 'drawn-bcdfg' }, { name: 1 }],
  ])('others where values differ %s', (_, one, other) => {
    expect(keyOf(one)).not.toBe(keyOf(other));
  });
});

test('most keys have a number of their own, and a long text has none', () => {
  const numbers = Array.from({ length: 1000 }, (_, i) => cut(JSON.stringify({ all: i }))?.number);
  expect(new Set(numbers).size).toBeGreaterThan(990);
  const long = cut(JSON.stringify({ all: 'x'.repeat(300_000) }));
  expect([long?.key.length, long?.number]).toEqual([300_010, undefined]);
});

test('a long text leaves nothing behind for the next one', () => {
  expect(keyOf({ all: 'x'.repeat(1000), own: 1 })).toHaveLength(1018);
  expect(cut('{"all":"no end')).toBeUndefined();
  expect(keyOf({ all: 1 })).toBe('{"all":1}');
});

test('a text that is apart is one, and another value is not', () => {
  expect(keyOf({ text: 'x' })).toBe(keyOf({ text: '' }));
  for (const value of [null, 1, true, {}, []]) expect(keyOf({ text: value })).toBe(JSON.stringify({ text: value }));
});

test('so much has a number that fits, and what does not fit is cut all the same', () => {
  const of = (length: number) => cut(JSON.stringify({ all: 'x'.repeat(length - 10) }));
  for (const length of [262_137, 262_138, 262_139, 262_140]) {
    expect([of(length)?.key.length, typeof of(length)?.number]).toEqual([length, 'number']);
  }
  expect([of(262_141)?.key.length, of(262_141)?.number]).toEqual([262_141, undefined]);
  expect(of(262_140)?.number).not.toBe(of(262_139)?.number);
});

test('a text that is no JSON to its end leaves nothing in memory', async () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const before = process.memoryUsage().arrayBuffers;
  expect(cut(`{"all":1,"own":"${' '.repeat(20_000_000)}`)).toBeUndefined();
  // What is collected is given back by another thread.
  await vi.waitFor(() => {
    collect();
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(5_000_000);
  });
});

test('of very many parts the first thousand are apart, and the key has no number', () => {
  const list = (letters: string) => ({ list: Array.from({ length: 1_001 }, () => ({ name: `drawn-${letters}` })) });
  const key = keyOf(list('bcdfg')) ?? '';
  expect([key.split('drawn-\x01').length, key.split('drawn-bcdfg').length]).toEqual([1_001, 2]);
  expect(keyOf(list('hjklm'))).not.toBe(key);
  expect(left(JSON.stringify(list('bcdfg')))).toEqual(list('bcdfg'));
  const numberOf = (length: number) => cut(JSON.stringify({ list: list('bcdfg').list.slice(0, length) }))?.number;
  expect([typeof numberOf(999), numberOf(1_000)]).toEqual(['number', undefined]);
});

describe('there is no excerpt', () => {
  const BAD = [
    ...[
      '',
      ' ',
      '{',
      '}',
      '{"',
      '{"all',
      '{"all"',
      '{"all":',
      '{"all":1',
      '{"all":1,',
      '{"all":1,}',
      '{,}',
      '{"all" 1}',
      '{all:1}',
    ],
    ...['[', '[1', '[1,', '[1,]', '[,1]', '{"a":[1}', '{"a":{"b":1]', '{"a":1}}', '{"a":1}{}', '{"a":1}x', '1 2'],
    ...['{"a":tru}', '{"a":falsy}', '{"a":nul}', '{"a":True}', '{"a":undefined}', '{"a":NaN}', "{'a':1}"],
    ...['01', '-', '-01', '+1', '1.', '.5', '1e', '1e+', '1.e5', '--1', '0x10', '1_000', 'Infinity'].map(
      (number) => `{"a":${number}}`,
    ),
    ...['\\x', '\\', '\\u12', '\\u12G4', '\\U1234', '\n', '\t', '\0', '\x01', '\x1f'].map((text) => `{"a":"${text}"}`),
    ...['a\nb', 'a\x01b'].map((key) => `{"${key}":1}`),
    '\ufeff{}',
  ];
  test.each(BAD)('of %j, which is no JSON', (text) => {
    expect(() => JSON.parse(text)).toThrow(SyntaxError);
    expect(cut(text)).toBeUndefined();
    // Nor where it is in what nobody reads, or in what is kept.
    for (const around of [(inner: string) => `{"x":${inner}}`, (inner: string) => `{"all":${inner}}`])
      expect(cut(around(text))).toBeUndefined();
  });

  test.each([
    ['space', '{ "all":1}'],
    ['space before it', ' {"all":1}'],
    ['a line end in it', '{"all":[1,\n2]}'],
    ['a backslash in a key that could be another', String.raw`{"\u0061ll":1}`],
    ['very many levels', `{"all":${'['.repeat(65)}${']'.repeat(65)}}`],
    ['very many levels of what is not read', `{"x":${'{"a":'.repeat(65)}1${'}'.repeat(65)}}`],
  ])('of JSON with %s, which a parser is to read', (_, text) => {
    expect(() => JSON.parse(text)).not.toThrow();
    expect(cut(text)).toBeUndefined();
  });

  test('but of JSON with many levels there is', () => {
    expect(keyOf(JSON.parse(`{"all":${'['.repeat(64)}${']'.repeat(64)}}`))).toContain('['.repeat(64));
  });

  test.each(['\\"', '\\\\', '\\/', '\\b\\f\\n\\r\\t', '\\u00e4\\uD83D\\uDE00', '\x7f', ' '])(
    'but of a text with %j there is',
    (text) => {
      const json = `{"x":"${text}","all":"${text}","a\u00e4":{"${text}":1}}`;
      expect(left(json)).toEqual({ all: JSON.parse(`"${text}"`) });
    },
  );
  test.each(['0', '-0', '1', '10', '-1.5', '0.25', '1e5', '1E+5', '12.5e-3', 'true', 'false', 'null', '[]', '{}'])(
    'but of the value %s there is',
    (value) => {
      expect(left(`{"x":${value},"all":${value}}`)).toEqual({ all: JSON.parse(value) });
    },
  );
});

/** The same, of what a parser makes of it. */
function leftOf(value: unknown): unknown {
  const isObject = (each: unknown): each is Record<string, unknown> =>
    typeof each === 'object' && each !== null && !Array.isArray(each);
  const pick = (
    each: unknown,
    known: Record<string, (member: unknown) => unknown>,
    other?: (member: unknown) => unknown,
  ) =>
    isObject(each)
      ? Object.fromEntries(
          Object.entries(each).flatMap(([key, member]) => {
            const reading = Object.hasOwn(known, key) ? known[key] : other;
            return reading === undefined ? [] : [[key, reading(member)]];
          }),
        )
      : each;
  const same = (each: unknown) => each;
  const zero = () => 0;
  return pick(value, {
    ...{ all: same, own: same, text: same, name: same, there: zero },
    some: (each) => pick(each, { all: same, own: same }),
    most: same,
    kinds: (each) => pick(each, { all: same }, zero),
    list: (each) => (Array.isArray(each) ? each.map((item) => pick(item, { name: same, all: same })) : each),
  });
}

const key = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom('all', 'own', 'name', 'there', 'some', 'most', 'kinds', 'list') },
  { weight: 1, arbitrary: fc.string({ unit: 'grapheme' }) },
);
const { value: anyValue } = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 5 },
    fc.string({ unit: 'grapheme' }),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.constantFrom('\\', '"', ']', '}', 'drawn-bcdfg', 'drawn-zzzzz', null, true, false),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(key, tie('value'), { maxKeys: 6, noNullPrototype: true }),
  ),
}));

test('of any JSON the same is left as of the parsed value', () => {
  let cuts = 0;
  fc.assert(
    fc.property(anyValue, (value) => {
      const text = JSON.stringify(value);
      const found = left(text);
      if (found === 'no excerpt') return;
      cuts += 1;
      expect(found).toEqual(leftOf(JSON.parse(text)));
    }),
    { numRuns: 3000, seed: 1 },
  );
  expect(cuts).toBeGreaterThan(2000);
});

test('nothing is cut that a parser refuses', () => {
  let cuts = 0;
  const BYTES = Buffer.from('"\\{}[],:0e-.tun \n\x01\x7f');
  const change = fc.record({
    at: fc.nat(),
    byte: fc.constantFrom(...BYTES),
    kind: fc.constantFrom('put', 'set', 'drop'),
  });
  fc.assert(
    fc.property(anyValue, fc.array(change, { minLength: 1, maxLength: 3 }), (value, changes) => {
      let bytes = Buffer.from(JSON.stringify(value));
      for (const { at, byte, kind } of changes) {
        const from = at % (bytes.length + 1);
        const to = kind === 'put' ? from : from + 1;
        bytes = Buffer.concat(
          [bytes.subarray(0, from), kind === 'drop' ? '' : Buffer.from([byte]), bytes.subarray(to)].map((each) =>
            Buffer.from(each),
          ),
        );
      }
      if (cutter(bytes) === undefined) return;
      cuts += 1;
      expect(left(bytes.toString())).toEqual(leftOf(JSON.parse(bytes.toString())));
    }),
    { numRuns: 5000, seed: 2 },
  );
  expect(cuts).toBeGreaterThan(500);
});
