/** Writes Protocol Buffers, for tests of what reads them. */

export function varint(value: number | bigint): Buffer {
  const bytes: number[] = [];
  let rest = BigInt(value);
  for (; rest > 127n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128);
  return Buffer.from([...bytes, Number(rest)]);
}

/** A field with a length: a text, or a message made of fields. */
export function field(number: number, content: string | readonly Buffer[]): Buffer {
  const bytes = typeof content === 'string' ? Buffer.from(content) : Buffer.concat(content);
  return Buffer.concat([varint(number * 8 + 2), varint(bytes.length), bytes]);
}

export function numberField(number: number, value: number | bigint): Buffer {
  return Buffer.concat([varint(number * 8), varint(value)]);
}

export interface Account {
  namespace?: string;
  name?: string;
  annotations?: Record<string, string>;
}

/** A ServiceAccount with fields around those that are read, as the API server writes them. */
function account({ namespace, name, annotations = {} }: Account): Buffer {
  const metadata = [
    ...(name === undefined ? [] : [field(1, name)]),
    field(2, ''),
    ...(namespace === undefined ? [] : [field(3, namespace)]),
    field(5, '0d5c8f5e-0000-4000-8000-000000000000'),
    field(6, '4711'),
    numberField(7, 0),
    field(8, [numberField(1, 1_700_000_000), numberField(2, 0)]),
    field(11, [field(1, 'podpass.dev/label'), field(2, 'no annotation')]),
    ...Object.entries(annotations).map(([key, value]) => field(12, [field(1, key), field(2, value)])),
    field(17, [field(1, 'kubectl'), field(2, 'Update'), field(7, [field(1, '{"f:metadata":{}}')])]),
  ];
  return Buffer.concat([field(1, metadata), field(2, [field(3, 'a-secret')]), numberField(4, 1)]);
}

/** The answer to a list. */
export function listOf(accounts: readonly Account[], version: string, next = ''): Buffer {
  const list = [
    field(1, [field(1, ''), field(2, version), field(3, next), numberField(4, 1_234_567)]),
    ...accounts.map((each) => field(2, [account(each)])),
  ];
  const typeMeta = [field(1, 'v1'), field(2, 'ServiceAccountList')];
  return Buffer.concat([Buffer.from('k8s\0'), field(1, typeMeta), field(2, list), field(3, ''), field(4, '')]);
}
