import jsonPatch, { type Operation } from 'fast-json-patch';
import { describe, expect, test } from 'vitest';
import { silentLog } from '../../../src/log.ts';
import { KubeError } from '../../../src/runtime/kube-client.ts';
import { admit } from '../../../webhook/admit.ts';
import { mutatePod } from '../../../webhook/mutate-pod.ts';
import { findClusterFacts, followClusterFacts } from '../../../webhook/oauth2-proxy/cluster-facts.ts';
import { type ClusterFacts, type ProxySettings, proxySettings } from '../../../webhook/oauth2-proxy/settings.ts';
import type { Pod } from '../../../webhook/pod.ts';
import { mutationSettings } from '../../mutation-settings.ts';
import { runCommand } from '../../run-command.ts';

const SETTINGS = mutationSettings({ oauth2ProxyIssuer: 'https://issuer.example.com' });
const ASKS = {
  'podpass.dev/oauth2-proxy': 'http',
  'podpass.dev/oauth2-proxy-audiences': 'shop',
  'podpass.dev/oauth2-proxy-callers': 'system:serviceaccount:billing:worker',
};
const NAME = 'podpass-oauth2-proxy';

interface TestContainer {
  name: string;
  image?: string;
  args?: string[];
  ports?: { name?: string; containerPort: number; hostPort?: number }[];
  [field: string]: unknown;
}
interface TestPod {
  metadata: { name: string; annotations: Record<string, string> };
  spec: { initContainers?: TestContainer[]; containers: TestContainer[]; [field: string]: unknown };
}

const podOf = (annotations: Record<string, string> = {}, spec: Partial<TestPod['spec']> = {}): TestPod => ({
  metadata: { name: 'web', annotations: { ...ASKS, ...annotations } },
  spec: { containers: [{ name: 'web', ports: [{ name: 'http', containerPort: 8080 }] }], ...spec },
});
const account = { namespace: 'shop', name: 'app', object: 'ServiceAccount shop/app', annotations: {} };
const mutate = (pod: TestPod, proxy: Partial<ProxySettings> = {}) =>
  mutatePod(pod as unknown as Pod, 'Pod shop/web', account, {
    ...SETTINGS,
    oauth2Proxy: { ...(SETTINGS.oauth2Proxy as ProxySettings), ...proxy },
  });
const apply = (pod: TestPod, patch: readonly object[]): TestPod =>
  jsonPatch.applyPatch(structuredClone(pod), structuredClone(patch) as Operation[], true).newDocument;

describe('where it runs', () => {
  const listOf = (pod: TestPod, proxy: Partial<ProxySettings>) => {
    const { initContainers = [], containers } = apply(pod, mutate(pod, proxy).patch).spec;
    const native = initContainers.find(({ name }) => name === NAME);
    if (native !== undefined) return native.restartPolicy === 'Always' ? 'native' : 'an init container that never ends';
    return containers.some(({ name }) => name === NAME) ? 'container' : 'nowhere';
  };
  const number = { 'podpass.dev/oauth2-proxy': '8080' };

  test.each<[number | undefined, string, string]>([
    [28, 'container', 'container'],
    [29, 'native', 'container'],
    [32, 'native', 'container'],
    [33, 'native', 'native'],
    [undefined, 'native', 'native'],
  ])('on Kubernetes 1.%s: for a number %s, for a name %s', (minor, forNumber, forName) => {
    expect([listOf(podOf(number), { minor }), listOf(podOf(), { minor })]).toEqual([forNumber, forName]);
  });

  test('as the setting says, on any', () => {
    expect(listOf(podOf(), { minor: 28, mode: 'native' })).toBe('native');
    expect(listOf(podOf(), { minor: 40, mode: 'container' })).toBe('container');
  });

  test('a Pod that is to end is warned of a container, and not of a native sidecar', () => {
    for (const [mode, restartPolicy, warned] of [
      ['container', 'Never', true],
      ['container', 'OnFailure', true],
      ['container', 'Always', false],
      ['native', 'Never', false],
    ] as const) {
      const { warnings } = mutate(podOf({}, { restartPolicy }), { mode });
      expect([mode, restartPolicy, warnings.some((each) => each.includes('never ends'))]).toEqual([
        mode,
        restartPolicy,
        warned,
      ]);
    }
  });
});

describe('a second round', () => {
  const first = podOf({ 'podpass.dev/audiences': 'vault', 'podpass.dev/oauth2-proxy-ca-config-map': 'ca' });
  const after = apply(first, mutate(first).patch);
  const sidecarOf = (pod: TestPod) => pod.spec.initContainers?.find(({ name }) => name === NAME) as TestContainer;

  test('adds nothing, and says nothing again', () => {
    expect(mutate(after)).toMatchObject({ patch: [], problems: [], warnings: [] });
  });

  test('leaves alone what others have done to the container', () => {
    const other = structuredClone(after);
    Object.assign(sidecarOf(other), { image: 'mirror.example.com/proxy:v7.15.3', tty: false });
    (sidecarOf(other).volumeMounts as object[]).push({
      name: 'kube-api-access-x',
      mountPath: '/var/run/secrets/kubernetes.io/serviceaccount',
    });
    other.spec.initContainers?.unshift({ name: 'mesh', restartPolicy: 'Always' });
    // The one that came meanwhile gets its tokens; the sidecar gets none.
    const { patch, problems } = mutate(other);
    expect(problems).toEqual([]);
    expect(patch.map(({ path }) => path)).toEqual(['/spec/initContainers/0/volumeMounts']);
  });

  test('refuses other arguments', () => {
    for (const args of [
      [],
      [...(sidecarOf(after).args ?? []), '--skip-auth-route=.*'],
      (sidecarOf(after).args ?? []).slice(1),
    ]) {
      const other = structuredClone(after);
      sidecarOf(other).args = args;
      expect(mutate(other).problems.map(({ value }) => value)).toEqual([NAME]);
    }
  });

  test('refuses a container that came with the same port', () => {
    const other = structuredClone(after);
    other.spec.containers.push({ name: 'late', ports: [{ containerPort: 4180 }] });
    expect(mutate(other).problems.map(({ key, value }) => `${key} ${value}`)).toEqual([
      'podpass.dev/oauth2-proxy-port 4180',
    ]);
  });

  test('refuses a container that came with a way in through the node', () => {
    const other = structuredClone(after);
    other.spec.containers.push({ name: 'late', ports: [{ containerPort: 8080, hostPort: 80 }] });
    expect(mutate(other).problems.map(({ key, wrong }) => `${key} ${wrong}`)).toEqual([
      'podpass.dev/oauth2-proxy is open on the node too, by the hostPort 80',
    ]);
  });

  test('refuses callers that somebody wrote in the place of those that were asked for', () => {
    const other = structuredClone(after);
    other.metadata.annotations['podpass.dev/oauth2-proxy-allowed'] = 'system:serviceaccount:evil:evil';
    expect(mutate(other).problems.map(({ key }) => key)).toEqual(['podpass.dev/oauth2-proxy-allowed']);
  });
});

describe('the port', () => {
  test('takes over a name in a native sidecar of the Pod, too', () => {
    const pod = podOf(
      {},
      {
        initContainers: [{ name: 'app', restartPolicy: 'Always', ports: [{ name: 'http', containerPort: 81 }] }],
        containers: [{ name: 'web' }],
      },
    );
    const after = apply(pod, mutate(pod).patch);
    expect(after.spec.initContainers?.[0]?.ports).toEqual([{ name: 'unprotected', containerPort: 81 }]);
    expect(after.spec.initContainers?.[1]?.args).toContain('--upstream=http://127.0.0.1:81');
    expect(mutate(after)).toMatchObject({ patch: [], problems: [] });
  });

  test('leaves probes of other containers, and odd ones, as they are', () => {
    const probes = {
      livenessProbe: null,
      readinessProbe: { httpGet: 'http' },
      lifecycle: [],
      startupProbe: { tcpSocket: { port: 8080 } },
    };
    const other = { name: 'other', livenessProbe: { httpGet: { port: 'http' } } };
    const pod = podOf(
      {},
      { containers: [{ name: 'web', ports: [{ name: 'http', containerPort: 8080 }], ...probes }, other] },
    );
    const after = apply(pod, mutate(pod).patch);
    expect(after.spec.containers).toEqual([
      { name: 'web', ports: [{ name: 'unprotected', containerPort: 8080 }], ...probes },
      other,
    ]);
  });

  test.each<[string, string, TestContainer['ports'], string]>([
    [
      'two ports of one name',
      'http',
      [
        { name: 'http', containerPort: 1 },
        { name: 'http', containerPort: 2 },
      ],
      'is the name of 2 ports',
    ],
    [
      'a name that only the second round may use',
      'http',
      [{ name: 'unprotected', containerPort: 1 }],
      'is the name of no port',
    ],
    ['the port of the proxy itself', '4180', [], 'is where oauth2-proxy itself listens'],
    [
      'a number beside its own name',
      '8080',
      [{ name: 'oauth2-proxy', containerPort: 9 }],
      'needs a port that is called',
    ],
    ['a number that is none', '65536', [], 'is not a port'],
    [
      'a hostPort of the same number under another name',
      'http',
      [
        { name: 'http', containerPort: 8080 },
        { containerPort: 8080, hostPort: 80 },
      ],
      'is open on the node too, by the hostPort 80',
    ],
  ])('%s', (_, value, ports = [], wrong) => {
    const pod = podOf({ 'podpass.dev/oauth2-proxy': value }, { containers: [{ name: 'web', ports }] });
    expect(mutate(pod).problems.map((problem) => problem.wrong)).toEqual([expect.stringContaining(wrong)]);
  });

  test('a hostPort in another container, which has the same network, is refused', () => {
    const pod = podOf();
    pod.spec.containers.push({ name: 'side', ports: [{ name: 'x', containerPort: 8080, hostPort: 80 }] });
    expect(mutate(pod).problems.map(({ wrong }) => wrong)).toEqual(['is open on the node too, by the hostPort 80']);
  });

  test('another name of the same port is told, once', () => {
    const pod = podOf();
    const also = { name: 'metrics', containerPort: 8080 };
    pod.spec.containers[0]?.ports?.push(also, { name: 'admin', containerPort: 9090 });
    pod.spec.containers.push({ name: 'side', ports: [also] });
    const { problems, warnings, patch } = mutate(pod);
    expect(problems).toEqual([]);
    expect(warnings.filter((each) => each.includes('other names'))).toEqual([
      'podpass.dev/oauth2-proxy: port 8080 has other names, and Services that go by one are past oauth2-proxy: "metrics" (Pod shop/web)',
    ]);
    expect(mutate(apply(pod, patch))).toMatchObject({ patch: [], problems: [], warnings: [] });
  });
});

describe('what fails closed', () => {
  const request = (object: object) => ({
    uid: 'u',
    kind: { group: '', version: 'v1', kind: 'Pod' },
    resource: { group: '', version: 'v1', resource: 'pods' },
    namespace: 'shop',
    operation: 'CREATE' as const,
    object,
  });
  const nobody = { get: async () => ({ found: false, source: 'live' }) as const };
  const found = {
    get: async (namespace: string, name: string) =>
      ({ found: true, source: 'cache', serviceAccount: { namespace, name, annotations: {} } }) as const,
  };

  test('without an issuer a Pod that asks is refused, and others are not', async () => {
    const { oauth2Proxy: _, ...without } = SETTINGS;
    const unknown = { ...without, oauth2Proxy: { ...(SETTINGS.oauth2Proxy as ProxySettings), issuer: undefined } };
    for (const settings of [without, unknown]) {
      const { response } = await admit(request(podOf()), found, settings);
      expect([response.allowed, response.message]).toEqual([false, expect.stringContaining('--oauth2-proxy-issuer')]);
      const other = { metadata: { name: 'web' }, spec: { containers: [] } };
      expect((await admit(request(other), found, settings)).response.allowed).toBe(true);
    }
  });

  test('without its ServiceAccount a Pod that asks is refused, and others run without tokens', async () => {
    const { response, report } = await admit(request(podOf()), nobody, SETTINGS);
    expect([response.allowed, response.message]).toEqual([
      false,
      expect.stringContaining('"shop/default" was not found'),
    ]);
    expect(report?.reason).toBe('PodDenied');
    for (const annotations of [{ 'podpass.dev/oauth2-proxy': ' ' }, { 'podpass.dev/inject': 'false' }])
      expect((await admit(request(podOf(annotations)), nobody, SETTINGS)).response.allowed).toBe(true);
  });

  test('the audit annotation tells whose tokens go to which port', async () => {
    const { response, reason } = await admit(request(podOf()), found, SETTINGS);
    expect(reason).toBe('oauth2-proxy added');
    expect(JSON.parse(response.auditAnnotations?.['oauth2-proxy'] ?? '')).toEqual({ port: 8080, audiences: ['shop'] });
  });

  test('podpass mutate tells the same', async () => {
    const pod = JSON.stringify({ apiVersion: 'v1', kind: 'Pod', ...podOf() });
    const refused = await runCommand(['mutate', '-f', '-'], { input: pod });
    expect([refused.code, refused.out, refused.err]).toEqual([1, '', expect.stringContaining('--oauth2-proxy-issuer')]);
    const issuer = { PODPASS_OAUTH2_PROXY_ISSUER: 'https://issuer.example.com' };
    const done = await runCommand(['mutate', '-f', '-', '-o', 'patch'], { input: pod, env: issuer });
    expect([done.code, done.err]).toEqual([0, expect.stringContaining('NetworkPolicy')]);
    expect(JSON.parse(done.out)).toEqual(mutate(podOf()).patch);
  });
});

test('an issuer that is no URL is a problem of the cluster, and nothing breaks', () => {
  for (const issuer of ['kubernetes/serviceaccount', '', 'http://issuer.example.com'])
    expect(mutate(podOf(), { issuer }).problems.map(({ key }) => key)).toEqual(['--oauth2-proxy-issuer']);
});

test("an issuer that is the API server's own is a warning", () => {
  for (const [issuer, warned] of [
    ['https://kubernetes.default.svc.cluster.local', true],
    ['https://kubernetes.default.svc', true],
    ['https://kubernetes.default.svc.example.com', true],
    ['https://kubernetes.example.com', false],
  ] as const) {
    const { warnings } = mutate(podOf(), { issuer });
    expect([issuer, warnings.some((each) => each.includes('podpass discovery'))]).toEqual([issuer, warned]);
  }
});

test('thousands of callers, ports and paths are refused or done in no time', () => {
  const many = (count: number, item: (index: number) => string) =>
    Array.from({ length: count }, (_, i) => item(i)).join(',');
  const started = process.cpuUsage();
  mutate(podOf({ 'podpass.dev/oauth2-proxy-callers': many(5_000, (i) => `system:serviceaccount:a:b${i}`) }));
  mutate(podOf({ 'podpass.dev/oauth2-proxy-callers': many(20_000, (i) => `x${i}`) }));
  mutate(podOf({ 'podpass.dev/oauth2-proxy-skip-paths': many(20_000, (i) => `/${i}`) }));
  mutate(podOf({ 'podpass.dev/oauth2-proxy-resources': many(20_000, (i) => `limits.cpu=${i}`) }));
  const ports = Array.from({ length: 40_000 }, (_, i) => ({ name: `p${i}`, containerPort: i }));
  expect(mutate(podOf({}, { containers: [{ name: 'web', ports }] })).problems).not.toEqual([]);
  expect(process.cpuUsage(started).user / 1e6).toBeLessThan(2);
});

describe('what the API server tells', () => {
  const answers = (documents: Record<string, string>) => async (path: string) => {
    const text = documents[path];
    if (text === undefined) throw new KubeError('unreachable', 'away');
    return { status: 200, body: Buffer.from(text) };
  };
  const ISSUER = '{"issuer": "https://issuer.example.com"}';

  test('is its issuer and its version', async () => {
    const get = answers({ '/.well-known/openid-configuration': ISSUER, '/version': '{"major": "1", "minor": "29+"}' });
    expect(await findClusterFacts(get, silentLog)).toEqual({ issuer: 'https://issuer.example.com', minor: 29 });
    expect(await findClusterFacts(answers({ '/version': '{}' }), silentLog)).toEqual({});
  });

  test('is less than a setting, and the rest is asked again for', async () => {
    const get = answers({ '/.well-known/openid-configuration': ISSUER });
    let following: { stop(): void } | undefined;
    const facts = await new Promise<ClusterFacts>((resolve) => {
      following = followClusterFacts(get, silentLog, resolve);
    });
    following?.stop();
    expect(facts.issuer).toBe('https://issuer.example.com');
    const written = { oauth2ProxyImage: 'i', oauth2ProxyMode: 'auto', oauth2ProxyCaConfigMap: undefined } as const;
    expect(proxySettings({ ...written, oauth2ProxyIssuer: undefined }, facts).issuer).toBe(
      'https://issuer.example.com',
    );
    expect(proxySettings({ ...written, oauth2ProxyIssuer: 'https://a.example' }, facts).issuer).toBe(
      'https://a.example',
    );
  });
});
