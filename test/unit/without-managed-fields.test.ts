import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { withoutManagedFields } from '../../webhook/without-managed-fields.ts';

const cut = (text: string) => withoutManagedFields(Buffer.from(text));

/** What the text says, with every list of that name emptied. */
const emptied = (text: string) =>
  JSON.parse(text, (key, value) => (key === 'managedFields' && Array.isArray(value) ? [] : value));

describe('the list is emptied', () => {
  test('wherever it stands, and more than once', () => {
    const entry = { manager: 'kubectl', fieldsV1: { 'f:spec': { 'k:{"name":"a]}"}': { '.': {} } } } };
    const review = (list: unknown) => ({
      request: {
        object: { metadata: { managedFields: list }, spec: {} },
        oldObject: { metadata: { managedFields: list } },
      },
    });
    expect(cut(JSON.stringify(review([entry, entry])))).toBe(JSON.stringify(review([])));
  });

  test.each([
    ['an escaped quote and a backslash at the end', String.raw`{"managedFields":["\"]\\","a"],"b":1}`],
    ['letters of more than one byte', '{"ä":"ü","managedFields":["日本]"],"ö":"€"}'],
    ['lists in the list', '{"managedFields":[[[],[{}]],[]],"b":1}'],
    ['an empty list', '{"managedFields":[],"b":1}'],
  ])('with %s', (_, text) => {
    expect(JSON.parse(cut(text))).toEqual(emptied(text));
    expect(JSON.parse(cut(text))).toHaveProperty('managedFields', []);
  });
});

describe('what looks like it stays', () => {
  test.each([
    ['in a text', { annotations: { note: '"managedFields":[1,2]' } }],
    ['in a text, after a backslash of its own', { annotations: { note: '\\"managedFields":[1,2]' } }],
    ['in a key', { '"managedFields":[': [1, 2] }],
    ['as another kind of value', { managedFields: { a: [1] }, other: { managedFields: 'x' } }],
  ])('%s', (_, value) => {
    expect(cut(JSON.stringify(value))).toBe(JSON.stringify(value));
  });

  test('where it has no end', () => {
    for (const text of ['{"managedFields":[', '{"managedFields":[{"a":"]}', String.raw`{"managedFields":["\"]}`])
      expect(cut(text)).toBe(text);
  });
});

test('what is no JSON before or after it stays so', () => {
  for (const text of [
    '{"a":","managedFields":[1],"b":"}',
    '{"a":"x"managedFields":[1]}',
    '{"managedFields":[1]]}',
    '{"managedFields":[1] "b":2}',
    '["managedFields":[1]]',
  ])
    expect(() => JSON.parse(cut(text))).toThrow(SyntaxError);
});

test('any JSON says the same as before, but for these lists', () => {
  const key = fc.oneof(fc.constantFrom('managedFields', '"managedFields":[', 'a\\'), fc.string());
  const { value } = fc.letrec((tie) => ({
    value: fc.oneof(
      { maxDepth: 5 },
      fc.string(),
      fc.integer(),
      fc.constantFrom('\\', '"', ']', '"managedFields":[', '\\"managedFields":[{'),
      fc.array(tie('value'), { maxLength: 4 }),
      fc.dictionary(key, tie('value'), { maxKeys: 4, noNullPrototype: true }),
    ),
  }));
  fc.assert(
    fc.property(value, (each) => {
      const text = JSON.stringify(each);
      expect(JSON.parse(cut(text))).toEqual(emptied(text));
    }),
    { numRuns: 2000, seed: 1 },
  );
});
