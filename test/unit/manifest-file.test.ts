import { describe, expect, test } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { readManifests } from '../../src/cli/manifest-file.ts';
import { Failure } from '../../src/fault.ts';

const read = (text: string) => readManifests(text, 'pods.yaml');
const values = (text: string) => parseAllDocuments(text).map((document) => document.toJS());

const POD = `# the shop
apiVersion: v1
kind: Pod
metadata:
  name: web # its name
spec:
  containers:
  - name: web
    image: "a:1"
    env: []
`;

test('a file without additions stays as it is', () => {
  for (const text of [
    POD,
    `---\n${POD}`,
    `${POD}---\n${POD}`,
    POD.replaceAll('  - ', '    - ').replaceAll('\n    image', '\n      image').replaceAll('\n    env', '\n      env'),
  ]) {
    expect(values(read(text).yaml())).toEqual(values(text));
  }
  expect(read(POD).yaml()).toBe(POD);
});

test('an object says what and where it is', () => {
  const [pod, deployment, list] = read(
    `${POD}---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {namespace: shop, generateName: web-}\n---\nkind: Odd\n`,
  ).objects;
  expect(pod).toMatchObject({ kind: 'Pod', group: '', namespace: 'default', name: 'web' });
  expect(deployment).toMatchObject({ kind: 'Deployment', group: 'apps', namespace: 'shop', name: 'web-' });
  expect(list).toMatchObject({ kind: 'Odd', group: '', namespace: 'default' });
});

test('additions come in place, and comments and quotes stay', () => {
  const file = read(POD);
  const [pod] = file.objects;
  pod?.add([
    { op: 'add', path: '/spec/volumes', value: [{ name: 'v' }] },
    { op: 'add', path: '/spec/containers/0/env/-', value: { name: 'A', value: '1' } },
    { op: 'add', path: '/metadata/annotations', value: { 'a~b/c': 'x' } },
    { op: 'add', path: '/metadata/annotations/a~0b~1c', value: 'y' },
  ]);
  const text = file.yaml();
  expect(text).toContain('# the shop');
  expect(text).toContain('name: web # its name');
  expect(text).toContain('"a:1"');
  const expected = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'web', annotations: { 'a~b/c': 'y' } },
    spec: { containers: [{ name: 'web', image: 'a:1', env: [{ name: 'A', value: '1' }] }], volumes: [{ name: 'v' }] },
  };
  expect(parse(text)).toEqual(expected);
  expect(pod?.toJSON()).toEqual(expected);
});

test('the items of a list are objects, and additions go to the right one', () => {
  const file = read(
    'apiVersion: v1\nkind: List\nitems:\n- {kind: A, metadata: {name: a}}\n- {kind: B, metadata: {name: b}}\n---\nkind: C\n',
  );
  expect(file.objects.map(({ kind }) => kind)).toEqual(['A', 'B', 'C']);
  file.objects[1]?.add([{ op: 'add', path: '/metadata/labels', value: { x: 'y' } }]);
  expect(values(file.yaml())).toEqual([
    {
      apiVersion: 'v1',
      kind: 'List',
      items: [
        { kind: 'A', metadata: { name: 'a' } },
        { kind: 'B', metadata: { name: 'b', labels: { x: 'y' } } },
      ],
    },
    { kind: 'C' },
  ]);
  expect(parse(file.objects[1]?.yaml() ?? '')).toEqual({ kind: 'B', metadata: { name: 'b', labels: { x: 'y' } } });
});

test('the items of a PodList are Pods, though they do not say so', () => {
  const [pod] = read('apiVersion: v1\nkind: PodList\nitems:\n- metadata: {name: a}\n').objects;
  expect(pod).toMatchObject({ kind: 'Pod', group: '', name: 'a' });
});

describe('YAML is read as kubectl reads it', () => {
  const value = (text: string) => read(`kind: X\nvalue: ${text}\n`).objects[0]?.value.value;
  test.each([
    ['0644', 420],
    ['yes', true],
    ['off', false],
    ['10:30', '10:30'],
    ['2026-01-02', '2026-01-02'],
    ['1.10', 1.1],
    ['"0644"', '0644'],
    ['~', null],
    ['0o17', '0o17'],
    ['1e3', 1000],
    ['.5', 0.5],
  ])('%s is %j', (text, expected) => expect(value(text)).toEqual(expected));

  test('what is added is read back as the text it is, by readers of YAML 1.1 and 1.2', () => {
    for (const added of [
      'yes',
      'n',
      '0644',
      '0x1f',
      '1e3',
      '~',
      'null',
      '',
      '*a',
      '#',
      'a: b',
      '- a',
      '1_000',
      '.inf',
      '=',
      '<<',
      'a\nb',
      ' a ',
    ]) {
      const file = read('kind: X\nmap: {a: b}\n');
      file.objects[0]?.add([{ op: 'add', path: '/map/key', value: added }]);
      for (const version of ['1.1', '1.2'] as const)
        expect([added, parse(file.yaml(), { version })]).toEqual([added, { kind: 'X', map: { a: 'b', key: added } }]);
    }
  });
});

describe('anchors and aliases', () => {
  const text = 'kind: X\na: &shared\n  list: [1]\nb: *shared\nc:\n  <<: *shared\n  d: 1\n';

  test('stay where nothing is added', () => expect(values(read(text).yaml())).toEqual(values(text)));

  test('an addition reaches the place it is for, and no other', () => {
    const file = read(text);
    file.objects[0]?.add([
      { op: 'add', path: '/a/list/-', value: 2 },
      { op: 'add', path: '/b/list/-', value: 3 },
    ]);
    expect(parse(file.yaml(), { merge: true })).toEqual({
      kind: 'X',
      a: { list: [1, 2] },
      b: { list: [1, 3] },
      c: { list: [1], d: 1 },
    });
  });

  test('the same in the same file twice', () => {
    const file = read(text);
    for (const value of [2, 3]) file.objects[0]?.add([{ op: 'add', path: '/b/list/-', value }]);
    expect(file.objects[0]?.toJSON()).toEqual({
      kind: 'X',
      a: { list: [1] },
      b: { list: [1, 2, 3] },
      c: { list: [1], d: 1 },
    });
  });
});

test('JSON is YAML', () => {
  const file = read('{"kind": "X", "metadata": {"name": "a\\u00e9\\/b"}}');
  expect(file.objects[0]).toMatchObject({ kind: 'X', name: 'aé/b' });
});

test('empty documents are no objects', () => {
  expect(read(`---\n---\n${POD}---\n# end\n`).objects).toHaveLength(1);
});

test('Windows line ends are fine', () => {
  expect(read(POD.replaceAll('\n', '\r\n')).objects[0]?.toJSON()).toEqual(parse(POD));
});

test.each([
  ['an empty file', ''],
  ['a file of comments', '# nothing\n'],
  ['no YAML', 'a: [1\nb: 2'],
  ['tabs', 'a:\n\tb: 1'],
  ['a text', 'hello'],
  ['a list', '- a'],
  ['a key twice', 'kind: X\nkind: Y'],
  ['a List whose items are none', 'kind: List\nitems: 1'],
  ['a List with an item that is none', 'kind: List\nitems: [1]'],
  ['an alias of nothing', 'kind: *a'],
  [
    'aliases without end',
    `kind: X\na: &a [x, x, x, x, x, x, x, x, x, x]\n${[...'bcdefgh'].map((key, i) => `${key}: &${key} [${Array(10).fill(`*${'abcdefgh'[i]}`).join()}]`).join('\n')}\n`,
  ],
])('%s cannot be read, and the file is named', (_, text) => {
  expect(() => read(text)).toThrow(Failure);
  expect(() => read(text)).toThrow(/pods\.yaml/);
});

test('numbers are written again as they were, whatever JavaScript makes of them', () => {
  const text = 'kind: Foo\nspec: { big: 12345678901234567890, under: 1_000, huge: 1e400, mode: 0644, half: 1.50 }\n';
  expect(read(text).yaml()).toBe(text);
});

test('a List in a List has its objects too', () => {
  const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'a' } };
  const text = JSON.stringify({ kind: 'List', items: [{ kind: 'List', items: [pod] }] });
  expect(read(text).objects.map(({ kind, name }) => `${kind} ${name}`)).toEqual(['Pod a']);
});
