/**
 * What somebody may write to harm others or to fool people: each row says what it tries and what becomes of it. The tests
 * beside this file send every row to the webhook, those in `cluster` create the Pods among them on a real API server.
 */

export interface Case {
  readonly name: string;
  readonly tries: string;
  /** The whole Pod. */
  readonly pod?: object;
  /** In place of a Pod: the bytes of the review, or the text of its object. */
  readonly body?: () => string | Buffer;
  readonly object?: () => string;
  /** The annotations of its ServiceAccount. */
  readonly account?: Readonly<Record<string, string>>;
  readonly expect: Expected;
  /** False: no API server lets it through to a webhook as it is here, so that only the webhook itself is asked. */
  readonly real?: false;
}

export type Expected =
  /** Refused as a user's mistake, with each of these in the message. */
  | { readonly denied: readonly string[] }
  /** No answer to it as a review. */
  | { readonly status: 400 | 413 | 415 }
  /** Harmless: what the Pod got, as `gains` tells it. */
  | { readonly gets: readonly string[] };

// ---- parts -----------------------------------------------------------------------------------------------------------

type Annotations = Readonly<Record<string, string>>;

const own = (annotations: Annotations): Annotations =>
  Object.fromEntries(Object.entries(annotations).map(([key, value]) => [`podpass.dev/${key}`, value]));

const web = { name: 'web', image: 'app:1' };

/** A Pod that asks for the token `vault`, with options of podpass, and what differs in its spec. */
function asking(options: Annotations = {}, spec: object = {}): object {
  return annotated(own({ audiences: 'vault', ...options }), spec);
}

function annotated(annotations: Annotations, spec: object = {}, metadata: object = {}): object {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'web', annotations, ...metadata },
    spec: { serviceAccountName: 'app', automountServiceAccountToken: false, containers: [web], ...spec },
  };
}

const windows = { os: { name: 'windows' } };
const mounting = (mountPath: string, more: object = {}) => ({
  volumes: [{ name: 'data', emptyDir: {} }],
  containers: [{ ...web, volumeMounts: [{ name: 'data', mountPath }] }],
  ...more,
});

/** What a Pod with the token `vault` gets. */
const vaultAt = (folder: string) => [`podpass-tokens = vault`, `web: podpass-tokens at ${folder}`];
const VAULT = vaultAt('/var/run/secrets/podpass.dev/tokens');

const path = (name: string, mountPath: string, wrong: string): Case => ({
  name: `mount-path: ${name}`,
  tries: `to hide a system folder as ${JSON.stringify(mountPath)}`,
  pod: asking({ 'mount-path': mountPath }),
  expect: { denied: ['podpass.dev/mount-path', wrong] },
});

const taken = (name: string, spec: object, mountPath: string): Case => ({
  name: `taken mount: ${name}`,
  tries: 'to have a mount of its own hidden by the tokens, or the tokens by it',
  pod: asking({ 'mount-path': mountPath }, spec),
  expect: { denied: ['podpass.dev/mount-path', 'equals or lies above'] },
});

const ROLE = { 'eks.amazonaws.com/role-arn': 'arn:aws:iam::111122223333:role/r' };
const AWS_FOLDER = '/var/run/secrets/eks.amazonaws.com/serviceaccount';
const withRole = (role: string) => [
  'aws-iam-token = sts.amazonaws.com',
  `web: aws-iam-token at ${AWS_FOLDER}`,
  `web: AWS_ROLE_ARN=${role}`,
  `web: AWS_WEB_IDENTITY_TOKEN_FILE=${AWS_FOLDER}/token`,
];
const PROVIDER = 'projects/1/locations/global/workloadIdentityPools/p/providers/c';
const gcp = (email: string, provider = PROVIDER) => ({
  'cloud.google.com/workload-identity-provider': provider,
  'cloud.google.com/service-account-email': email,
});

const repeated = (text: (index: number) => string, times: number) =>
  Array.from({ length: times }, (_, i) => text(i)).join();
/** The text of a Pod that asks for tokens and has this spec. */
const large = (spec: string, annotations: Annotations = own({ audiences: 'vault' })) =>
  `{"metadata":{"name":"web","annotations":${JSON.stringify(annotations)}},"spec":{"serviceAccountName":"app",${spec}}}`;
const review = (object: string, members = '') =>
  `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"u","namespace":"shop","operation":"CREATE"${members},"object":${object}}}`;
const POD = JSON.stringify(asking());
const asText = (name: string, tries: string, object: () => string, expect: Expected): Case => ({
  name,
  tries,
  object,
  expect,
  real: false,
});
const asBody = (name: string, tries: string, body: () => string | Buffer, expect: Expected): Case => ({
  name,
  tries,
  body,
  expect,
  real: false,
});

// ---- the table -------------------------------------------------------------------------------------------------------

const paths: readonly Case[] = [
  path('two slashes', '//etc//ssl', 'lies in or above /etc'),
  path('dots', '/./etc/.', 'lies in or above /etc'),
  path('a slash at the end', '/proc/', 'lies in or above /proc'),
  path('two dots', '/srv/../etc', 'has ".." in it'),
  path('the root in disguise', '/./', 'is the root folder'),
  path('the link', '/run/secrets/kubernetes.io/serviceaccount', 'lies in or above /run/secrets/kubernetes.io'),
  path('above the link', '/run', 'lies in or above /run/secrets/kubernetes.io'),
  path('another /lib', '/lib32/x', 'is a system path'),
  path('Windows two dots', '/srv\\..\\Windows', 'has ".." in it'),
  path('Windows slashes', '/\\etc', 'lies in or above /etc'),
  path('Windows folder', '/WINDOWS./System32', 'is a system path of Windows'),
  path('Windows programs', '/Program Files (x86)', 'is a system path of Windows'),
  path('Windows drive', 'C:\\Windows', 'is not an absolute path'),
  path('Windows stream', '/srv:x', 'has ":" in it'),
  path('a line break', '/srv/a\nb', 'has control characters in it'),
  path('NUL', '/srv\u0000/x', 'has control characters in it'),
  {
    name: 'mount-path: another letter that looks like one',
    tries: 'to be taken for /etc by people; the kernel knows the difference',
    pod: asking({ 'mount-path': '/ｅtc' }),
    expect: { gets: vaultAt('/ｅtc') },
  },
  {
    name: 'mount-path: of 200 KB in 1,000 containers',
    tries: 'to have a small annotation multiplied',
    pod: asking(
      { 'mount-path': `/${'x'.repeat(200_000)}` },
      { containers: Array.from({ length: 1000 }, (_, i) => ({ name: `c${i}`, image: 'a:1' })) },
    ),
    expect: { denied: ['or 3145728 characters'] },
  },
  taken('the same by the link', mounting('/run/tokens'), '/var/run/tokens'),
  taken('below by the link', mounting('/var/run/tokens/a/b'), '/run/tokens/'),
  taken('relative', mounting('srv/tokens/./x'), '/srv/tokens'),
  taken('up and down', mounting('/srv/a/../tokens'), '/srv/tokens'),
  taken('Windows spelling', mounting('c:\\SRV\\Tokens.\\in', windows), '/srv/tokens'),
  {
    name: 'taken mount: the folder of the preset aws, by the link',
    tries: 'to mount a volume where the SDKs read the token of the preset',
    pod: annotated({}, mounting('/run/secrets/eks.amazonaws.com/serviceaccount/')),
    account: ROLE,
    expect: { denied: ['volumeMounts[0].mountPath', 'the preset aws mounts'] },
  },
  {
    name: 'mount-path: the folder of the preset aws, by the link',
    tries: 'to have two volumes of podpass at one place',
    pod: asking({ 'mount-path': '/run/secrets/eks.amazonaws.com/serviceaccount' }),
    account: ROLE,
    expect: { denied: ['podpass.dev/mount-path', 'the preset aws mounts'] },
  },
  {
    name: 'mount: all of /run',
    tries: 'nothing bad: images with a read-only root often need it',
    pod: asking({}, mounting('/run')),
    expect: { gets: VAULT },
  },
];

const names: readonly Case[] = [
  {
    name: 'file: ..data',
    tries: 'to overwrite what the kubelet links to',
    pod: annotated(own({ 'audience...data': 'vault' })),
    expect: { denied: ['is a reserved file name'] },
  },
  {
    name: 'file: up',
    tries: 'to write outside of the volume',
    pod: annotated(own({ audiences: '../../etc/passwd, .., %2e%2e%2f' })),
    expect: { denied: ['".." gives the file name ""'] },
  },
  {
    name: 'file: with a slash',
    tries: 'to write into another folder',
    pod: annotated(own({ 'audience.a/b': 'vault' })),
    expect: { denied: ['"vault" is for a token whose name has characters'] },
  },
  {
    name: 'file: two spellings of one audience',
    tries: 'to have one token overwrite another',
    pod: annotated(own({ audiences: 'https://a.example/b, http://a.example:b' })),
    expect: { denied: ['makes the token file "a.example-b", as'] },
  },
  {
    name: 'file: two cases on Linux',
    tries: 'nothing: they are two files',
    pod: annotated(own({ audiences: 'API, api' })),
    expect: { gets: ['podpass-tokens = API, api', VAULT[1] ?? ''] },
  },
  {
    name: 'file: two cases on Windows',
    tries: 'to have one token overwrite another',
    pod: annotated(own({ audiences: 'API, api' }), windows),
    expect: { denied: ['"api" is the same file on Windows as "API"'] },
  },
  {
    name: 'file: a dot at the end on Windows',
    tries: 'to have one token overwrite another',
    pod: annotated(own({ 'audience.api': 'a', 'audience.api.': 'b' }), windows),
    expect: { denied: ['"api." is the same file on Windows as "api"'] },
  },
  {
    name: 'file: a device on Windows',
    tries: 'to make the kubelet write into a device',
    pod: annotated(own({ 'audience.NUL.txt': 'a', audiences: 'com1' }), windows),
    expect: { denied: ['"NUL.txt" is the name of a device', '"com1" is the name of a device'] },
  },
  {
    name: 'file: two normal forms',
    tries: 'to pass two audiences off as one',
    pod: annotated(own({ audiences: 'caf\u00e9 cafe\u0301' })),
    expect: { gets: ['podpass-tokens = caf\u00e9, cafe\u0301', VAULT[1] ?? ''] },
  },
  {
    name: 'volume: ours as a ConfigMap',
    tries: 'to have podpass mount what it did not write',
    pod: asking({}, { volumes: [{ name: 'podpass-tokens', configMap: { name: 'x' } }] }),
    expect: { denied: ['spec.volumes[0].name: "podpass-tokens"'] },
  },
  {
    name: "volume: ours with the API server's audience",
    tries: 'to have podpass mount such a token',
    pod: asking(
      {},
      {
        volumes: [
          {
            name: 'podpass-tokens',
            projected: {
              sources: [{ serviceAccountToken: { audience: 'apiserver', expirationSeconds: 3600, path: 'vault' } }],
            },
          },
        ],
      },
    ),
    expect: { denied: ['spec.volumes[0].name: "podpass-tokens"'] },
  },
  {
    name: "volume: the preset's as an emptyDir",
    tries: 'to have the SDKs read what the Pod wrote',
    pod: annotated({}, { volumes: [{ name: 'aws-iam-token', emptyDir: {} }] }),
    account: ROLE,
    expect: { denied: ['spec.volumes[0].name: "aws-iam-token"'] },
  },
  {
    name: 'mount: ours, writable and elsewhere',
    tries: 'to see tokens in a container that is to see none',
    pod: asking(
      { 'skip-containers': 'spy' },
      { containers: [web, { name: 'spy', image: 'a:1', volumeMounts: [{ name: 'podpass-tokens', mountPath: '/x' }] }] },
    ),
    expect: { denied: ['spec.containers[1].volumeMounts[0]'] },
  },
  {
    name: 'mount: a part of ours',
    tries: 'to see a token that is never renewed',
    pod: asking(
      {},
      {
        containers: [
          { ...web, volumeMounts: [{ name: 'podpass-tokens', mountPath: '/x', subPath: 'vault', readOnly: true }] },
        ],
      },
    ),
    expect: { denied: ['spec.containers[0].volumeMounts[0]'] },
  },
  {
    name: 'variable: taken in another case on Windows',
    tries: 'to have two variables that are one',
    pod: asking(
      { 'env.vault': 'VAULT_FILE' },
      { ...windows, containers: [{ ...web, env: [{ name: 'Vault_File', value: 'mine' }] }] },
    ),
    expect: { gets: VAULT },
  },
  {
    name: 'injected: forged',
    tries: 'to pass for a Pod that podpass has done its work on',
    pod: asking({ injected: 'vault,aws,admin' }),
    expect: { gets: VAULT },
  },
  {
    name: 'injected: forged on a Pod that asks for nothing',
    tries: 'the same; it remains what the user wrote, and there is no token',
    pod: annotated(own({ injected: 'vault' })),
    expect: { gets: [] },
  },
];

const texts: readonly Case[] = [
  {
    name: 'value: $(VAR) in the folder',
    tries: 'to have the kubelet put a secret of the container into a path',
    pod: asking({ 'mount-path': '/srv/$(SECRET)', 'env.vault': 'VAULT_FILE' }),
    expect: { gets: [...vaultAt('/srv/$(SECRET)'), 'web: VAULT_FILE=/srv/$$(SECRET)/vault'] },
  },
  {
    name: 'value: $(VAR) as the name of a variable',
    tries: 'the same',
    pod: asking({ 'env.vault': '$(PATH)' }),
    expect: { denied: ['is not the name of a variable'] },
  },
  {
    name: 'value: $(VAR) in a role',
    tries: "the same; what the ServiceAccount says is written as the cloud's own webhook writes it, with a warning",
    pod: annotated({}),
    account: { 'eks.amazonaws.com/role-arn': 'arn:aws:iam::$(ACCOUNT):role/r' },
    expect: { gets: withRole('arn:aws:iam::$(ACCOUNT):role/r') },
  },
  {
    name: 'role: with control characters',
    tries: 'to break lines in logs; it is no ARN, and a value as any other for Kubernetes',
    pod: annotated({}),
    account: { 'eks.amazonaws.com/role-arn': 'arn:aws\u001b[2J\n:iam' },
    expect: { gets: withRole('arn:aws\u001b[2J\n:iam') },
  },
  {
    name: "audience: the API server's, through the preset aws",
    tries: 'to get a token that the API server accepts',
    pod: annotated({}),
    account: { ...ROLE, 'eks.amazonaws.com/audience': ' apiserver\n' },
    expect: { denied: ['eks.amazonaws.com/audience', 'is reserved'] },
  },
  {
    name: 'audience: empty, through the preset gcp',
    tries: "the same: an empty one is the API server's",
    pod: annotated({}),
    account: { ...gcp('a@p.iam.gserviceaccount.com'), 'cloud.google.com/audience': '' },
    expect: { denied: ['cloud.google.com/audience', 'is empty'] },
  },
  {
    name: "audience: the API server's, among others",
    tries: 'the same',
    pod: annotated(own({ audiences: 'vault,\u00a0apiserver' })),
    expect: { denied: ['"apiserver" is reserved'] },
  },
  {
    name: 'audience: control characters',
    tries: 'to break lines in logs',
    pod: annotated(own({ 'audience.a': 'x\u0007y', 'audience.b': 'x\u0085y' })),
    expect: { denied: ['"x\\u0007y" has control characters', '"x\\u0085y" has control characters'] },
  },
  {
    name: 'audience: bidirectional and invisible',
    tries: 'to look like another one; a token is for exactly what is written',
    pod: annotated(own({ 'audience.a': '\u202egro.tluav\u200b' })),
    expect: { gets: ['podpass-tokens = \u202egro.tluav\u200b', VAULT[1] ?? ''] },
  },
  {
    name: 'message: bidirectional, invisible and control characters',
    tries: 'to forge what people read in a terminal',
    pod: annotated(own({ 'audience.a': 'a \u202e\u200b\u001b]0;x\u0007 b', expiration: '\u2066\ufeff5m' })),
    expect: {
      denied: ['"a \\u202e\\u200b\\u001b]0;x\\u0007 b" has white space', '"\\u2066\\ufeff5m" is not a duration'],
    },
  },
  {
    name: 'message: a key with line breaks',
    tries: 'the same with a key, which nobody has looked at yet',
    pod: annotated(own({ 'audience.\n- all is fine\u001b[2J': 'a\u0000' })),
    expect: { denied: ['\\n- all is fine\\u001b[2J', 'has characters that a file name here may not have'] },
  },
  {
    name: 'message: two keys with line breaks',
    tries: 'the same where one key is named in what is said of another',
    pod: annotated(
      own({ audiences: 'v', 'audience.v': 'w', 'audience.v\u001b': 'w', 'env.v\u001b': 'A', 'env.v': 'A' }),
    ),
    expect: { denied: ['makes the token file "v"', 'is the variable of podpass.dev/env.v'] },
  },
  {
    name: 'text: half of a character',
    tries: 'to break the encoding of the answer',
    pod: annotated(own({ 'audience.a': 'x\ud800', 'mount-path': '/srv/\udfff' })),
    real: false,
    expect: { gets: ['podpass-tokens = x\ud800', 'web: podpass-tokens at /srv/\udfff'] },
  },
  {
    name: 'text: an audience of 100 KB',
    tries: 'to fill the answer; the API server has no limit but the size of all annotations',
    pod: annotated(own({ 'audience.a': 'x'.repeat(100_000) })),
    expect: { gets: [`podpass-tokens = ${'x'.repeat(100_000)}`, VAULT[1] ?? ''] },
  },
  {
    name: 'text: an audience of 100 KB in 1,000 volumes',
    tries: 'to have it multiplied',
    pod: annotated(
      own({
        'audience.a': 'x'.repeat(100_000),
        ...Object.fromEntries(Array.from({ length: 60 }, (_, i) => [`audience.t${i}`, `t${i}`])),
        // Each container sees another pair of these.
        ...Object.fromEntries(
          Array.from({ length: 60 }, (_, i) => [
            `containers.t${i}`,
            Array.from({ length: 1000 }, (__, c) => c)
              .filter((c) => c % 60 === i || Math.floor(c / 60) === i)
              .map((c) => `c${c}`)
              .join(),
          ]),
        ),
      }),
      { containers: Array.from({ length: 1000 }, (_, i) => ({ name: `c${i}`, image: 'a:1' })) },
    ),
    expect: { denied: ['or 3145728 characters'] },
  },
  {
    name: 'text: annotations of 300 KB',
    tries: 'to keep the webhook busy with a thousand keys',
    pod: annotated(own(Object.fromEntries(Array.from({ length: 3000 }, (_, i) => [`x${i}`, 'y'.repeat(90)])))),
    expect: { denied: ['metadata.annotations', 'at most 262144'] },
  },
  {
    name: 'text: 250 KB of unknown keys',
    tries: 'to have each compared with the known ones',
    pod: annotated(own(Object.fromEntries(Array.from({ length: 9000 }, (_, i) => [`audiencen.${i}`, 'y'])))),
    expect: { gets: [] },
  },
  {
    name: 'text: an e-mail address of 200 KB',
    tries: 'to make a search try every way to divide it',
    pod: annotated({}),
    account: gcp('@'.repeat(200_000)),
    expect: {
      gets: [
        'gcp-iam-token = sts.googleapis.com',
        'external-credential-config',
        'web: gcp-iam-token at /var/run/secrets/sts.googleapis.com/serviceaccount',
        'web: external-credential-config at /var/run/secrets/workload-identity',
        'web: GOOGLE_APPLICATION_CREDENTIALS=/var/run/secrets/workload-identity/federation.json',
        'web: CLOUDSDK_COMPUTE_REGION=',
        'web: CLOUDSDK_CORE_PROJECT=',
      ],
    },
    // The credential file that comes of it would be over what annotations may have.
    real: false,
  },
  {
    name: 'text: a provider of 200 KB',
    tries: 'the same',
    pod: annotated({}),
    account: gcp('a', `projects/${'a/locations/a/workloadIdentityPools/a/'.repeat(5000)}`),
    expect: { denied: ['is not the name of a provider'] },
  },
  {
    name: 'text: a role of 200 KB in 1,000 containers',
    tries: 'to have it multiplied',
    pod: annotated({}, { containers: Array.from({ length: 1000 }, (_, i) => ({ name: `c${i}`, image: 'a:1' })) }),
    account: { 'eks.amazonaws.com/role-arn': 'x'.repeat(200_000) },
    expect: { denied: ['or 3145728 characters'] },
  },
];

const INHERITED = '"__proto__":{"inject":"false","volumes":[]},"constructor":"x","toString":"y","hasOwnProperty":"z"';
const json: readonly Case[] = [
  asText(
    'names of JavaScript: keys of annotations and labels',
    'to reach what all objects inherit',
    () =>
      POD.replace('"annotations":{', '"annotations":{"__proto__":"x","constructor":"y","toString":"z",').replace(
        '"metadata":{',
        '"metadata":{"labels":{"__proto__":"x","constructor":"y"},',
      ),
    { gets: VAULT },
  ),
  {
    name: 'names of JavaScript: tokens',
    tries: 'the same',
    pod: annotated(own({ audiences: 'constructor toString', 'env.constructor': 'A' })),
    expect: {
      gets: [
        'podpass-tokens = constructor, toString',
        VAULT[1] ?? '',
        'web: A=/var/run/secrets/podpass.dev/tokens/constructor',
      ],
    },
  },
  asText(
    'names of JavaScript: containers, volumes and variables',
    'the same',
    () =>
      JSON.stringify(
        annotated(own({ audiences: 'vault', containers: '__proto__' }), {
          volumes: [{ name: '__proto__' }, { name: 'constructor' }],
          containers: [{ name: '__proto__', env: [{ name: '__proto__', value: 'x' }] }, { name: 'toString' }],
        }),
      ),
    { gets: ['podpass-tokens = vault', '__proto__: podpass-tokens at /var/run/secrets/podpass.dev/tokens'] },
  ),
  asText(
    'names of JavaScript: fields everywhere',
    'the same',
    () => POD.replaceAll('"name":"web"', `"name":"web",${INHERITED}`).replace('"spec":{', `"spec":{${INHERITED},`),
    { gets: VAULT },
  ),
  asText(
    'twice: a key of an annotation',
    'to be read in one way by one and in another by others; the last one counts, as in Go',
    () => POD.replace('"annotations":{', '"annotations":{"podpass.dev/audiences":"apiserver",'),
    { gets: VAULT },
  ),
  asText(
    'twice: the spec',
    'the same',
    () => POD.replace('"spec":{', '"spec":{"volumes":[{"name":"podpass-tokens"}],"containers":[]},"spec":{'),
    { gets: VAULT },
  ),
  asText(
    'numbers: beyond all bounds',
    'to be rounded and written back',
    () => POD.replace('"spec":{', '"spec":{"priority":9007199254740993,"a":-0,"b":1e400,"c":[1E-400],'),
    { gets: VAULT },
  ),
  ...[
    ['a number', '5'],
    ['null', 'null'],
    ['a list', '[]'],
    ['an object', '{"toString":null}'],
    ['true', 'true'],
  ].map(([what, value]) =>
    asText(
      `types: an annotation that is ${what}`,
      'to break the reading of it',
      () => POD.replace('"podpass.dev/audiences":"vault"', `"podpass.dev/audiences":${value}`),
      { status: 400 },
    ),
  ),
  asText(
    'types: annotations as a list',
    'the same',
    () => POD.replace(/"annotations":\{[^}]*\}/, '"annotations":["a"]'),
    {
      status: 400,
    },
  ),
  asText(
    'types: null everywhere',
    'the same; null is as good as absent',
    () =>
      '{"metadata":{"name":null,"generateName":null,"namespace":null,"labels":null,"annotations":{"podpass.dev/audiences":"vault"}},"spec":{"serviceAccountName":null,"serviceAccount":null,"nodeSelector":null,"os":null,"volumes":null,"initContainers":null,"containers":[{"name":"web","env":null,"volumeMounts":null,"volumeDevices":null}]}}',
    { gets: VAULT },
  ),
  asText('types: null for everything', 'the same', () => '{"metadata":null,"spec":null}', { status: 400 }),
  asText('types: a container that is null', 'the same', () => '{"spec":{"containers":[null]}}', { status: 400 }),
  asText(
    'types: a mount without a path',
    'the same',
    () => '{"spec":{"containers":[{"name":"a","volumeMounts":[{"name":"a"}]}]}}',
    {
      status: 400,
    },
  ),
  ...['5', '{"toString":null}', '["shop"]'].map((value) =>
    asBody(
      `types: a namespace that is ${value}`,
      'to break the message or the log',
      () => review(POD).replace('"shop"', value),
      {
        status: 400,
      },
    ),
  ),
  asBody('types: a kind that is a text', 'to be taken for another kind', () => review(POD, ',"kind":"Pod"'), {
    status: 400,
  }),
  asBody(
    'names: a namespace and a ServiceAccount that go up',
    'to have another path of the API server read',
    () =>
      review(POD.replace('"serviceAccountName":"app"', '"serviceAccountName":"../../secrets/x?y#"')).replace(
        '"shop"',
        '".."',
      ),
    {
      gets: VAULT,
    },
  ),
  asBody('bytes: none', 'to be answered all the same', () => '', { status: 400 }),
  asBody(
    'bytes: no UTF-8',
    'to be read as something else',
    () =>
      Buffer.concat([
        Buffer.from(review(POD)).subarray(0, -40),
        Buffer.from([0xff, 0xc0, 0x80, 0xed, 0xa0, 0x80]),
        Buffer.from('"}}}'),
      ]),
    { status: 400 },
  ),
  asBody('bytes: a mark at the beginning', 'the same', () => `\ufeff${review(POD)}`, { status: 400 }),
  asBody('bytes: two reviews', 'to have the second one taken for the first', () => `${review(POD)}\n${review(POD)}`, {
    status: 400,
  }),
  asBody(
    'bytes: a review of 17 MB',
    'to be too large; the API server sends such ones',
    () => review(POD.replace('"name":"web"', `"name":"web","args":["${'\\u003c'.repeat(2_900_000)}"]`)),
    { gets: VAULT },
  ),
  asBody('bytes: over 20 MiB', 'to fill the memory', () => Buffer.alloc(20 * 1024 * 1024 + 1, ' '), { status: 413 }),
];

const MANY = 390_000;
const many: readonly Case[] = [
  asText(
    'many: containers',
    'to keep the webhook from all others',
    () => large(`"containers":[${repeated(() => '{"name":""}', MANY)}]`),
    {
      denied: ['spec: "390000" volumes, containers'],
    },
  ),
  asText(
    'many: containers, each with a name',
    'the same',
    () => large(`"containers":[${repeated((i) => `{"name":"${i.toString(36)}"}`, MANY)}]`),
    {
      denied: ['spec: "390000" volumes, containers'],
    },
  ),
  asText(
    'many: containers in a Pod that asks for nothing',
    'nothing: it is none of ours',
    () => large(`"containers":[${repeated(() => '{"name":""}', MANY)}]`, {}),
    {
      gets: [],
    },
  ),
  asText(
    'many: mounts',
    'the same, in a way that every API server lets through',
    () =>
      large(`"containers":[{"name":"web","volumeMounts":[${repeated(() => '{"name":"","mountPath":""}', 190_000)}]}]`),
    {
      denied: ['spec: "190001" volumes, containers'],
    },
  ),
  asText(
    'many: mounts, as many as are looked at',
    'the same',
    () =>
      large(
        `"containers":[{"name":"web","volumeMounts":[${repeated(() => '{"name":"podpass-tokens","mountPath":"/var/run/secrets/podpass.dev/tokens/a"}', 49_999)}]}]`,
      ),
    {
      denied: ['49999 problems'],
    },
  ),
  asText(
    'many: mounts below ours',
    'the same',
    () =>
      large(
        `"containers":[{"name":"web","volumeMounts":[${repeated(() => '{"name":"a","mountPath":"/var/run/secrets/podpass.dev/tokens/a"}', 49_999)}]}]`,
      ),
    {
      denied: ['49999 problems'],
    },
  ),
  asText(
    'many: volumes of our name',
    'the same',
    () => large(`"containers":[],"volumes":[${repeated(() => '{"name":"podpass-tokens"}', MANY)}]`),
    {
      denied: ['spec: "390000" volumes, containers'],
    },
  ),
  asText(
    'many: variables',
    'the same',
    () => large(`"containers":[{"name":"web","env":[${repeated((i) => `{"name":"${i.toString(36)}"}`, MANY)}]}]`),
    {
      denied: ['spec: "390001" volumes, containers'],
    },
  ),
  asText(
    'many: labels',
    'the same',
    () => `{"metadata":{"labels":{${repeated((i) => `"${i.toString(36)}":""`, MANY)}}},"spec":{}}`,
    { gets: [] },
  ),
  asText(
    'many: annotations',
    'the same',
    () => `{"metadata":{"annotations":{${repeated((i) => `"${i.toString(36)}":""`, MANY)}}},"spec":{}}`,
    { gets: [] },
  ),
  asText(
    'many: annotations of ours',
    'the same',
    () => `{"metadata":{"annotations":{${repeated((i) => `"podpass.dev/${i.toString(36)}":""`, MANY)}}},"spec":{}}`,
    { denied: ['metadata.annotations'] },
  ),
  asText('many: empty objects', 'the same', () => large(`"x":[${repeated(() => '{}', 790_000)}]`), { gets: [] }),
  asText(
    'many: a million keys',
    'the same',
    () => large(`"x":{${repeated((i) => `"${i.toString(36)}":0`, 1_000_000)}}`),
    {
      status: 413,
    },
  ),
  asText('many: 3 million values', 'the same', () => large(`"x":[${repeated(() => '0', 3_000_000)}]`), { status: 413 }),
  asText('deep: lists', 'to fill the stack', () => large(`"x":${'['.repeat(1_500_000)}${']'.repeat(1_500_000)}`), {
    gets: [],
  }),
  asText('deep: objects', 'the same', () => large(`"x":${'{"":'.repeat(MANY)}0${'}'.repeat(MANY)}`), {
    gets: [],
  }),
  asText(
    'deep: in a volume of our name',
    'the same, where volumes are compared',
    () =>
      large(
        `"containers":[{"name":"web"}],"volumes":[{"name":"podpass-tokens","projected":{"sources":${'['.repeat(1_000_000)}${']'.repeat(1_000_000)}}}]`,
      ),
    {
      denied: ['spec.volumes[0].name'],
    },
  ),
];

// ---- oauth2-proxy ----------------------------------------------------------------------------------------------------

/** A Pod that asks for oauth2-proxy in a good way, but for these. */
const proxied = (options: Annotations, spec: object = {}) =>
  annotated(
    own({
      'oauth2-proxy': 'http',
      'oauth2-proxy-audiences': 'shop',
      'oauth2-proxy-callers': 'system:serviceaccount:shop:a',
      ...options,
    }),
    { containers: [{ ...web, ports: [{ name: 'http', containerPort: 8080 }] }], ...spec },
  );

const refusedProxy = (name: string, tries: string, options: Annotations, denied: string[], spec?: object): Case => ({
  name: `oauth2-proxy: ${name}`,
  tries,
  pod: proxied(options, spec),
  expect: { denied },
});

const proxies: Case[] = [
  refusedProxy(
    'everybody in a second line',
    'to let everybody in behind the eyes of a reviewer',
    { 'oauth2-proxy-callers': `system:serviceaccount:shop:a${' '.repeat(500)}\n*` },
    ['has "*" and names'],
  ),
  refusedProxy(
    'a comment, quotes and a person in the list',
    'to have the file of callers read in another way',
    { 'oauth2-proxy-callers': '#x,"system:serviceaccount:shop:b",a@example.com' },
    ['"#x" is no ServiceAccount', '"a@example.com" is no ServiceAccount'],
  ),
  refusedProxy('a pattern as a path', 'to open everything', { 'oauth2-proxy-skip-paths': '.*,/|.*,/a(b)*' }, [
    '".*" does not begin',
    '"/|.*" has other characters',
    '"/a(b)*" has other characters',
  ]),
  refusedProxy(
    'a path with another way in it',
    'to open another path',
    { 'oauth2-proxy-skip-paths': '/a/%2e%2e/b,/a/../b' },
    ['"/a/%2e%2e/b" has other characters', '"/a/../b" has empty parts'],
  ),
  refusedProxy(
    'a method beside the path',
    'to open what is written',
    { 'oauth2-proxy-skip-paths': 'POST=/orders,!=/x' },
    ['"POST=/orders" does not begin', '"!=/x" does not begin'],
  ),
  refusedProxy(
    'an old image',
    'to run a version with known holes',
    { 'oauth2-proxy-image': 'quay.io/oauth2-proxy/oauth2-proxy:v7.15.2' },
    ['is too old'],
  ),
  refusedProxy(
    'an image that says nothing of its version',
    'the same, unseen',
    { 'oauth2-proxy-image': `quay.io/oauth2-proxy/oauth2-proxy@sha256:${'a'.repeat(64)}` },
    ['has no tag'],
  ),
  refusedProxy(
    'all domains',
    'to let every ServiceAccount in as a person',
    {
      'oauth2-proxy-sso': 's',
      'oauth2-proxy-sso-issuer': 'https://login.example.com',
      'oauth2-proxy-sso-redirect-url': 'https://shop.example.com/oauth2/callback',
      'oauth2-proxy-sso-email-domains': '*',
    },
    ['would let every ServiceAccount in'],
  ),
  refusedProxy(
    'a login without TLS, with a password',
    'to have tokens of people forged on the way',
    {
      'oauth2-proxy-sso': 's',
      'oauth2-proxy-sso-issuer': 'http://a:b@login.example.com',
      'oauth2-proxy-sso-redirect-url': 'https://shop.example.com/oauth2/callback',
      'oauth2-proxy-sso-email-domains': 'example.com',
    },
    ['has a user in it'],
  ),
  refusedProxy(
    'a container of its name that lets everybody in',
    'to be taken for protected',
    {},
    ['podpass-oauth2-proxy', 'other arguments'],
    {
      initContainers: [
        {
          name: 'podpass-oauth2-proxy',
          image: 'proxy:1',
          restartPolicy: 'Always',
          args: ['--email-domain=*', '--skip-auth-regex=.*'],
        },
      ],
    },
  ),
  refusedProxy(
    'callers in its place',
    'to have other callers read than those that are written',
    { 'oauth2-proxy-allowed': 'system:serviceaccount:evil:evil' },
    ['podpass.dev/oauth2-proxy-allowed'],
  ),
  refusedProxy('a volume in its place', 'the same', {}, ['podpass-oauth2-proxy-callers'], {
    volumes: [{ name: 'podpass-oauth2-proxy-callers', emptyDir: {} }],
  }),
  refusedProxy(
    'names that every object has',
    'to find members that nobody wrote',
    {
      'oauth2-proxy': '__proto__',
      'oauth2-proxy-resources': '__proto__.cpu=1,limits.constructor=1,toString',
    },
    ['"__proto__" is the name of no port', '"limits.constructor=1" is no such item'],
  ),
  refusedProxy(
    '20,000 callers',
    'to make the webhook work for minutes',
    { 'oauth2-proxy-callers': Array.from({ length: 20_000 }, (_, i) => `a${i}`).join(',') },
    ['has 20000 callers'],
  ),
];

export const cases: readonly Case[] = [...paths, ...names, ...texts, ...json, ...many, ...proxies];

// ---- what a Pod got --------------------------------------------------------------------------------------------------

interface PodLike {
  readonly spec: {
    readonly volumes?: readonly VolumeLike[] | null;
    readonly initContainers?: readonly ContainerLike[] | null;
    readonly containers?: readonly ContainerLike[] | null;
  };
}
interface VolumeLike {
  readonly name: string;
  readonly projected?: {
    readonly sources: readonly { readonly serviceAccountToken?: { readonly audience?: string } }[];
  };
}
interface ContainerLike {
  readonly name: string;
  readonly env?: readonly { readonly name: string; readonly value?: string }[] | null;
  readonly volumeMounts?: readonly { readonly name: string; readonly mountPath: string }[] | null;
}

/** What `after` has behind the ends of the lists of `before`: volumes with their audiences, mounts, variables. */
export function gains(before: PodLike, after: PodLike): string[] {
  const added = <T>(one: readonly T[] | null | undefined, other: readonly T[] | null | undefined) =>
    (other ?? []).slice(one?.length ?? 0);
  const volumes = added(before.spec.volumes, after.spec.volumes).map(({ name, projected }) => {
    const audiences = projected?.sources.map(({ serviceAccountToken }) => serviceAccountToken?.audience);
    return audiences === undefined ? name : `${name} = ${audiences.join(', ')}`;
  });
  const containers = (['initContainers', 'containers'] as const).flatMap((list) =>
    (after.spec[list] ?? []).flatMap(({ name, env, volumeMounts }, index) => {
      const was = before.spec[list]?.[index];
      return [
        ...added(was?.volumeMounts, volumeMounts).map((mount) => `${name}: ${mount.name} at ${mount.mountPath}`),
        ...added(was?.env, env).map((variable) => `${name}: ${variable.name}=${variable.value ?? ''}`),
      ];
    }),
  );
  return [...volumes, ...containers];
}
