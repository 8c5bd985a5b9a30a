import jsonPatch, { type Operation } from 'fast-json-patch';
import { describe, expect, test } from 'vitest';
import { Fault } from '../../src/fault.ts';
import type { AdmissionRequest } from '../../webhook/admission-review.ts';
import { admit } from '../../webhook/admit.ts';
import { type ServiceAccountSource, ServiceAccountUnavailable } from '../../webhook/service-accounts.ts';
import { mutationSettings } from '../mutation-settings.ts';

const SETTINGS = {
  annotationPrefix: 'podpass.dev',
  mountPath: '/tokens',
  tokenExpiration: 3600,
  reservedAudiences: new Set(['apiserver']),
  presets: [],
};

type Annotations = Record<string, string>;

/** ServiceAccounts by `namespace/name`; every question is noted. */
function accounts(known: Record<string, Annotations>): ServiceAccountSource & { asked: string[] } {
  const asked: string[] = [];
  return {
    asked,
    async get(namespace, name) {
      asked.push(`${namespace}/${name}`);
      const annotations = known[`${namespace}/${name}`];
      return annotations === undefined
        ? { found: false, source: 'live' }
        : { found: true, source: 'cache', serviceAccount: { namespace, name, annotations } };
    },
  };
}

const pod = (annotations?: Annotations, spec: object = {}, metadata: object = { name: 'web' }) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { ...metadata, ...(annotations === undefined ? {} : { annotations }) },
  spec: { serviceAccountName: 'app', containers: [{ name: 'web' }], ...spec },
});

const request = (
  object: unknown,
  more: Partial<AdmissionRequest> & { dryRun?: boolean; name?: string } = {},
): AdmissionRequest => ({
  uid: 'u',
  kind: { group: '', version: 'v1', kind: 'Pod' },
  resource: { group: '', version: 'v1', resource: 'pods' },
  namespace: 'shop',
  operation: 'CREATE',
  object,
  ...more,
});

const VAULT = { 'podpass.dev/audiences': 'vault' };
const known = () => accounts({ 'shop/app': {} });

test('a Pod gets what it asks for, and the audit annotation names tokens and audiences', async () => {
  const object = pod({ 'podpass.dev/audience.api': 'https://api.example', 'podpass.dev/audiences': 'vault' });
  const { response, result } = await admit(request(object), known(), SETTINGS);
  expect(result).toBe('injected');
  expect(response.allowed).toBe(true);
  expect(response.message).toBeUndefined();
  expect(Object.keys(response.auditAnnotations ?? {})).toEqual(['tokens']);
  for (const text of ['api', 'https://api.example', 'vault']) expect(response.auditAnnotations?.tokens).toContain(text);
  const admitted = jsonPatch.applyPatch(
    structuredClone(object),
    structuredClone(response.patch) as unknown as Operation[],
    true,
  ).newDocument;
  expect(admitted.metadata.annotations).toMatchObject({ 'podpass.dev/injected': 'api,vault' });
});

test('a Pod that asks for nothing is unchanged, without audit annotation', async () => {
  for (const object of [
    pod(),
    pod({ 'podpass.dev/inject': 'false', ...VAULT }),
    pod({ 'podpass.dev/inject': 'true' }),
  ]) {
    const { response, result } = await admit(request(object), known(), SETTINGS);
    expect(result).toBe('unchanged');
    expect(response.allowed).toBe(true);
    expect(response.patch ?? []).toEqual([]);
    expect(response.auditAnnotations).toBeUndefined();
  }
});

describe('a Pod that waits for podpass by a label, and gets nothing', () => {
  const presets = mutationSettings({ presets: ['azure'], azureTenantId: 't' }).presets;
  const labelled = (labels: object, annotations?: Annotations) => pod(annotations, {}, { name: 'web', labels });
  const own = { 'podpass.dev/inject': 'true' };
  const azure = { 'azure.workload.identity/use': 'true' };
  const skipped = { 'azure.workload.identity/skip-containers': 'web' };
  const add = (path: string, value: unknown) => ({ op: 'add', path, value });
  const mark = [add('/metadata/annotations', { 'podpass.dev/injected': '' })];
  const beside = [add('/metadata/annotations/podpass.dev~1injected', '')];

  test.each([
    ['asks for nothing', labelled(own), {}, mark],
    ['is left alone by its ServiceAccount', labelled(own), { 'podpass.dev/inject': 'false' }, mark],
    ['skips its container', labelled(own, { ...VAULT, 'podpass.dev/skip-containers': 'web' }), {}, beside],
    ['has the label of Azure, and skips its container', labelled(azure, skipped), {}, beside],
    ['was marked', labelled(own, { 'podpass.dev/injected': '' }), {}, []],
    ['says that it was injected', labelled(own, { 'podpass.dev/injected': 'vault' }), {}, []],
    ['is left alone by itself', labelled(own, { 'podpass.dev/inject': 'false' }), {}, []],
    ['has another value', labelled({ 'podpass.dev/inject': 'yes' }), {}, []],
  ])('is marked once, as the registration asks until it is: it %s', async (_, object, annotations, patch) => {
    const { response, result } = await admit(request(object), accounts({ 'shop/app': annotations }), {
      ...SETTINGS,
      presets,
    });
    expect([result, response.allowed, response.patch ?? [], response.auditAnnotations]).toEqual([
      'unchanged',
      true,
      patch,
      undefined,
    ]);
  });

  test('is not marked by a label of Azure where podpass is not in the place of its webhook', async () => {
    const { response } = await admit(request(labelled(azure)), known(), SETTINGS);
    expect(response.patch ?? []).toEqual([]);
  });

  test('is not marked where the ServiceAccount was not found: it may be there at the next try', async () => {
    const { response } = await admit(request(labelled(own)), accounts({}), SETTINGS);
    expect(response.patch ?? []).toEqual([]);
  });
});

test('its own output is unchanged', async () => {
  const object = pod(VAULT);
  const { response } = await admit(request(object), known(), SETTINGS);
  const admitted = jsonPatch.applyPatch(
    structuredClone(object),
    structuredClone(response.patch) as unknown as Operation[],
    true,
  ).newDocument;
  const second = await admit(request(admitted), known(), SETTINGS);
  expect(second.response.allowed).toBe(true);
  expect(second.response.patch ?? []).toEqual([]);
});

test('a mistake is an answer that is not allowed, with all problems and warnings, and without patch', async () => {
  const object = pod({
    ...VAULT,
    'podpass.dev/expiration': '5m',
    'podpass.dev/audience.k': 'apiserver',
    'podpass.dev/unknown': 'x',
  });
  const { response, result } = await admit(request(object), known(), SETTINGS);
  expect(result).toBe('denied');
  expect(response.allowed).toBe(false);
  expect(response.patch ?? []).toEqual([]);
  for (const text of [
    'Pod shop/web',
    'podpass.dev/expiration',
    '"5m"',
    'podpass.dev/audience.k',
    '"apiserver"',
    'accepted',
  ])
    expect(response.message).toContain(text);
  expect(response.warnings).toEqual([expect.stringContaining('podpass.dev/unknown')]);
});

describe('only the creation of Pods changes anything', () => {
  const other: [string, Partial<AdmissionRequest>][] = [
    ['an update', { operation: 'UPDATE' }],
    ['a deletion', { operation: 'DELETE', object: null }],
    ['a connection', { operation: 'CONNECT', subResource: 'exec' }],
    [
      'another kind',
      {
        kind: { group: 'apps', version: 'v1', kind: 'Deployment' },
        resource: { group: 'apps', version: 'v1', resource: 'deployments' },
      },
    ],
    [
      'a kind of the same name',
      {
        kind: { group: 'example.com', version: 'v1', kind: 'Pod' },
        resource: { group: 'example.com', version: 'v1', resource: 'pods' },
      },
    ],
    ['a debug container', { subResource: 'ephemeralcontainers', operation: 'UPDATE', oldObject: pod(VAULT) }],
    ['the creation of a subresource', { subResource: 'binding', kind: { group: '', version: 'v1', kind: 'Binding' } }],
    [
      'the creation of an eviction',
      { subResource: 'eviction', kind: { group: 'policy', version: 'v1', kind: 'Eviction' }, object: {} },
    ],
  ];
  test.each(other)('%s is allowed without a patch, and nothing is looked up', async (_, more) => {
    const source = known();
    const { response, result } = await admit(request(pod(VAULT), more), source, SETTINGS);
    expect(result).toBe('unchanged');
    expect(response).toMatchObject({ allowed: true });
    expect(response.patch ?? []).toEqual([]);
    expect(source.asked).toEqual([]);
  });

  test('a mirror Pod is left alone', async () => {
    const { response } = await admit(request(pod({ ...VAULT, 'kubernetes.io/config.mirror': '' })), known(), SETTINGS);
    expect(response.allowed).toBe(true);
    expect(response.patch ?? []).toEqual([]);
  });

  test('dry run is the same answer', async () => {
    const [first, second] = await Promise.all(
      [false, true].map((dryRun) => admit(request(pod(VAULT), { dryRun }), known(), SETTINGS)),
    );
    expect(second).toEqual(first);
  });
});

describe('the ServiceAccount', () => {
  test.each([
    ['shop/app', {}],
    ['shop/old', { serviceAccountName: '', serviceAccount: 'old' }],
    ['shop/default', { serviceAccountName: undefined }],
  ])('is %s for a Pod with %j', async (expected, spec) => {
    const source = accounts({});
    await admit(request(pod(VAULT, spec)), source, SETTINGS);
    expect(source.asked).toEqual([expected]);
  });

  test("is that of the request's namespace", async () => {
    const source = accounts({});
    await admit(request(pod(VAULT, {}, { name: 'web', namespace: 'other' })), source, SETTINGS);
    expect(source.asked).toEqual(['shop/app']);
  });

  test("has a say as far as the Pod's annotations leave it one", async () => {
    const source = accounts({ 'shop/app': { 'podpass.dev/audiences': 'vault', 'podpass.dev/expiration': 'x' } });
    const denied = await admit(request(pod()), source, SETTINGS);
    expect(denied.response.message).toContain('ServiceAccount shop/app: podpass.dev/expiration: "x"');
    expect((await admit(request(pod({ 'podpass.dev/expiration': '1h' })), source, SETTINGS)).result).toBe('injected');
  });

  test('not found: allowed as it is, with a warning', async () => {
    const { response, result } = await admit(request(pod(VAULT)), accounts({}), SETTINGS);
    expect(result).toBe('unchanged');
    expect(response.allowed).toBe(true);
    expect(response.patch ?? []).toEqual([]);
    expect(response.warnings).toEqual([expect.stringContaining('shop/app')]);
  });

  test('unreachable: a fault of ours, 503', async () => {
    const source: ServiceAccountSource = {
      get: (namespace, name) => Promise.reject(new ServiceAccountUnavailable(namespace, name, new Error('refused'))),
    };
    await expect(admit(request(pod(VAULT)), source, SETTINGS)).rejects.toMatchObject({
      code: 'unavailable',
      status: 503,
    });
  });

  test('is not asked for where the Pod opts out', async () => {
    const source = accounts({});
    await admit(request(pod({ 'podpass.dev/inject': 'false' })), source, SETTINGS);
    expect(source.asked).toEqual([]);
  });
});

test.each([
  ['null', null],
  ['absent', undefined],
  ['a text', 'pod'],
  ['a list', []],
  ['empty', {}],
  ['without spec', { metadata: {} }],
  ['with a spec that is a list', { spec: [] }],
  ['with containers that are no list', pod(undefined, { containers: {} })],
  ['with a container that is null', pod(undefined, { containers: [null] })],
  ['with a mount that has no path', pod(undefined, { containers: [{ name: 'a', volumeMounts: [{ name: 'x' }] }] })],
  ['with an annotation that is no text', { ...pod(), metadata: { annotations: { a: 1 } } }],
])('a CREATE whose object is %s is 400', async (_, object) => {
  await expect(admit(request(object), known(), SETTINGS)).rejects.toSatisfy(
    (error) => error instanceof Fault && error.status === 400,
  );
});

test('a CREATE that says neither kind nor object is 400', async () => {
  const bare: AdmissionRequest = { uid: 'u', operation: 'CREATE' };
  await expect(admit(bare, known(), SETTINGS)).rejects.toMatchObject({ status: 400 });
});

test('a Pod without a name yet is named by its generateName', async () => {
  const { response } = await admit(
    request(pod({ 'podpass.dev/inject': 'x' }, {}, { generateName: 'web-' })),
    known(),
    SETTINGS,
  );
  expect(response.message).toContain('Pod shop/web-');
});

test('a warning fits into the 256 characters that the API server shows, with the nearest known key', async () => {
  const object = pod({ ...VAULT, [`podpass.dev/expiry.${'x'.repeat(50)}`]: '1h' }, {}, { name: 'w'.repeat(253) });
  const { response } = await admit(request(object), known(), SETTINGS);
  expect(response.warnings).toHaveLength(1);
  expect(response.warnings?.[0]?.length).toBeLessThanOrEqual(256);
  expect(response.warnings?.[0]).toContain('expiration');
});

test('the audit annotation names presets beside tokens, even a token that is called like a preset', async () => {
  const role = { 'eks.amazonaws.com/role-arn': 'arn:aws:iam::111122223333:role/r' };
  const source = accounts({ 'shop/app': role });
  const audit = async (annotations: Annotations) => {
    const { response, result } = await admit(request(pod(annotations)), source, mutationSettings());
    expect(result).toBe('injected');
    return JSON.parse(response.auditAnnotations?.tokens ?? '');
  };
  expect(await audit(VAULT)).toEqual({ vault: 'vault', aws: 'sts.amazonaws.com' });
  expect(await audit({ 'podpass.dev/audiences': 'aws' })).toEqual({ aws: 'aws', 'aws (preset)': 'sts.amazonaws.com' });
});

describe('with --ephemeral-containers', () => {
  const settings = { ...SETTINGS, ephemeralContainers: true };
  const debugger_ = { name: 'debugger', image: 'busybox:1' };
  /** A Pod as the webhook has left it. */
  const stored = async (annotations: Annotations = VAULT, spec: object = {}) => {
    const object = pod(annotations, spec);
    const { response } = await admit(request(object), known(), SETTINGS);
    const patch = structuredClone(response.patch) as unknown as Operation[];
    return jsonPatch.applyPatch(structuredClone(object), patch, true).newDocument;
  };
  const debug = (oldObject: ReturnType<typeof pod>, containers: object[] = [debugger_], object = oldObject) =>
    request(
      { ...object, spec: { ...object.spec, ephemeralContainers: containers } },
      { operation: 'UPDATE', subResource: 'ephemeralcontainers', oldObject },
    );

  test('a debug container gets the tokens, told in the audit annotation', async () => {
    const { response, result, report } = await admit(debug(await stored()), known(), settings);
    expect([result, report]).toEqual(['injected', undefined]);
    const mount = { name: 'podpass-tokens', mountPath: '/tokens', readOnly: true };
    expect(response.patch).toEqual([{ op: 'add', path: '/spec/ephemeralContainers/0/volumeMounts', value: [mount] }]);
    expect(response.auditAnnotations).toEqual({ tokens: '{"vault":"vault"}' });
  });

  test('what is stored counts, not what the request says of the rest of the Pod', async () => {
    const forged = await stored();
    expect(await admit(debug(pod(), [debugger_], forged), known(), settings)).toMatchObject({
      response: { allowed: true, warnings: [] },
      result: 'unchanged',
      reason: 'nothing to add',
    });
    const { result } = await admit(debug(forged, [debugger_], pod()), known(), settings);
    expect(result).toBe('injected');
  });

  test('without a new debug container nothing is looked up', async () => {
    const source = known();
    const there = await stored();
    const old = { ...there, spec: { ...there.spec, ephemeralContainers: [debugger_] } };
    for (const containers of [[debugger_], [], [{ ...debugger_, image: 'other:1' }]]) {
      const { response, result } = await admit(debug(old, containers), source, settings);
      expect([result, response]).toEqual(['unchanged', { allowed: true, warnings: [] }]);
    }
    expect(source.asked).toEqual([]);
  });

  test('a mistake in the new container is denied, without a report to the owner', async () => {
    const volumeMounts = [{ name: 'data', mountPath: '/tokens' }];
    const { response, result, report } = await admit(
      debug(await stored(), [{ ...debugger_, volumeMounts }]),
      known(),
      settings,
    );
    expect([result, report, response.allowed]).toEqual(['denied', undefined, false]);
    expect(response.message).toContain('in the container "debugger"');
  });

  test('a mistake in annotations is a warning', async () => {
    const old = { ...(await stored()), metadata: pod({ 'podpass.dev/expiration': '5m', ...VAULT }).metadata };
    const { response, result } = await admit(debug(old), known(), settings);
    expect([result, response.allowed]).toEqual(['unchanged', true]);
    expect(response.warnings).toEqual([expect.stringContaining('podpass.dev/expiration: "5m" is too short')]);
  });

  test('a ServiceAccount that is not found is a warning, without a report', async () => {
    const { response, result, report } = await admit(debug(await stored()), accounts({}), settings);
    expect([result, report, response.allowed]).toEqual(['unchanged', undefined, true]);
    expect(response.warnings).toEqual([expect.stringContaining('shop/app')]);
  });

  test('other subresources and updates stay alone', async () => {
    const source = known();
    for (const subResource of ['resize', 'status', ''])
      expect(await admit({ ...debug(await stored()), subResource }, source, settings)).toMatchObject({
        result: 'unchanged',
        reason: 'not the creation of a Pod',
      });
    expect(source.asked).toEqual([]);
  });

  test.each([
    ['object', { object: null }],
    ['oldObject', { oldObject: null }],
    ['object', { object: pod(undefined, { ephemeralContainers: [{}] }) }],
  ])('one whose %s is no Pod is 400', async (member, more) => {
    await expect(admit({ ...debug(pod()), ...more }, known(), settings)).rejects.toMatchObject({
      status: 400,
      message: expect.stringContaining(`the ${member} is not a Pod`),
    });
  });

  test('more than a Pod can hold is denied', async () => {
    const many = Array.from({ length: 30_000 }, (_, index) => ({ name: `d${index}` }));
    const role = { 'eks.amazonaws.com/role-arn': 'arn:aws:iam::111122223333:role/r' };
    const volumes = [
      {
        name: 'aws-iam-token',
        projected: {
          sources: [
            { serviceAccountToken: { audience: 'sts.amazonaws.com', expirationSeconds: 86400, path: 'token' } },
          ],
        },
      },
    ];
    const { response } = await admit(debug(pod({}, { volumes }), many), accounts({ 'shop/app': role }), {
      ...mutationSettings(),
      ephemeralContainers: true,
    });
    expect(response.message).toContain('would be added');
  });
});

test('debug containers of a Pod that is created are nobody’s: the API server refuses them', async () => {
  const object = pod(VAULT, { ephemeralContainers: [{ name: 'debugger' }] });
  const { response } = await admit(request(object), known(), { ...SETTINGS, ephemeralContainers: true });
  expect(JSON.stringify(response.patch)).not.toContain('ephemeralContainers');
});
