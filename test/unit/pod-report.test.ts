import { expect, test } from 'vitest';
import { annotationRows } from '../../src/catalog/annotations.ts';
import type { AdmissionRequest } from '../../webhook/admission-review.ts';
import { admit } from '../../webhook/admit.ts';
import { eventOf } from '../../webhook/pod-report.ts';

const SETTINGS = {
  annotationPrefix: 'podpass.dev',
  mountPath: '/tokens',
  tokenExpiration: 3600,
  reservedAudiences: new Set(['apiserver']),
  presets: [],
};
const OWNER = { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'web-5d4f', uid: 'a-b-c', controller: true };
const BAD = { 'podpass.dev/audiences': 'vault', 'podpass.dev/expiration': '5m' };

interface Wanted {
  annotations?: Record<string, string>;
  owners?: unknown;
  account?: Record<string, string> | 'none';
  more?: Partial<AdmissionRequest>;
}

async function eventFor({ annotations = {}, owners = [OWNER], account = {}, more = {} }: Wanted) {
  const metadata = { generateName: 'web-', annotations, ownerReferences: owners };
  const object = { metadata, spec: { serviceAccountName: 'app', containers: [{ name: 'app' }] } };
  const request: AdmissionRequest = { uid: 'u', operation: 'CREATE', namespace: 'shop', object, ...more };
  const source = {
    get: async (namespace: string, name: string) =>
      account === 'none'
        ? ({ found: false, source: 'live' } as const)
        : ({ found: true, source: 'cache', serviceAccount: { namespace, name, annotations: account } } as const),
  };
  return eventOf(request, (await admit(request, source, SETTINGS)).report);
}

test('a denied Pod is told of on its controller, with all problems', async () => {
  const event = await eventFor({ annotations: { ...BAD, 'podpass.dev/mount-path': 'x' } });
  const { controller: _, ...regarding } = OWNER;
  expect(event).toMatchObject({
    type: 'Warning',
    action: 'Admit',
    reason: 'PodDenied',
    regarding: { ...regarding, namespace: 'shop' },
  });
  expect(event?.note).toMatch(
    /^2 problems:\n- Pod shop\/web-: podpass\.dev\/expiration: "5m" is too short; accepted: /,
  );
  expect(event?.note).toContain('\n- Pod shop/web-: podpass.dev/mount-path: "x" is not an absolute path; accepted: ');
});

test('it is told of nowhere without a controller, nor of a dry run, nor of a Pod that gets its tokens', async () => {
  expect(await eventFor({ annotations: BAD, owners: [] })).toBeUndefined();
  expect(await eventFor({ annotations: BAD, more: { dryRun: true } })).toBeUndefined();
  expect(await eventFor({ annotations: BAD, more: { dryRun: false } })).toBeDefined();
  expect(await eventFor({ annotations: BAD, more: { namespace: '../x' } })).toBeUndefined();
  expect(await eventFor({ annotations: { 'podpass.dev/audiences': 'vault' } })).toBeUndefined();
  expect(await eventFor({})).toBeUndefined();
});

test.each([
  ['null', null],
  ['no list', { controller: true }],
  ['nothing in it', [null, 1]],
  ['no controller', [{ ...OWNER, controller: false }]],
  ['a path as its name', [{ ...OWNER, name: '../x' }]],
  ['a name that is no text', [{ ...OWNER, name: 1 }]],
  ['no uid', [{ ...OWNER, uid: '' }]],
  ['white space in its kind', [{ ...OWNER, kind: 'Replica Set' }]],
  ['no version', [{ ...OWNER, apiVersion: 'apps' }]],
])('an owner that is none is as good as none: %s', async (_, owners) => {
  expect(await eventFor({ annotations: BAD, owners })).toBeUndefined();
});

test('the controller counts, whatever stands before it', async () => {
  const job = { ...OWNER, apiVersion: 'batch/v1', kind: 'Job', name: 'migrate' };
  const event = await eventFor({ annotations: BAD, owners: [{ ...OWNER, controller: false }, job] });
  expect(event?.regarding).toMatchObject({ kind: 'Job', name: 'migrate', apiVersion: 'batch/v1' });
});

test('a Pod whose ServiceAccount was not found is told of on its controller, if it asks by itself', async () => {
  const annotations = { 'podpass.dev/audiences': 'vault' };
  expect(await eventFor({ annotations, account: 'none' })).toMatchObject({
    reason: 'PodWithoutToken',
    note: expect.stringContaining('as the ServiceAccount shop/app was not found'),
    regarding: { kind: 'ReplicaSet' },
  });
  expect(await eventFor({ account: 'none' })).toBeUndefined();
  expect(await eventFor({ annotations, account: 'none', owners: [] })).toBeUndefined();
});

test('a Pod without a container for its token is told of on its controller, else on its ServiceAccount', async () => {
  const account = { 'podpass.dev/audiences': 'vault, api', 'podpass.dev/containers.vault': 'sidecar' };
  expect(await eventFor({ account })).toMatchObject({
    reason: 'PodWithoutToken',
    note: expect.stringMatching(/^Pod shop\/web-: no container is left for a token/),
    regarding: { kind: 'ReplicaSet' },
  });
  expect((await eventFor({ account, owners: [] }))?.regarding).toEqual({
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    namespace: 'shop',
    name: 'app',
  });
});

test('no value is in a note, wherever a token was put by mistake', async () => {
  const token = 'eyJhbGciOiJSUzI1NiJ9.eyJzdWIi.c2lnbmF0dXJl';
  const places = annotationRows.map(({ key, named }) => `podpass.dev/${named ? `${key}.api` : key}`);
  let told = 0;
  const check = async (annotations: Record<string, string>) => {
    const note = (await eventFor({ annotations }))?.note ?? '';
    expect([annotations, note.includes('eyJ') || note.includes('c2ln')]).toEqual([annotations, false]);
    if (note !== '') told += 1;
  };
  for (const place of places) {
    for (const value of [token, `${token} ${token}x`, `"${token}"`, `\\"${token}`, `${token}/${'a'.repeat(80)}`]) {
      await check({ 'podpass.dev/audience.api': 'x', [place]: value });
      await check({ 'podpass.dev/audiences': value, [place]: value });
      await check({ 'podpass.dev/audiences': `https://${value}, http://${value}`, [place]: value });
      await check({ 'podpass.dev/audience.a"b': value, 'podpass.dev/env.a"b': value, [place]: value });
    }
  }
  expect(told).toBeGreaterThan(50);
});
