import { isDeepStrictEqual } from 'node:util';
import { type ManifestFile, readManifests } from '../../../src/cli/manifest-file.ts';
import { Failure } from '../../../src/fault.ts';
import { annotationKeys, podMembers } from '../dictionary.ts';
import { podSeeds } from '../seeds.ts';
import { hold, type Target } from '../target.ts';

const POD = `# a Pod
apiVersion: v1
kind: Pod
metadata:
  name: web # the name
  annotations: &a
    podpass.dev/audiences: vault
spec:
  containers:
  - name: web
    env:
      - {name: A, value: "0644"}
      - {name: B, value: 0644}
`;
const SEEDS = [
  POD,
  `---\n${POD}---\nkind: List\napiVersion: v1\nitems:\n- kind: Service\n  metadata: {name: x}\n- ${JSON.stringify({ kind: 'Pod' })}\n`,
  'apiVersion: v1\nkind: PodList\nitems:\n- metadata: {name: a, labels: *x}\n',
  'kind: Job\nspec: &s {a: 10:30, b: 1_000, c: 2001-01-01, d: yes, e: 0o7, f: 12345678901234567890}\nother: *s\n',
  'a: &a [1]\nb: &b [*a, *a]\nc: [*b, *b]\n<<: {kind: Pod}\n',
];
const TOKENS = [
  '- ',
  ': ',
  '\n  ',
  '&a ',
  '*a',
  '!!binary ',
  '!!set ',
  '!!omap ',
  '|\n',
  '>-\n',
  '{',
  '}',
  '<<: ',
  '---\n',
  '...\n',
];

/** Any text: objects or a Failure. What is written again has the same objects, and with an addition that and nothing else. */
export const target: Target = {
  name: 'manifest-file',
  shape: 'bytes',
  maxBytes: 4 * 1024,
  dictionary: [...TOKENS, ...podMembers, ...annotationKeys, 'kind: ', 'items:\n', 'List', 'apiVersion: apps/v1\n'],
  seeds: () =>
    [
      ...SEEDS,
      ...podSeeds()
        .slice(0, 20)
        .map(({ pod }) => JSON.stringify(pod, undefined, 1)),
    ].map((each) => Buffer.from(each)),
  judge(bytes) {
    const file = read(bytes.toString());
    if (file === undefined) return;
    const before = shown(file);
    hold(isDeepStrictEqual(shown(readAgain(file)), before), 'what is written has other objects');
    const value = { name: '0644', list: ['yes', null, 1] };
    for (const { value: given, add } of file.objects) {
      if (!Object.hasOwn(given, 'added')) add([{ op: 'add', path: '/added', value }]);
    }
    const expected = before.map(({ json, ...rest }) => ({ ...rest, json: { added: value, ...json } }));
    hold(isDeepStrictEqual(shown(file), expected), 'an addition changes something else');
    hold(isDeepStrictEqual(shown(readAgain(file)), expected), 'what is written after an addition has other objects');
  },
};

/** `undefined` where a Failure says why there are no objects. */
function read(text: string): ManifestFile | undefined {
  try {
    return readManifests(text, 'file');
  } catch (error) {
    if (error instanceof Failure) return undefined;
    throw error;
  }
}

function readAgain(file: ManifestFile): ManifestFile {
  const again = read(file.yaml());
  hold(again !== undefined, 'what is written cannot be read again');
  return again;
}

function shown({ objects }: ManifestFile) {
  return objects.map((object) => {
    const { kind, group, namespace, name } = object;
    return { kind, group, namespace, name, json: object.toJSON() as object };
  });
}
