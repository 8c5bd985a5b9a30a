import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NO_ANNOTATIONS } from '../../../webhook/service-accounts/account.ts';
import { OutOfStep } from '../../../webhook/service-accounts/kube-json.ts';
import { createPageReader, TooLarge } from '../../../webhook/service-accounts/page.ts';
import { type Account, field, listOf, numberField, varint } from './protobuf-writer.ts';

const PROTOBUF = 'application/vnd.kubernetes.protobuf';
const MAGIC = Buffer.from('k8s\0');
const wanted = (key: string) => key.startsWith('podpass.dev/');

function read(body: Buffer, contentType?: string, cuts: readonly number[] = []) {
  const seen: [string, object][] = [];
  const reader = createPageReader(contentType, {
    wanted,
    see: (namespace, name, annotations) => seen.push([`${namespace}/${name}`, annotations]),
  });
  const ends = [...cuts.map((at) => at % (body.length + 1)), body.length].sort((a, b) => a - b);
  for (const [i, to] of ends.entries()) {
    reader.write(body.subarray(ends[i - 1] ?? 0, to));
  }
  const { version, next } = reader.end();
  return { version, next, seen };
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
  it('has the ServiceAccounts with what is wanted of their annotations', () => {
    const { version, next, seen } = read(write(accounts, '42', 'go-on'), contentType);
    expect([version, next]).toEqual(['42', 'go-on']);
    expect(seen).toEqual([
      ['shop/web', { 'podpass.dev/audiences': 'a, b' }],
      ['shop/plain', {}],
      ['kube-system/default', {}],
      ['ünï/cöde', { 'podpass.dev/inject': '€ 🦔', 'podpass.dev/containers': '' }],
    ]);
    expect(seen.map(([, annotations]) => annotations === NO_ANNOTATIONS)).toEqual([false, true, true, false]);
  });

  it('may be empty, and the last one, or not', () => {
    expect(read(write([], '42'), contentType)).toEqual({ version: '42', next: '', seen: [] });
    expect(read(write([], '42', 'more'), contentType)).toEqual({ version: '42', next: 'more', seen: [] });
  });

  it('leaves out what has no name or no namespace', () => {
    const odd = [{ name: 'a' }, { namespace: 'b' }, {}, { namespace: '', name: '' }];
    expect(read(write([...odd, { namespace: 'c', name: 'd' }], '1'), contentType).seen).toEqual([['c/d', {}]]);
  });

  it('is none without a version', () => {
    expect(() => read(write(accounts, ''), contentType)).toThrow(new OutOfStep('a list had no resourceVersion'));
  });
});

it('reads the same from both, however they are cut', () => {
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
  const [version, next, cuts] = [fc.string({ minLength: 1 }), fc.string(), fc.array(fc.nat(), { maxLength: 9 })];
  fc.assert(
    fc.property(fc.array(account), version, next, cuts, (many, ...[said, more, at]) => {
      // A key `__proto__` is lost on the way into JSON, not on the way out.
      const plain = JSON.parse(JSON.stringify(many)) as Account[];
      const fromJson = read(jsonOf(plain, said, more), 'application/json', at);
      expect(read(listOf(plain, said, more), PROTOBUF, at)).toEqual(fromJson);
    }),
  );
});

describe('while its bytes come', () => {
  it.each(['', 'go-on', 'ü'.repeat(300)])('it is known early where the list goes on: %j', (next) => {
    const whole = listOf(accounts, '42', next);
    const metadata = field(1, [field(1, ''), field(2, '42'), field(3, next), numberField(4, 1_234_567)]);
    const reader = createPageReader(PROTOBUF, { wanted, see: () => undefined });
    const told = Array.from(whole, (_, i) => {
      reader.write(whole.subarray(i, i + 1));
      return reader.next;
    });
    const from = whole.indexOf(metadata) + metadata.length - 1;
    expect(told).toEqual([...Array(from).fill(undefined), ...Array(whole.length - from).fill(next)]);
    expect(reader.end()).toMatchObject({ version: '42', next });
  });

  it('each ServiceAccount is seen as soon as it is there, and nothing of its bytes is held', () => {
    const whole = Buffer.from(listOf(accounts, '42'));
    const seen: string[] = [];
    const reader = createPageReader(PROTOBUF, { wanted, see: (_, name) => seen.push(name) });
    const to = whole.indexOf('kube-system');
    const piece = whole.subarray(0, to);
    reader.write(piece);
    expect(seen).toEqual(['web', 'plain']);
    piece.fill(0);
    reader.write(whole.subarray(to));
    reader.end();
    expect(seen).toEqual(['web', 'plain', 'default', 'cöde']);
  });

  it('no field grows without an end', () => {
    const reader = createPageReader(PROTOBUF, { wanted, see: () => undefined });
    reader.write(Buffer.concat([MAGIC, varint(18), varint(2 ** 29), varint(18), varint(2 ** 28)]));
    const mebibyte = Buffer.alloc(1024 * 1024);
    const writeAll = () => {
      for (let i = 0; i < 20; i++) reader.write(mebibyte);
    };
    expect(writeAll).toThrow(new OutOfStep('the API server sent no list: a field is over 16777216 bytes'));
  });

  it('JSON is not longer than can be read at once', () => {
    const reader = createPageReader('application/json', { wanted, see: () => undefined });
    reader.write(Buffer.alloc(16 * 1024 * 1024));
    expect(() => reader.write(Buffer.alloc(1))).toThrow(TooLarge);
  });
});

describe('bytes that are no page', () => {
  it.each([
    ['nothing', Buffer.alloc(0), 'there is no list in it'],
    ['JSON', jsonOf(accounts, '1'), 'the envelope is missing'],
    ['an envelope around nothing', MAGIC, 'there is no list in it'],
    ['a length that is too long', Buffer.concat([MAGIC, varint(18), varint(5)]), 'it is cut off'],
    [
      'a length that no machine has',
      Buffer.concat([MAGIC, varint(18), varint(2n ** 64n - 1n)]),
      'a field is longer than its message',
    ],
    ['a number cut off', Buffer.concat([MAGIC, Buffer.from([0x80])]), 'there is no list in it'],
    ['a number without an end', Buffer.concat([MAGIC, Buffer.alloc(11, 0xff)]), 'a number is too long'],
    ['a type that is none', Buffer.concat([MAGIC, varint(8 * 2 + 3)]), 'a field has the unknown type 3'],
    [
      'an item that reaches into the next one',
      Buffer.concat([MAGIC, field(2, [Buffer.concat([varint(18), varint(3)]), numberField(1, 1)])]),
      'a field is longer than its message',
    ],
    [
      'a number at the end of the list that is cut off',
      Buffer.concat([MAGIC, field(2, [Buffer.from([0x08, 0x80])]), field(3, '')]),
      'a number is cut off',
    ],
  ])('%s', (_, bytes, reason) => {
    const told = new OutOfStep(`the API server sent no list: ${reason}`);
    expect(() => read(bytes, PROTOBUF)).toThrow(told);
    // Byte by byte, too.
    expect(() => read(bytes, PROTOBUF, [...bytes.keys()])).toThrow(told);
  });

  it('are refused wherever the network cuts them', () => {
    const whole = listOf(accounts, '42', 'go-on');
    // The last two fields of the envelope are empty, and nobody asks for them.
    for (let length = 0; length < whole.length - 4; length++) {
      expect(() => read(whole.subarray(0, length), PROTOBUF)).toThrow(OutOfStep);
    }
  });

  it('never hang it, whatever they are', () => {
    const outcome = (bytes: Buffer, cuts: readonly number[]) => {
      try {
        return read(bytes, PROTOBUF, cuts);
      } catch (error) {
        expect(error).toBeInstanceOf(OutOfStep);
        return (error as Error).message;
      }
    };
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.array(fc.nat(), { maxLength: 9 }), (noise, cuts) => {
        const page = Buffer.concat([MAGIC, noise]);
        expect(outcome(page, cuts)).toEqual(outcome(page, []));
      }),
    );
  });

  it.each(['{"kind":"Table"}', '{"metadata":null}', '{"metadata":{"resourceVersion":7}}', 'null', '[]', '{'])(
    'as JSON: %s',
    (text) => expect(() => read(Buffer.from(text))).toThrow(OutOfStep),
  );

  it('as JSON: a list that goes on with something else than a text', () => {
    expect(() => read(Buffer.from('{"metadata":{"resourceVersion":"7","continue":{}}}'))).toThrow(OutOfStep);
  });
});

it('fields with numbers of every kind are passed over', () => {
  const fixed = Buffer.concat([varint(9 * 8 + 1), Buffer.alloc(8, 255), varint(10 * 8 + 5), Buffer.alloc(4, 255)]);
  const meta = field(1, [numberField(6, 2n ** 63n), fixed, field(2, '7')]);
  const page = Buffer.concat([MAGIC, numberField(9, 1), field(2, [fixed, meta, numberField(3, 7), fixed]), fixed]);
  expect(read(page, PROTOBUF).version).toBe('7');
  expect(read(page, PROTOBUF, [...page.keys()]).version).toBe('7');
});
