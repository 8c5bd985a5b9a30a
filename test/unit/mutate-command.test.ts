import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import jsonPatch, { type Operation } from 'fast-json-patch';
import { afterAll, describe, expect, test } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { type Ran, runCommand } from '../run-command.ts';

const folder = mkdtempSync(join(tmpdir(), 'podpass-mutate-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** Runs `podpass mutate -f - …` on this input. */
async function mutate(input: string, ...argv: string[]): Promise<Ran> {
  return podpass(['mutate', '-f', '-', ...argv], input);
}

const podpass = (argv: string[], input = '', env: Record<string, string> = {}) =>
  runCommand(argv, { input, env, version: '1.2.3' });

const SPEC = { containers: [{ name: 'web', image: 'example.com/web:1' }] };
const ANNOTATED = { annotations: { 'podpass.dev/audiences': 'vault' } };
const POD = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'web', ...ANNOTATED }, spec: SPEC };
const template = { metadata: { labels: { app: 'web' }, ...ANNOTATED }, spec: SPEC };

const VOLUME = {
  name: 'podpass-tokens',
  projected: { sources: [{ serviceAccountToken: { audience: 'vault', expirationSeconds: 3600, path: 'vault' } }] },
};
const MOUNT = { name: 'podpass-tokens', mountPath: '/var/run/secrets/podpass.dev/tokens', readOnly: true };
const ADMITTED = {
  metadata: { annotations: { 'podpass.dev/audiences': 'vault', 'podpass.dev/injected': 'vault' } },
  spec: { containers: [{ name: 'web', image: 'example.com/web:1', volumeMounts: [MOUNT] }], volumes: [VOLUME] },
};
const ADMITTED_POD = { ...POD, ...ADMITTED, metadata: { name: 'web', ...ADMITTED.metadata } };
const ADMITTED_TEMPLATE = { ...ADMITTED, metadata: { labels: { app: 'web' }, ...ADMITTED.metadata } };

const json = (value: unknown) => JSON.stringify(value);

describe('each kind', () => {
  const workload = (apiVersion: string, kind: string, spec: object) => ({
    apiVersion,
    kind,
    metadata: { name: 'w', namespace: 'shop' },
    spec,
  });
  const job = (inner: object) => ({ backoffLimit: 1, template: inner });

  test('a Pod', async () => {
    const { code, out, err } = await mutate(json(POD));
    expect([code, err, parse(out)]).toEqual([0, '', ADMITTED_POD]);
  });

  test.each(['apps/v1 Deployment', 'apps/v1 StatefulSet', 'apps/v1 DaemonSet', 'apps/v1 ReplicaSet', 'batch/v1 Job'])(
    'a %s',
    async (both) => {
      const [apiVersion = '', kind = ''] = both.split(' ');
      const { code, out, err } = await mutate(json(workload(apiVersion, kind, job(template))));
      expect([code, err, parse(out)]).toEqual([0, '', workload(apiVersion, kind, job(ADMITTED_TEMPLATE))]);
    },
  );

  test('a CronJob', async () => {
    const cron = (inner: object) =>
      workload('batch/v1', 'CronJob', {
        schedule: '0 0 * * *',
        jobTemplate: { metadata: { labels: { a: 'b' } }, spec: job(inner) },
      });
    const { code, out } = await mutate(json(cron(template)));
    expect([code, parse(out)]).toEqual([0, cron(ADMITTED_TEMPLATE)]);
  });

  test('others stay as they are, and so do kinds of the same name in other groups', async () => {
    for (const other of [
      { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'c', ...ANNOTATED }, data: { a: 'b' } },
      { apiVersion: 'example.com/v1', kind: 'Deployment', metadata: { name: 'd' }, spec: job(template) },
      { apiVersion: 'v1', kind: 'PodTemplate', metadata: { name: 'd' }, template },
    ]) {
      const { code, out } = await mutate(json(other));
      expect([code, parse(out)]).toEqual([0, other]);
    }
  });

  test('annotations of the workload itself are not those of its Pods', async () => {
    const deployment = {
      ...workload('apps/v1', 'Deployment', job({ spec: SPEC })),
      metadata: { name: 'w', ...ANNOTATED },
    };
    const { code, out } = await mutate(json(deployment));
    expect([code, parse(out)]).toEqual([0, deployment]);
  });

  test('a List, in place', async () => {
    const list = (...items: object[]) => ({ apiVersion: 'v1', kind: 'List', items });
    const { code, out } = await mutate(
      json(list(POD, { apiVersion: 'v1', kind: 'ConfigMap' }, workload('apps/v1', 'Deployment', job(template)))),
    );
    expect(code).toBe(0);
    expect(parse(out)).toEqual(
      list(
        ADMITTED_POD,
        { apiVersion: 'v1', kind: 'ConfigMap' },
        workload('apps/v1', 'Deployment', job(ADMITTED_TEMPLATE)),
      ),
    );
  });

  test('a PodList, whose items do not say what they are', async () => {
    const { apiVersion: _, kind: __, ...bare } = POD;
    const { apiVersion: ___, kind: ____, ...admitted } = ADMITTED_POD;
    const { code, out } = await mutate(
      json({ apiVersion: 'v1', kind: 'PodList', metadata: { resourceVersion: '1' }, items: [bare, bare] }),
    );
    expect(code).toBe(0);
    expect(parse(out)).toEqual({
      apiVersion: 'v1',
      kind: 'PodList',
      metadata: { resourceVersion: '1' },
      items: [admitted, admitted],
    });
  });
});

describe('ServiceAccounts', () => {
  const account = (annotations: object | null, metadata: object = {}) => ({
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { name: 'app', ...metadata, annotations },
  });
  const bare = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'web' },
    spec: { serviceAccountName: 'app', ...SPEC },
  };
  const volumes = async (...objects: object[]) => {
    const { code, out } = await mutate(objects.map(json).join('\n---\n'), '-o', 'json');
    expect(code).toBe(0);
    return JSON.parse(out).items.find(({ kind }: { kind: string }) => kind === 'Pod').spec.volumes;
  };

  test('of the same input count, wherever they stand', async () => {
    expect(await volumes(account({ 'podpass.dev/audiences': 'vault' }), bare)).toEqual([VOLUME]);
    expect(await volumes(bare, account({ 'podpass.dev/audiences': 'vault' }))).toEqual([VOLUME]);
    expect(await volumes(bare, account(null))).toBeUndefined();
  });

  test('of another namespace or name do not', async () => {
    expect(await volumes(account({ 'podpass.dev/audiences': 'vault' }, { namespace: 'shop' }), bare)).toBeUndefined();
    expect(await volumes(account({ 'podpass.dev/audiences': 'vault' }, { name: 'other' }), bare)).toBeUndefined();
    expect(await volumes(account({ 'podpass.dev/audiences': 'vault' }, { namespace: 'default' }), bare)).toEqual([
      VOLUME,
    ]);
  });

  test('are named in what is said of them', async () => {
    const { code, err } = await mutate([account({ 'podpass.dev/expiration': 'soon' }), bare].map(json).join('\n---\n'));
    expect([code, err]).toEqual([
      1,
      expect.stringContaining('ServiceAccount default/app: podpass.dev/expiration: "soon"'),
    ]);
  });
});

describe('the settings of the webhook', () => {
  test('are flags', async () => {
    const pod = {
      ...POD,
      metadata: {
        name: 'web',
        annotations: { 'example.com/audiences': 'vault', 'example.com/env.vault': 'VAULT_FILE' },
      },
    };
    const { code, out } = await mutate(
      json(pod),
      '--annotation-prefix',
      'example.com',
      '--mount-path',
      '/srv/t',
      '--token-expiration=2h',
    );
    expect(code).toBe(0);
    const { spec, metadata } = parse(out);
    expect(spec.volumes[0].projected.sources[0].serviceAccountToken.expirationSeconds).toBe(7200);
    expect(spec.containers[0]).toMatchObject({
      env: [{ name: 'VAULT_FILE', value: '/srv/t/vault' }],
      volumeMounts: [{ ...MOUNT, mountPath: '/srv/t' }],
    });
    expect(metadata.annotations['example.com/injected']).toBe('vault');
  });

  test('may reserve audiences', async () => {
    const { code, out, err } = await mutate(json(POD), '--reserved-audiences', 'vault');
    expect([code, out, err]).toEqual([1, '', expect.stringContaining('"vault"')]);
  });

  test('come from the environment and a config file too', async () => {
    const config = join(folder, 'podpass.yaml');
    writeFileSync(config, 'mountPath: /srv/config\n');
    const { out } = await podpass(['mutate', '-f', '-', '--config', config], json(POD), {
      PODPASS_TOKEN_EXPIRATION: '3h',
    });
    expect(out).toContain('/srv/config');
    expect(out).toContain('10800');
  });
});

const COMMENTED = `# The shop's Pods.
---
apiVersion: v1
kind: ConfigMap # not a Pod
metadata:
  name: settings
data:
  mode: 0644
---
apiVersion: v1
kind: Pod
metadata:
  name: web   # the one
  annotations:
    podpass.dev/audiences: "vault" # one token
spec:
  containers:
  - name: web
    image: 'example.com/web:1'
    volumeMounts:
    # scratch
    - {name: tmp, mountPath: /tmp}
  volumes:
  - name: tmp
    configMap:
      name: settings
      defaultMode: 0640
`;

describe('output', () => {
  test('yaml keeps documents, comments, quotes and order', async () => {
    const { code, out } = await mutate(COMMENTED);
    expect(code).toBe(0);
    for (const text of [
      "# The shop's Pods.",
      '# not a Pod',
      '# the one',
      '"vault" # one token',
      "'example.com/web:1'",
      '# scratch',
      '{name: tmp, mountPath: /tmp}',
      'defaultMode: 0640',
      'mode: 0644',
    ]) {
      expect(out.replaceAll('{ ', '{').replaceAll(' }', '}')).toContain(text);
    }
    const [config, pod, ...rest] = parseAllDocuments(out, { version: '1.1' }).map((document) => document.toJS());
    expect(rest).toEqual([]);
    expect(config.data).toEqual({ mode: 420 });
    expect(pod.spec.volumes).toEqual([{ name: 'tmp', configMap: { name: 'settings', defaultMode: 416 } }, VOLUME]);
    expect(pod.spec.containers[0].volumeMounts).toEqual([{ name: 'tmp', mountPath: '/tmp' }, MOUNT]);
  });

  test('json reads octal as Kubernetes does, and is a List of several objects', async () => {
    const { out } = await mutate(COMMENTED, '-o', 'json');
    const list = JSON.parse(out);
    expect(list).toMatchObject({ apiVersion: 'v1', kind: 'List' });
    expect(list.items.map(({ kind }: { kind: string }) => kind)).toEqual(['ConfigMap', 'Pod']);
    expect(list.items[1].spec.volumes[0].configMap.defaultMode).toBe(416);
    const { out: one } = await mutate(json(POD), '--output=json');
    expect(JSON.parse(one)).toEqual(ADMITTED_POD);
  });

  test('json of a PodList has objects that say what they are', async () => {
    const { apiVersion: _, kind: __, ...bare } = POD;
    for (const items of [[bare], [bare, bare]]) {
      const { out } = await mutate(json({ apiVersion: 'v1', kind: 'PodList', items }), '-o', 'json');
      const printed = JSON.parse(out);
      if (printed.kind === 'PodList') expect(printed.items).toHaveLength(items.length);
      else for (const item of printed.items ?? [printed]) expect(item).toMatchObject({ apiVersion: 'v1', kind: 'Pod' });
    }
  });

  const apply = (value: object, patch: unknown) =>
    jsonPatch.applyPatch(structuredClone(value), patch as Operation[], true).newDocument;

  test('patch of one object is its JSON Patch, relative to the object', async () => {
    const deployment = { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'd' }, spec: { template } };
    const { out } = await mutate(json(deployment), '-o', 'patch');
    expect(apply(deployment, JSON.parse(out))).toEqual({ ...deployment, spec: { template: ADMITTED_TEMPLATE } });
    expect(JSON.parse((await mutate(json({ ...POD, metadata: { name: 'web' } }), '-o', 'patch')).out)).toEqual([]);
  });

  test('patch of several is a list of kind, namespace, name and patch', async () => {
    const { out } = await mutate(COMMENTED, '-o', 'patch');
    const [config, pod, ...rest] = JSON.parse(out);
    expect(rest).toEqual([]);
    expect(config).toEqual({ kind: 'ConfigMap', namespace: 'default', name: 'settings', patch: [] });
    expect(pod).toEqual({ kind: 'Pod', namespace: 'default', name: 'web', patch: expect.any(Array) });
    const before = { ...POD, spec: { containers: [{ name: 'web', volumeMounts: [] }], volumes: [] } };
    expect(apply(before, pod.patch)).toMatchObject({ spec: { volumes: [VOLUME] } });
  });

  test('diff shows what is added, and nothing where nothing is', async () => {
    const { out } = await mutate(COMMENTED, '-o', 'diff');
    expect(out).toMatch(/^--- Pod default\/web/);
    expect(out).toContain('+    podpass.dev/injected: vault');
    expect(out.split('\n').filter((line) => line.startsWith('-') && !line.startsWith('---'))).toEqual([]);
    expect((await mutate(json({ ...POD, metadata: { name: 'web' } }), '-o', 'diff')).out).toBe('');
  });

  test('is as admitted when it is put in again', async () => {
    const { out } = await mutate(COMMENTED);
    expect((await mutate(out)).out).toBe(out);
    expect((await mutate(out, '-o', 'diff')).out).toBe('');
  });

  test('of shared parts: each container gets its own', async () => {
    const shared = `apiVersion: v1
kind: Pod
metadata:
  name: web
  annotations: {podpass.dev/audiences: vault, podpass.dev/env.vault: VAULT_FILE}
spec:
  containers:
  - name: web
    env: &env
    - {name: A, value: b}
  - name: side
    env: *env
`;
    const { code, out } = await mutate(shared);
    expect(code).toBe(0);
    const env = [
      { name: 'A', value: 'b' },
      { name: 'VAULT_FILE', value: '/var/run/secrets/podpass.dev/tokens/vault' },
    ];
    expect(parse(out).spec.containers).toEqual(['web', 'side'].map((name) => ({ name, env, volumeMounts: [MOUNT] })));
  });
});

describe('input', () => {
  test('is a file, or standard input', async () => {
    const path = join(folder, 'pod.yaml');
    writeFileSync(path, COMMENTED);
    const { code, out } = await podpass(['mutate', '-f', path]);
    expect(code).toBe(0);
    expect(out).toBe((await mutate(COMMENTED)).out);
    expect(readFileSync(path, 'utf8')).toBe(COMMENTED);
  });

  test.each([
    ['is not there', ['-f', '/nowhere/pod.yaml'], '', '/nowhere/pod.yaml'],
    ['is a folder', ['-f', tmpdir()], '', tmpdir()],
    ['is no YAML', ['-f', '-'], 'a: [', 'YAML'],
    ['is empty', ['-f', '-'], '', 'standard input'],
    ['is no object', ['-f', '-'], 'hello', 'standard input'],
    ['has a Pod without spec', ['-f', '-'], json({ ...POD, spec: undefined }), 'Pod default/web'],
    [
      'has a Deployment without template',
      ['-f', '-'],
      json({ apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'd' }, spec: {} }),
      'Deployment default/d',
    ],
    [
      'has an annotation that is no text',
      ['-f', '-'],
      json({ ...POD, metadata: { name: 'web', annotations: { 'podpass.dev/expiration': 3600 } } }),
      'podpass.dev/expiration',
    ],
    [
      'has such an annotation on a ServiceAccount',
      ['-f', '-'],
      json({
        apiVersion: 'v1',
        kind: 'ServiceAccount',
        metadata: { name: 'app', annotations: { 'podpass.dev/inject': false } },
      }),
      'podpass.dev/inject',
    ],
    ['has a container that is none', ['-f', '-'], json({ ...POD, spec: { containers: ['web'] } }), 'containers[0]'],
    [
      'has annotations that are none',
      ['-f', '-'],
      json({ ...POD, metadata: { name: 'web', annotations: ['a'] } }),
      'annotations',
    ],
    [
      'has a ServiceAccount with annotations that are none',
      ['-f', '-'],
      json({ apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'app', annotations: 'a' } }),
      'annotations',
    ],
  ])('that %s is exit code 1, and is named', async (_, argv, input, named) => {
    const { code, out, err } = await podpass(['mutate', ...argv], input);
    expect([code, out]).toEqual([1, '']);
    expect(err).toContain(named);
    expect(err).not.toMatch(/\n\s+at /);
  });

  test('with a Pod that is refused is exit code 1: all problems of all Pods, and nothing else is printed', async () => {
    const bad = (name: string) =>
      json({
        ...POD,
        metadata: {
          name,
          namespace: 'shop',
          annotations: { 'podpass.dev/audiences': '---', 'podpass.dev/expiration': '5m' },
        },
      });
    const { code, out, err } = await mutate([bad('one'), json(POD), bad('two')].join('\n---\n'));
    expect([code, out]).toEqual([1, '']);
    for (const name of ['one', 'two'])
      for (const key of ['audiences', 'expiration']) expect(err).toContain(`Pod shop/${name}: podpass.dev/${key}: `);
  });

  test('with warnings is printed, and they go to standard error', async () => {
    const { code, out, err } = await mutate(
      json({
        ...POD,
        metadata: { name: 'web', annotations: { ...ANNOTATED.annotations, 'podpass.dev/audiance': 'x' } },
      }),
    );
    expect(code).toBe(0);
    expect(parse(out).spec.volumes).toEqual([VOLUME]);
    expect(err).toContain('podpass.dev/audiance');
  });
});

test('wrong use is exit code 2, with every fault on standard error', async () => {
  const { code, out, err } = await podpass(['mutate', '--output', 'xml', '--bogus', 'x', '--mount-path', 'etc']);
  expect([code, out]).toEqual([2, '']);
  for (const text of ['--file', '"xml"', '"--bogus"', '"etc"']) expect(err).toContain(text);
});

test('the whole: help, version, unknown commands', async () => {
  expect(await podpass(['--version'])).toEqual({ code: 0, out: '1.2.3\n', err: '' });
  const help = await podpass(['--help']);
  expect([help.code, help.err]).toEqual([0, '']);
  for (const command of ['webhook', 'discovery', 'demo', 'mutate', 'jwks', 'verify']) {
    expect(help.out).toContain(command);
    expect(await podpass([command, '--help'])).toMatchObject({
      code: 0,
      err: '',
      out: expect.stringContaining(`podpass ${command}`),
    });
  }
  expect(await podpass([])).toMatchObject({ code: 2, out: '' });
  expect(await podpass(['mutat'])).toMatchObject({ code: 2, out: '', err: expect.stringContaining('"mutat"') });
  expect(await podpass(['constructor'])).toMatchObject({ code: 2, out: '' });
  expect(await podpass(['--bogus'])).toMatchObject({ code: 2, out: '' });
});

describe('presets', () => {
  const account = (annotations: object) => ({
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { name: 'default', annotations },
  });
  const plain = { ...POD, metadata: { name: 'web', labels: { 'azure.workload.identity/use': 'true' } } };
  const list = (annotations: object) => json({ apiVersion: 'v1', kind: 'List', items: [account(annotations), plain] });
  const variables = async (input: string, ...argv: string[]) => {
    const { code, out, err } = await mutate(input, '-o', 'json', ...argv);
    expect([code, err]).toEqual([0, '']);
    const { items } = JSON.parse(out) as { items: { spec: { containers: { env?: { name: string }[] }[] } }[] };
    return (items[1]?.spec.containers[0]?.env ?? []).map(({ name }) => name);
  };
  const ROLE = { 'eks.amazonaws.com/role-arn': 'arn:aws:iam::111122223333:role/r' };
  const AWS = ['AWS_ROLE_ARN', 'AWS_WEB_IDENTITY_TOKEN_FILE'];

  test('aws is on by default, others when they are named', async () => {
    expect(await variables(list(ROLE))).toEqual(AWS);
    expect(await variables(list(ROLE), '--presets=')).toEqual([]);
    expect(await variables(list(ROLE), '--presets=aws,azure', '--azure-tenant-id=t')).toEqual([
      ...AWS,
      'AZURE_TENANT_ID',
      'AZURE_FEDERATED_TOKEN_FILE',
      'AZURE_AUTHORITY_HOST',
    ]);
  });

  test('container credentials are those of the file', async () => {
    const file = join(folder, 'identities.json');
    writeFileSync(file, '{"identities":[{"namespace":"default","serviceAccount":"default"}]}');
    const flag = `--aws-container-credentials-config=${file}`;
    expect(await variables(list(ROLE), flag)).toEqual([
      'AWS_CONTAINER_CREDENTIALS_FULL_URI',
      'AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE',
    ]);
    writeFileSync(file, '{"identities":[{}]}');
    const { code, out, err } = await mutate(list(ROLE), flag);
    expect([code, out, err]).toEqual([1, '', expect.stringContaining(`${file} cannot be used: "identities[0]"`)]);
  });
});
