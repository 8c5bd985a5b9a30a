import type { Server } from 'node:https';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ControlPlane, type KubeObject, startControlPlane } from './control-plane.ts';
import { otherWebhook } from './other-webhook.ts';
import { type Podpass, register, startWebhook } from './podpass.ts';
import { type Container, comparable, ourMounts, ourVolumes, specOf } from './pods.ts';
import { clusterBinaries, describeCluster } from './suite.ts';

const FOLDER = '/var/run/secrets/podpass.dev/tokens';
const VARIABLE = { name: 'VAULT_TOKEN_FILE', value: `${FOLDER}/vault` };
const rules = ['pods', 'pods/ephemeralcontainers'].map((resource) => ({
  apiGroups: [''],
  apiVersions: ['v1'],
  operations: [resource === 'pods' ? 'CREATE' : 'UPDATE'],
  resources: [resource],
}));

type Patch = (pod: KubeObject) => object[];

/** What another webhook does between our two rounds. */
describeCluster('another webhook, between the two rounds of a real API server', () => {
  let cluster: ControlPlane;
  let webhook: Podpass;
  const servers: Server[] = [];
  const patches = new Map<string, Patch>();
  /** The Pods of which it was asked. */
  const called = new Set<string>();

  beforeAll(async () => {
    cluster = await startControlPlane({ binaries: clusterBinaries() });
    webhook = await startWebhook(cluster, ['--ephemeral-containers']);
    await register(cluster, webhook, { rules, reinvocationPolicy: 'IfNeeded' });
    // One for all: a registration takes seconds to arrive. It is told what to do by the Pod's name.
    const change = (pod: KubeObject) => {
      const name = String(pod.metadata.name);
      called.add(name);
      return patches.get(name)?.(pod) ?? [];
    };
    servers.push(await otherWebhook(cluster, 'z-other', change, { rules }));
    await cluster.createNamespace('shop');
    await cluster.createServiceAccount('shop', 'web', {
      'podpass.dev/audiences': 'vault, api',
      'podpass.dev/env.vault': 'VAULT_TOKEN_FILE',
      'podpass.dev/containers.api': 'app, sidecar',
      'podpass.dev/skip-containers': 'logs',
    });
    await cluster.createServiceAccount('shop', 'plain', {
      'podpass.dev/audiences': 'vault',
      'podpass.dev/env.vault': 'VAULT_TOKEN_FILE',
    });
  });
  afterAll(async () => {
    for (const server of servers) {
      server.close();
      server.closeAllConnections();
    }
    await webhook?.stop();
    await cluster?.stop();
  });

  let pods = 0;

  async function create(patch: Patch | undefined, serviceAccountName: string, more: object = {}, annotations = {}) {
    const name = `pod-${++pods}`;
    if (patch !== undefined) patches.set(name, patch);
    const labels = { 'changed-by': 'z-other' };
    const spec = { serviceAccountName, containers: [{ name: 'app', image: 'app:1' }], ...more };
    const answer = await cluster.createPod('shop', { metadata: { name, labels, annotations }, spec });
    expect(called).toContain(name);
    return answer;
  }

  /** A Pod as it is stored, without its name and with its lists of volumes in one order. */
  async function stored(...args: Parameters<typeof create>): Promise<KubeObject> {
    const { status, body } = await create(...args);
    expect(status, JSON.stringify(body)).toBe(201);
    const pod = comparable({ ...body, metadata: { ...body.metadata, name: '' } }) as KubeObject;
    specOf(pod).volumes?.sort((a, b) => (a.name < b.name ? -1 : 1));
    return pod;
  }

  const container = (name: string) => ({ name, image: `${name}:1` });
  const indexOf = (pod: KubeObject, volume: string) =>
    (specOf(pod).volumes ?? []).findIndex(({ name }) => name === volume);
  const mountIn = (pod: KubeObject) =>
    `/spec/containers/0/volumeMounts/${specOf(pod).containers[0]?.volumeMounts?.findIndex(({ mountPath }) => mountPath === FOLDER)}`;
  const ours = (pod: KubeObject) => `/spec/volumes/${indexOf(pod, 'podpass-tokens')}`;

  it('adds a sidecar and init containers: the Pod is the one that had them from the start', async () => {
    const patch: Patch = () => [
      { op: 'add', path: '/spec/containers/-', value: container('sidecar') },
      { op: 'add', path: '/spec/containers/-', value: container('logs') },
      {
        op: 'add',
        path: '/spec/initContainers',
        value: [container('setup'), { ...container('proxy'), restartPolicy: 'Always' }],
      },
    ];
    const late = await stored(patch, 'web');
    const wanted = ['app', 'sidecar', 'logs'].map(container);
    const initContainers = [container('setup'), { ...container('proxy'), restartPolicy: 'Always' }];
    expect(late).toEqual(await stored(undefined, 'web', { containers: wanted, initContainers }));
    const [all, some] = ourVolumes(late).map(({ name, projected }) => [
      name,
      projected?.sources.map(({ serviceAccountToken }) => serviceAccountToken?.path),
    ]);
    expect(all).toEqual(['podpass-tokens', ['api', 'vault']]);
    expect(some).toEqual([expect.stringMatching(/^podpass-tokens-[0-9a-f]{8}$/), ['vault']]);
    expect(ourMounts(late)).toEqual([
      ...['setup', 'proxy'].map((name) => `${name}: ${some?.[0]} at ${FOLDER}`),
      ...['app', 'sidecar'].map((name) => `${name}: podpass-tokens at ${FOLDER}`),
    ]);
  });

  it('copies a container with its mount: the copy stays as it is where it is to see the same', async () => {
    const patch: Patch = (pod) => [
      { op: 'add', path: '/spec/containers/-', value: { ...specOf(pod).containers[0], name: 'sidecar' } },
    ];
    const copied = await stored(patch, 'web');
    expect(ourMounts(copied)).toEqual(['app', 'sidecar'].map((name) => `${name}: podpass-tokens at ${FOLDER}`));
    expect(specOf(copied).containers.map(({ env }) => env)).toEqual([[VARIABLE], [VARIABLE]]);
  });

  describe('ends in the right Pod where it', () => {
    const cases: [string, Patch][] = [
      ['takes our volume away and leaves the mounts', (pod) => [{ op: 'remove', path: ours(pod) }]],
      ['takes our mount away and leaves the volume', (pod) => [{ op: 'remove', path: mountIn(pod) }]],
      ['takes our variable away', () => [{ op: 'remove', path: '/spec/containers/0/env' }]],
      [
        'takes all of it away',
        (pod) => [
          { op: 'remove', path: mountIn(pod) },
          { op: 'remove', path: ours(pod) },
          { op: 'remove', path: '/spec/containers/0/env' },
          { op: 'remove', path: '/metadata/annotations/podpass.dev~1injected' },
        ],
      ],
      [
        'says that something else was injected',
        () => [{ op: 'replace', path: '/metadata/annotations/podpass.dev~1injected', value: 'other' }],
      ],
    ];
    it.each(cases)('%s', async (_, patch) => {
      expect(await stored(patch, 'plain')).toEqual(await stored(undefined, 'plain'));
    });

    it('gives a container another name', async () => {
      const pod = await stored(() => [{ op: 'replace', path: '/spec/containers/0/name', value: 'main' }], 'plain');
      expect(pod).toEqual(await stored(undefined, 'plain', { containers: [{ ...container('app'), name: 'main' }] }));
    });

    it('takes the annotations away: what was asked for stays', async () => {
      const audience = { 'podpass.dev/audience.db': 'db' };
      await cluster.createServiceAccount('shop', 'silent');
      const pod = await stored(
        () => [{ op: 'remove', path: '/metadata/annotations/podpass.dev~1audience.db' }],
        'silent',
        {},
        audience,
      );
      expect(ourMounts(pod)).toEqual([`app: podpass-tokens at ${FOLDER}`]);
      expect(ourVolumes(pod)).toHaveLength(1);
    });
  });

  describe('ends in a denial that says why, where it', () => {
    const copy =
      (name: string): Patch =>
      (pod) => [{ op: 'add', path: '/spec/containers/-', value: { ...specOf(pod).containers[0], name } }];
    const cases: [string, string, Patch, string[]][] = [
      [
        'copies a mount into a container that is to see none',
        'web',
        copy('logs'),
        ['spec.containers[1].volumeMounts[', 'no such mount, as this container is to see other tokens or none'],
      ],
      [
        'copies a mount into a container that is to see other tokens',
        'web',
        copy('other'),
        ['spec.containers[1].volumeMounts[', 'in another way than podpass does'],
      ],
      [
        'renames our volume and the mount',
        'plain',
        (pod) => [
          { op: 'replace', path: `${ours(pod)}/name`, value: 'renamed' },
          { op: 'replace', path: `${mountIn(pod)}/name`, value: 'renamed' },
        ],
        ['podpass.dev/mount-path', 'equals or lies above', 'the mount of the volume "renamed" in the container "app"'],
      ],
      [
        'makes our mount writable',
        'plain',
        (pod) => [{ op: 'replace', path: `${mountIn(pod)}/readOnly`, value: false }],
        ['spec.containers[0].volumeMounts[', 'none, or exactly'],
      ],
      [
        'changes the audience in our volume',
        'plain',
        (pod) => [
          { op: 'replace', path: `${ours(pod)}/projected/sources/0/serviceAccountToken/audience`, value: 'evil' },
        ],
        ['].name: "podpass-tokens" is the name of the volume that podpass adds, and this one is another'],
      ],
      [
        'puts something of its own into our volume',
        'plain',
        (pod) => [{ op: 'add', path: `${ours(pod)}/projected/sources/-`, value: { configMap: { name: 'mine' } } }],
        ['].name: "podpass-tokens" is the name of the volume that podpass adds, and this one is another'],
      ],
    ];
    it.each(cases)('%s', async (_, account, patch, texts) => {
      const { status, body } = await create(patch, account);
      const message = String(body.message);
      expect([status, message]).toEqual([
        422,
        expect.stringContaining('admission webhook "podpass.podpass.test" denied'),
      ]);
      for (const text of texts) expect(message).toContain(text);
    });

    it('renames a container that the Pod lists', async () => {
      const rename: Patch = () => [{ op: 'replace', path: '/spec/containers/0/name', value: 'main' }];
      const { status, body } = await create(rename, 'plain', {}, { 'podpass.dev/containers': 'app' });
      expect([status, body.message]).toEqual([
        422,
        expect.stringContaining('podpass.dev/containers: "app" is not a container of this Pod'),
      ]);
    });

    it('leaves a container twice: that is the API server’s own', async () => {
      const { status, body } = await create(copy('app'), 'plain');
      expect([status, body.message]).toEqual([422, expect.stringContaining('Duplicate value: "app"')]);
    });
  });

  describe('when a Pod is debugged', () => {
    const spec = { ephemeralContainers: [container('debugger')] };
    const strategic = { contentType: 'application/strategic-merge-patch+json' };

    it.each([
      [
        'changes the new container',
        [{ op: 'add', path: '/spec/ephemeralContainers/0/env/-', value: { name: 'A', value: 'a' } }],
      ],
      ['adds another one', [{ op: 'add', path: '/spec/ephemeralContainers/-', value: container('second') }]],
    ])('%s: each new one ends up with its tokens, once', async (what, patch) => {
      const { body } = await create(undefined, 'plain');
      patches.set(String(body.metadata.name), (pod) => {
        const containers = specOf(pod).ephemeralContainers as Container[];
        return containers.length > 1 || containers[0]?.env?.some(({ name }) => name === 'A') ? [] : patch;
      });
      const path = `/api/v1/namespaces/shop/pods/${body.metadata.name}/ephemeralcontainers`;
      const after = await cluster.expect<KubeObject>('PATCH', path, { spec }, strategic);
      const containers = specOf(after).ephemeralContainers as Container[];
      expect(containers).toHaveLength(what === 'adds another one' ? 2 : 1);
      for (const { env, volumeMounts } of containers) {
        expect(env?.filter(({ name }) => name !== 'A')).toEqual([VARIABLE]);
        expect(volumeMounts).toEqual([{ name: 'podpass-tokens', mountPath: FOLDER, readOnly: true }]);
      }
    });
  });

  it('no answer of ours was a fault', async () => {
    const metrics = await webhook.metrics();
    expect(metrics.value('podpass_admission_requests_total', { result: 'error' })).toBe(0);
    expect(metrics.value('podpass_admission_requests_total', { result: 'injected' })).toBeGreaterThan(20);
  });
});
