import { describe, expect, test } from 'vitest';
import { presetNames, presetRows } from '../../src/catalog/presets.ts';
import { mutatePod } from '../../webhook/mutate-pod.ts';
import type { Container, Pod } from '../../webhook/pod.ts';
import { mutationSettings, type WrittenSettings } from '../mutation-settings.ts';

interface Case {
  readonly pod?: Partial<NonNullable<Pod['metadata']>>;
  readonly containers?: readonly Container[];
  readonly account?: Readonly<Record<string, string>>;
  readonly settings?: WrittenSettings;
  readonly name?: string;
  readonly credentials?: boolean;
  readonly volumes?: readonly { readonly name: string }[];
}

function mutate({ pod = {}, containers = [{ name: 'web' }], account = {}, name = 'app', ...rest }: Case) {
  const { settings, credentials, volumes = [] } = rest;
  return mutatePod(
    { metadata: { name: 'web', ...pod }, spec: { containers, volumes } },
    'Pod shop/web',
    { namespace: 'shop', name, object: `ServiceAccount shop/${name}`, annotations: account },
    mutationSettings({ presets: 'aws,azure,gcp', azureTenantId: 'tenant', ...settings }, () => credentials === true),
  );
}

const ROLE = { 'eks.amazonaws.com/role-arn': 'arn:aws:iam::111122223333:role/s3-reader' };
const lifetimes = (mutation: ReturnType<typeof mutate>) =>
  [...JSON.stringify(mutation.patch).matchAll(/"expirationSeconds":(\d+)/g)].map(([, seconds]) => Number(seconds));

test('every preset has rows, and no key twice', () => {
  for (const name of presetNames) expect(presetRows.some((row) => row.preset === name)).toBe(true);
  const keys = presetRows.map(({ preset, kind, key }) => `${preset} ${kind} ${key}`);
  expect(new Set(keys).size).toBe(keys.length);
});

describe('a lifetime of a day for container credentials', () => {
  const of = (name: string, account = {}) => lifetimes(mutate({ name, account, credentials: true }))[0] ?? 0;
  const names = Array.from({ length: 50 }, (_, i) => `app-${i}`);

  test('is spread over its last two hours by ServiceAccount, and is the same in each round', () => {
    for (const name of names) {
      expect(of(name)).toBeGreaterThanOrEqual(79_200);
      expect(of(name)).toBeLessThanOrEqual(86_400);
      expect(of(name)).toBe(of(name));
    }
    expect(new Set(names.map((name) => of(name))).size).toBeGreaterThan(40);
  });

  test('that another webhook has chosen stays, if all else is the same', () => {
    const volume = (expirationSeconds: unknown, audience = 'pods.eks.amazonaws.com') => ({
      name: 'eks-pod-identity-token',
      projected: {
        sources: [{ serviceAccountToken: { audience, expirationSeconds, path: 'eks-pod-identity-token' } }],
      },
    });
    const withVolume = (present: { name: string }) => {
      const { patch, problems } = mutate({ credentials: true, volumes: [present] });
      return [problems.length, patch.some(({ path }) => path.startsWith('/spec/volumes'))];
    };
    for (const seconds of [79_200, 83_333, 86_400]) expect(withVolume(volume(seconds))).toEqual([0, false]);
    for (const seconds of [79_199, 86_401, '83333', null]) expect(withVolume(volume(seconds))).toEqual([1, false]);
    expect(withVolume(volume(83_333, 'another'))).toEqual([1, false]);
    for (const projected of [null, 'x', { sources: null }, { sources: [null] }])
      expect(withVolume({ name: 'eks-pod-identity-token', ...{ projected } })).toEqual([1, false]);
  });

  test('of another length is not, nor is one for a role', () => {
    expect(of('app', { 'eks.amazonaws.com/token-expiration': '86399' })).toBe(86_399);
    expect(lifetimes(mutate({ account: ROLE }))).toEqual([86_400]);
  });
});

describe('a lifetime', () => {
  const key = 'eks.amazonaws.com/token-expiration';
  test.each([
    ['600', 600, 0],
    ['599', 600, 1],
    ['-1', 600, 1],
    [' 10m ', 600, 0],
    ['4294967296', 4_294_967_296, 0],
    ['', 86_400, 1],
    ['+3600', 86_400, 1],
    ['3600.5', 86_400, 1],
  ])('%j of AWS is %d s with %d warnings', (value, seconds, warnings) => {
    const mutation = mutate({ account: { ...ROLE, [key]: value } });
    expect([mutation.problems, lifetimes(mutation), mutation.warnings.length]).toEqual([[], [seconds], warnings]);
  });

  test.each(['4294967297', '9'.repeat(400)])('of %j is refused, whoever wrote it', (value) => {
    expect(mutate({ account: { ...ROLE, [key]: value } }).problems).toEqual([
      expect.objectContaining({ object: 'ServiceAccount shop/app', key, value, wrong: 'is too long' }),
    ]);
    expect(mutate({ account: ROLE, pod: { annotations: { [key]: value } } }).problems).toHaveLength(1);
  });

  test("of the Pod makes its ServiceAccount's not count, even a wrong one", () => {
    const account = { ...ROLE, [key]: '99999999999' };
    expect(lifetimes(mutate({ account, pod: { annotations: { [key]: '2h' } } }))).toEqual([7200]);
  });
});

test('presets that act are told by their names and audiences, beside tokens', () => {
  const { tokens, presets } = mutate({
    account: { ...ROLE, 'podpass.dev/audience.aws': 'x' },
    pod: { labels: { 'azure.workload.identity/use': 'true' } },
  });
  expect(tokens.map(({ name }) => name)).toEqual(['aws']);
  expect(presets).toEqual([
    { name: 'aws', audience: 'sts.amazonaws.com' },
    { name: 'azure', audience: 'api://AzureADTokenExchange' },
  ]);
});

test('a preset with only skipped containers is not told', () => {
  const annotations = { 'eks.amazonaws.com/skip-containers': 'web' };
  expect(mutate({ account: ROLE, pod: { annotations } })).toMatchObject({ presets: [], patch: [], problems: [] });
});

test('what a webhook before wrote on the Pod is no warning', () => {
  const account = {
    'cloud.google.com/workload-identity-provider': 'projects/1/locations/global/workloadIdentityPools/p/providers/c',
    'cloud.google.com/service-account-email': 'r@p.iam.gserviceaccount.com',
  };
  expect(mutate({ account, pod: { annotations: account } })).toMatchObject({ problems: [], warnings: [] });
  const others = { 'cloud.google.com/service-account-email': 'other' };
  expect(mutate({ account, pod: { annotations: others } }).warnings).toEqual([
    expect.stringContaining('does nothing on a Pod; it belongs on a ServiceAccount (Pod shop/web)'),
  ]);
});

test('keys of others under the prefix of a cloud are none of ours; warnings are at most twenty', () => {
  const others = { 'cloud.google.com/neg': '{}', 'eks.amazonaws.com/compute-type': 'fargate' };
  expect(mutate({ pod: { annotations: others } }).warnings).toEqual([]);
  const misspelt = Object.fromEntries(
    Array.from('abcdefghijklmnopqrstuvwxyz', (letter) => [`eks.amazonaws.com/role-arn${letter}`, 'x']),
  );
  expect(mutate({ pod: { annotations: misspelt } }).warnings).toHaveLength(20);
});

test('names of properties that every object has are no annotations', () => {
  expect(mutate({ account: JSON.parse('{"__proto__":"x","constructor":"y"}') })).toMatchObject({ patch: [] });
});
