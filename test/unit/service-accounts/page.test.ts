import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NO_ANNOTATIONS } from '../../../webhook/service-accounts/account.ts';
import { OutOfStep } from '../../../webhook/service-accounts/kube-json.ts';
import { nextOf, readPage } from '../../../webhook/service-accounts/page.ts';
import { type Account, field, listOf, numberField, varint } from './protobuf-writer.ts';

const PROTOBUF = 'application/vnd.kubernetes.protobuf';
const MAGIC = Buffer.from('k8s\0');
const wanted = (key: string) => key.startsWith('podpass.dev/');

async function read(body: Buffer, contentType?: string) {
  const seen: [string, object][] = [];
  const pauses: number[] = [];
  const { version, next } = await readPage(body, contentType, {
    wanted,
    see: (namespace, name, annotations) => seen.push([`${namespace}/${name}`, annotations]),
    pause: async () => pauses.push(seen.length),
  });
  return { version, next, seen, pauses };
}

function jsonOf(accounts: readonly Account[], version: string, next = ''): Buffer {
  const items = accounts.map((metadata) => ({ metadata }));
  return Buffer.from(JSON.stringify({ metadata: { resourceVersion: version, continue: next }, items }));
}

const accounts = [
  { namespace: 'shop', name: 'web', annotations: { 'podpass.dev/audiences': 'a, b', other: 'x'.repeat(300) } },
  { namespace: 'shop', name: 'plain', annotations: { 'kubectl.kubernetes.io/last-applied-configuration': '{}' } },
  { namespace: 'kube-system', name: 'default' },
  { namespace: 'ünï', name: 'cöde', annotations: { 'podpass.dev/inject': '€ 🦔', 'podpass.dev/containers': '' } },
];

describe.each([
  ['Protocol Buffers', PROTOBUF, listOf],
  ['JSON', 'application/json', jsonOf],
])('a page in %s', (_, contentType, write) => {
  it('has the ServiceAccounts with what is wanted of their annotations', async () => {
    const { version, next, seen } = await read(write(accounts, '42', 'go-on'), contentType);
    expect([version, next]).toEqual(['42', 'go-on']);
    expect(seen).toEqual([
      ['shop/web', { 'podpass.dev/audiences': 'a, b' }],
      ['shop/plain', {}],
      ['kube-system/default', {}],
      ['ünï/cöde', { 'podpass.dev/inject': '€ 🦔', 'podpass.dev/containers': '' }],
    ]);
    expect(seen.map(([, annotations]) => annotations === NO_ANNOTATIONS)).toEqual([false, true, true, false]);
  });

  it('may be empty, and the last one, or not', async () => {
    const nothing = { version: '42', seen: [], pauses: [] };
    expect(await read(write([], '42'), contentType)).toEqual({ ...nothing, next: '' });
    expect(await read(write([], '42', 'more'), contentType)).toEqual({ ...nothing, next: 'more' });
  });

  it('leaves out what has no name or no namespace', async () => {
    const odd = [{ name: 'a' }, { namespace: 'b' }, {}, { namespace: '', name: '' }];
    expect((await read(write([...odd, { namespace: 'c', name: 'd' }], '1'), contentType)).seen).toEqual([['c/d', {}]]);
  });

  it('is none without a version', async () => {
    await expect(read(write(accounts, ''), contentType)).rejects.toThrow(
      new OutOfStep('a list had no resourceVersion'),
    );
  });
});

it('reads the same from both', async () => {
  const text = fc.string({ unit: 'grapheme' });
  const account = fc.record({
    namespace: text,
    name: text,
    annotations: fc.dictionary(
      fc.oneof(
        text,
        text.map((key) => `podpass.dev/${key}`),
      ),
      text,
    ),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(account), fc.string({ minLength: 1 }), fc.string(), async (many, version, next) => {
      // A key `__proto__` is lost on the way into JSON, not on the way out.
      const plain = JSON.parse(JSON.stringify(many)) as Account[];
      expect(await read(listOf(plain, version, next), PROTOBUF)).toEqual(await read(jsonOf(plain, version, next)));
    }),
  );
});

describe('where a list goes on', () => {
  it.each(['', 'go-on', 'ü'.repeat(300)])('is told by the first bytes of a page: %j', (next) => {
    const whole = listOf(accounts, '42', next);
    const told = Array.from({ length: whole.length + 1 }, (_, i) => nextOf(whole.subarray(0, i), PROTOBUF));
    const metadata = field(1, [field(1, ''), field(2, '42'), field(3, next), numberField(4, 1_234_567)]);
    const from = whole.indexOf(metadata) + metadata.length;
    expect(told).toEqual([...Array(from).fill(undefined), ...Array(whole.length + 1 - from).fill(next)]);
  });

  it('is not told by a page of another form', () => {
    const item = field(2, [field(1, [field(1, 'web'), field(3, 'shop')])]);
    const metadata = field(1, [field(2, '42'), field(3, 'go-on')]);
    const first = Buffer.concat([MAGIC, field(2, [metadata, item])]);
    expect(nextOf(first, PROTOBUF)).toBe('go-on');
    expect(nextOf(Buffer.concat([MAGIC, field(2, [item, metadata])]), PROTOBUF)).toBeUndefined();
    expect(nextOf(Buffer.concat([MAGIC, field(2, '')]), PROTOBUF)).toBeUndefined();
    expect(nextOf(first, 'application/json')).toBeUndefined();
    expect(nextOf(jsonOf(accounts, '42', 'go-on'), PROTOBUF)).toBeUndefined();
    expect(nextOf(first, undefined)).toBeUndefined();
  });
});

describe('bytes that are no page', () => {
  it.each([
    ['nothing', Buffer.alloc(0), 'the envelope is missing'],
    ['JSON', jsonOf(accounts, '1'), 'the envelope is missing'],
    ['an envelope around nothing', MAGIC, 'the envelope is empty'],
    ['a length that is too long', Buffer.concat([MAGIC, varint(18), varint(5)]), 'a field is longer than its message'],
    [
      'a length that no machine has',
      Buffer.concat([MAGIC, varint(18), varint(2n ** 64n - 1n)]),
      'a field is longer than its message',
    ],
    ['a number cut off', Buffer.concat([MAGIC, Buffer.from([0x80])]), 'a number is cut off'],
    ['a number without an end', Buffer.concat([MAGIC, Buffer.alloc(11, 0xff)]), 'a number is too long'],
    ['a type that is none', Buffer.concat([MAGIC, varint(8 * 2 + 3)]), 'a field has the unknown type 3'],
    [
      'an item that reaches into the next one',
      Buffer.concat([MAGIC, field(2, [Buffer.concat([varint(18), varint(3)]), numberField(1, 1)])]),
      'a field is longer than its message',
    ],
  ])('%s', async (_, bytes, reason) => {
    const told = `the API server sent no list: ${reason}`;
    await expect(read(bytes, PROTOBUF)).rejects.toThrow(new OutOfStep(told));
  });

  it('are refused wherever the network cuts them', async () => {
    const whole = listOf(accounts, '42', 'go-on');
    // The last two fields of the envelope are empty, and nobody asks for them.
    for (let length = 0; length < whole.length - 4; length++) {
      await expect(read(whole.subarray(0, length), PROTOBUF)).rejects.toThrow(OutOfStep);
    }
  });

  it('never hang it, whatever they are', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), async (noise) => {
        try {
          const page = Buffer.concat([MAGIC, noise]);
          nextOf(page, PROTOBUF);
          await read(page, PROTOBUF);
        } catch (error) {
          expect(error).toBeInstanceOf(OutOfStep);
        }
      }),
    );
  });

  it.each(['{"kind":"Table"}', '{"metadata":null}', '{"metadata":{"resourceVersion":7}}', 'null', '[]', '{'])(
    'as JSON: %s',
    (text) => expect(read(Buffer.from(text))).rejects.toThrow(OutOfStep),
  );

  it('as JSON: a list that goes on with something else than a text', async () => {
    const text = '{"metadata":{"resourceVersion":"7","continue":{}}}';
    await expect(read(Buffer.from(text))).rejects.toThrow(OutOfStep);
  });
});

it('fields with numbers of every kind are passed over', async () => {
  const fixed = Buffer.concat([varint(9 * 8 + 1), Buffer.alloc(8, 255), varint(10 * 8 + 5), Buffer.alloc(4, 255)]);
  const meta = field(1, [numberField(6, 2n ** 63n), fixed, field(2, '7')]);
  expect((await read(Buffer.concat([MAGIC, field(2, [fixed, meta])]), PROTOBUF)).version).toBe('7');
});

it('is read in slices', async () => {
  const many = Array.from({ length: 1_200 }, (_, i) => ({ namespace: 'shop', name: `sa-${i}` }));
  const { seen, pauses } = await read(listOf(many, '7'), PROTOBUF);
  expect([seen.length, pauses]).toEqual([1_200, [500, 1_000]]);
});
