import type { Server } from 'node:https';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type ControlPlane, type KubeObject, startControlPlane } from './control-plane.ts';
import { otherWebhook } from './other-webhook.ts';
import { type Podpass, podpass, register, startWebhook, until } from './podpass.ts';
import { type Container, specOf } from './pods.ts';
import { clusterBinaries, describeCluster } from './suite.ts';

const NAMESPACE = 'shop';
const PROXY = 'podpass-oauth2-proxy';
const key = (annotations: Record<string, string>) =>
  Object.fromEntries(Object.entries(annotations).map(([name, value]) => [`podpass.dev/${name}`, value]));
const MACHINES = key({
  'oauth2-proxy': 'http',
  'oauth2-proxy-audiences': 'shop',
  'oauth2-proxy-callers': 'system:serviceaccount:billing:worker',
});
const PEOPLE = key({
  'oauth2-proxy-sso': 'shop-sso',
  'oauth2-proxy-sso-issuer': 'https://login.example.com',
  'oauth2-proxy-sso-redirect-url': 'https://shop.example.com/oauth2/callback',
  'oauth2-proxy-sso-email-domains': 'example.com',
});

const restricted = {
  allowPrivilegeEscalation: false,
  capabilities: { drop: ['ALL'] },
  runAsNonRoot: true,
  seccompProfile: { type: 'RuntimeDefault' },
};

describeCluster('oauth2-proxy, by a real API server', () => {
  let cluster: ControlPlane;
  let webhook: Podpass;
  let server: Server;
  const patches = new Map<string, (pod: KubeObject) => object[]>();
  let pods = 0;

  function podOf(annotations: Record<string, string>, spec: object = {}) {
    const name = `pod-${++pods}`;
    const labels = { 'changed-by': 'z-other' };
    const web = {
      name: 'web',
      image: 'app:1',
      ports: [{ name: 'http', containerPort: 8080 }],
      livenessProbe: { httpGet: { path: '/healthz', port: 'http' } },
      securityContext: restricted,
    };
    return {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name, labels, annotations },
      spec: { containers: [web], ...spec },
    };
  }
  const create = (pod: ReturnType<typeof podOf>, dryRun = false) => cluster.createPod(NAMESPACE, pod, { dryRun });
  const proxyOf = (pod: KubeObject): Container | undefined => {
    const { initContainers = [], containers } = specOf(pod);
    return [...initContainers, ...containers].find(({ name }) => name === PROXY);
  };

  beforeAll(async () => {
    cluster = await startControlPlane({ binaries: clusterBinaries() });
    // Without a setting: the issuer and the version are the API server's.
    webhook = await startWebhook(cluster);
    await register(cluster, webhook, { reinvocationPolicy: 'IfNeeded' });
    server = await otherWebhook(cluster, 'z-other', (pod) => patches.get(String(pod.metadata.name))?.(pod) ?? []);
    const modes = ['enforce', 'warn'].map((mode) => [`pod-security.kubernetes.io/${mode}`, 'restricted']);
    await cluster.createNamespace(NAMESPACE, { labels: Object.fromEntries(modes) });
    await cluster.createServiceAccount(NAMESPACE, 'default');
    await until('the issuer', async () => (await create(podOf(MACHINES), true)).status === 201);
  });
  afterAll(async () => {
    server?.close();
    server?.closeAllConnections();
    await webhook?.stop();
    await cluster?.stop();
  });

  it('is a native sidecar for the issuer of the cluster, and takes the name over', async () => {
    const { status, body } = await create(podOf(MACHINES));
    expect([status, body.message]).toEqual([201, undefined]);
    const { issuer } = await cluster.expect<{ issuer: string }>('GET', '/.well-known/openid-configuration');
    const proxy = proxyOf(body);
    expect(specOf(body).initContainers).toEqual([proxy]);
    expect(proxy).toMatchObject({ restartPolicy: 'Always', ports: [{ name: 'http', containerPort: 4180 }] });
    expect(proxy?.args).toContain(`--oidc-issuer-url=${issuer}`);
    expect(specOf(body).containers[0]).toMatchObject({
      ports: [{ name: 'unprotected', containerPort: 8080 }],
      livenessProbe: { httpGet: { port: 8080 } },
    });
    expect(body.metadata.annotations).toMatchObject({ 'podpass.dev/injected': 'oauth2-proxy' });
  });

  it.each([
    ['for machines', MACHINES],
    ['for people', { ...MACHINES, ...PEOPLE }],
    ['with a ConfigMap and a CA', { ...MACHINES, ...key({ 'oauth2-proxy-ca-config-map': 'kube-root-ca.crt' }) }],
  ])('satisfies restricted Pod Security %s, as a native sidecar and as a container', async (_, annotations) => {
    const warned = (warnings: readonly string[]) => warnings.filter((each) => each.includes('PodSecurity'));
    const native = await create(podOf(annotations));
    expect([native.status, native.body.message, warned(native.warnings)]).toEqual([201, undefined, []]);
    const flags = ['--oauth2-proxy-issuer=https://issuer.example.com', '--oauth2-proxy-mode=container'];
    const { stdout } = await podpass(['mutate', '-f', '-', '-o', 'json', ...flags], JSON.stringify(podOf(annotations)));
    const pod = JSON.parse(stdout) as ReturnType<typeof podOf>;
    // What the webhook would make of it is another matter.
    pod.metadata.annotations = {};
    const container = await create(pod);
    expect([container.status, container.body.message, warned(container.warnings)]).toEqual([201, undefined, []]);
    expect(specOf(container.body).containers.map(({ name }) => name)).toEqual(['web', PROXY]);
    // It is the namespace that judges.
    const { securityContext: _context, ...without } = pod.spec.containers[1] as unknown as Container;
    const open = { ...podOf({}), spec: { ...pod.spec, containers: [pod.spec.containers[0], without] } };
    expect((await create(open as unknown as typeof pod)).body.message).toContain('violates PodSecurity');
  });

  it('sees no tokens of the Pod, in neither round, while containers of others do', async () => {
    const pod = podOf({ ...MACHINES, 'podpass.dev/audiences': 'vault' });
    const late = { name: 'late', image: 'late:1', securityContext: restricted };
    patches.set(pod.metadata.name, () => [{ op: 'add', path: '/spec/containers/-', value: late }]);
    const { status, body } = await create(pod);
    expect([status, body.message]).toEqual([201, undefined]);
    const tokens = (container?: Container) =>
      (container?.volumeMounts ?? []).filter(({ name }) => name.startsWith('podpass-tokens')).length;
    expect(specOf(body).containers.map((each) => [each.name, tokens(each)])).toEqual([
      ['web', 1],
      ['late', 1],
    ]);
    expect(tokens(proxyOf(body))).toBe(0);
    expect(body.metadata.annotations).toMatchObject({ 'podpass.dev/injected': 'vault,oauth2-proxy' });
  });

  it('may be changed by another webhook in what does not matter, and is one container after all', async () => {
    const pod = podOf(MACHINES);
    patches.set(pod.metadata.name, () => [
      { op: 'replace', path: '/spec/initContainers/0/image', value: 'mirror.example.com/oauth2-proxy:v7.15.3' },
      {
        op: 'add',
        path: '/spec/initContainers/0',
        value: { name: 'mesh', image: 'mesh:1', restartPolicy: 'Always', securityContext: restricted },
      },
    ]);
    const { status, body } = await create(pod);
    expect([status, body.message]).toEqual([201, undefined]);
    expect(specOf(body).initContainers?.map(({ name }) => name)).toEqual(['mesh', PROXY]);
    expect(proxyOf(body)).toMatchObject({ image: 'mirror.example.com/oauth2-proxy:v7.15.3' });
  });

  it.each<[string, object[], string]>([
    [
      'takes its port',
      [
        {
          op: 'add',
          path: '/spec/containers/-',
          value: { name: 'late', image: 'late:1', ports: [{ containerPort: 4180 }] },
        },
      ],
      'podpass.dev/oauth2-proxy-port',
    ],
    [
      'gives it other arguments',
      [{ op: 'add', path: '/spec/initContainers/0/args/-', value: '--skip-auth-route=.*' }],
      'spec.initContainers[0].name',
    ],
  ])('is refused where another webhook %s', async (_, patch, message) => {
    const pod = podOf(MACHINES);
    patches.set(pod.metadata.name, () => patch);
    const { status, body } = await create(pod);
    expect([status, body.message]).toEqual([422, expect.stringContaining(message)]);
  });
});
