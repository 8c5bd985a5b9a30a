import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ApiResponse } from './api-client.ts';
import { type AuditLog, createAuditLog } from './audit.ts';
import { type ControlPlane, type KubeObject, startControlPlane } from './control-plane.ts';
import { type Podpass, register, startWebhook } from './podpass.ts';
import { type Container, specOf } from './pods.ts';
import { clusterBinaries, describeCluster } from './suite.ts';

const FOLDER = '/var/run/secrets/podpass.dev/tokens';
const MOUNT = { name: 'podpass-tokens', mountPath: FOLDER, readOnly: true };
const STRATEGIC = { contentType: 'application/strategic-merge-patch+json' };
const MERGE = { contentType: 'application/merge-patch+json' };
const rules = [
  { apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['pods'] },
  { apiGroups: [''], apiVersions: ['v1'], operations: ['UPDATE'], resources: ['pods/ephemeralcontainers'] },
];

interface Created {
  name?: string;
  annotations?: Record<string, string>;
  labels?: Record<string, string>;
  spec?: object;
}

describeCluster('debug containers, on a real API server', () => {
  let cluster: ControlPlane;
  let webhook: Podpass;
  let audit: AuditLog;
  let pods = 0;

  beforeAll(async () => {
    audit = await createAuditLog();
    cluster = await startControlPlane({ binaries: clusterBinaries(), extraArgs: audit.args });
    webhook = await startWebhook(cluster, [
      '--ephemeral-containers',
      '--presets=aws,azure,gcp',
      '--azure-tenant-id=tenant',
    ]);
    await register(cluster, webhook, { rules, reinvocationPolicy: 'IfNeeded' });
    await cluster.createNamespace('shop');
    await cluster.createServiceAccount('shop', 'bare');
    await cluster.createServiceAccount('shop', 'web', {
      'podpass.dev/audiences': 'vault',
      'podpass.dev/env.vault': 'VAULT_TOKEN_FILE',
    });
  });
  afterAll(async () => {
    await webhook?.stop();
    await cluster?.stop();
    audit?.remove();
  });

  const pathOf = (pod: KubeObject) => `/api/v1/namespaces/shop/pods/${pod.metadata.name}`;
  const read = (pod: KubeObject) => cluster.expect<KubeObject>('GET', pathOf(pod));

  async function create({ name = `pod-${++pods}`, spec = {}, ...metadata }: Created = {}): Promise<KubeObject> {
    const { status, body } = await cluster.createPod('shop', {
      metadata: name.endsWith('-') ? { generateName: name, ...metadata } : { name, ...metadata },
      spec: { serviceAccountName: 'web', containers: [{ name: 'app', image: 'app:1' }], ...spec },
    });
    expect(status, JSON.stringify(body)).toBe(201);
    return body;
  }

  /** Whoever may may change annotations of a Pod that runs. */
  const annotate = (pod: KubeObject, annotations: Record<string, string | null>) =>
    cluster.expect('PATCH', pathOf(pod), { metadata: { annotations } }, MERGE);

  const debugger_ = (name: string) => ({
    name,
    image: 'busybox:1',
    resources: {},
    stdin: true,
    targetContainerName: 'app',
    terminationMessagePolicy: 'File',
    tty: true,
  });

  /** As `kubectl debug` does: a strategic merge patch with the new container, and the order of all of them. */
  async function debug(
    pod: KubeObject,
    container: object = {},
    { query = '', rest = {}, spec = {} }: { query?: string; rest?: object; spec?: object } = {},
  ): Promise<ApiResponse<KubeObject>> {
    const before = debugContainers(await read(pod)).map(({ name }) => ({ name }));
    const added = { ...debugger_('debugger'), ...container };
    const patch = {
      ...rest,
      spec: {
        ...spec,
        '$setElementOrder/ephemeralContainers': [...before, { name: added.name }],
        ephemeralContainers: [added],
      },
    };
    return cluster.request('PATCH', `${pathOf(pod)}/ephemeralcontainers${query}`, patch, STRATEGIC);
  }

  function debugContainers(pod: KubeObject): Container[] {
    return (specOf(pod).ephemeralContainers ?? []) as Container[];
  }

  /** What podpass gave the last debug container. */
  function given({ status, body }: ApiResponse<KubeObject>): Pick<Container, 'env' | 'volumeMounts'> {
    expect(status, JSON.stringify(body)).toBe(200);
    const { env, volumeMounts } = debugContainers(body).at(-1) ?? { name: '' };
    return { ...(env && { env }), ...(volumeMounts && { volumeMounts }) };
  }

  const ALL = { env: [{ name: 'VAULT_TOKEN_FILE', value: `${FOLDER}/vault` }], volumeMounts: [MOUNT] };

  it('see the tokens of the Pod, and nothing else of the Pod changes', async () => {
    const before = await create();
    const answer = await debug(before);
    expect(given(answer)).toEqual(ALL);
    expect(answer.warnings).toEqual([]);
    const after = await read(before);
    expect(debugContainers(after)).toEqual([
      {
        ...debugger_('debugger'),
        ...ALL,
        imagePullPolicy: 'IfNotPresent',
        terminationMessagePath: '/dev/termination-log',
      },
    ]);
    const { ephemeralContainers: _, ...spec } = specOf(after);
    expect(spec).toEqual(specOf(before));
    expect(after.metadata.annotations).toEqual(before.metadata.annotations);
    const event = audit.events().find(({ objectRef }) => objectRef?.subresource === 'ephemeralcontainers');
    expect(JSON.parse(event?.annotations?.['podpass.podpass.test/tokens'] ?? 'null')).toEqual({ vault: 'vault' });
  });

  it('that are there stay as they are when another one comes', async () => {
    const pod = await create();
    await annotate(pod, { 'podpass.dev/inject': 'false' });
    expect(given(await debug(pod, { name: 'first' }))).toEqual({});
    await annotate(pod, { 'podpass.dev/inject': null });
    expect(given(await debug(pod, { name: 'second', env: [{ name: 'A', value: 'a' }] }))).toEqual({
      ...ALL,
      env: [{ name: 'A', value: 'a' }, ...ALL.env],
    });
    const [, second] = debugContainers(await read(pod));
    expect(given(await debug(pod, { name: 'third' }))).toEqual(ALL);
    const all = debugContainers(await read(pod));
    expect(all.map(({ name }) => name)).toEqual(['first', 'second', 'third']);
    expect(all[0]?.volumeMounts).toBeUndefined();
    expect(all[1]).toEqual(second);
  });

  it('are answered alike in a dry run, which is not stored', async () => {
    const pod = await create();
    const dry = await debug(pod, {}, { query: '?dryRun=All' });
    expect(given(dry)).toEqual(ALL);
    expect(debugContainers(await read(pod))).toEqual([]);
    const real = await debug(pod);
    expect(debugContainers(real.body)).toEqual(debugContainers(dry.body));
    expect(real.warnings).toEqual(dry.warnings);
  });

  it('get them by PUT and by apply too', async () => {
    const [put, applied] = [await create(), await create()];
    const spec = { ...specOf(put), ephemeralContainers: [debugger_('debugger')] };
    const answer = await cluster.request<KubeObject>('PUT', `${pathOf(put)}/ephemeralcontainers`, { ...put, spec });
    expect(given(answer)).toEqual(ALL);
    const patch = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: applied.metadata.name },
      spec: { ephemeralContainers: [debugger_('debugger')] },
    };
    const second = await cluster.request<KubeObject>(
      'PATCH',
      `${pathOf(applied)}/ephemeralcontainers?fieldManager=test&force=true`,
      patch,
      { contentType: 'application/apply-patch+yaml' },
    );
    expect(given(second)).toEqual(ALL);
  });

  it('of a Windows Pod get Windows paths', async () => {
    const pod = await create({ spec: { os: { name: 'windows' } } });
    expect(given(await debug(pod))).toEqual({
      env: [{ name: 'VAULT_TOKEN_FILE', value: 'C:\\var\\run\\secrets\\podpass.dev\\tokens\\vault' }],
      volumeMounts: [MOUNT],
    });
  });

  describe('and lists of containers', () => {
    it.each([
      ['containers', 'app', 'a list without them'],
      ['skip-containers', 'debugger', 'a list to skip them'],
      ['containers.vault', 'app', "a token's list without them"],
    ])('%s: %s leaves them without tokens, by %s', async (key, value) => {
      const pod = await create({ annotations: { [`podpass.dev/${key}`]: value } });
      const answer = await debug(pod);
      expect(given(answer)).toEqual({});
      expect(answer.warnings).toEqual([]);
      // Another name is another container.
      if (key === 'skip-containers') expect(given(await debug(pod, { name: 'probe' }))).toEqual(ALL);
    });

    it('a name that the Pod lists once it runs is as good as one from the start', async () => {
      const pod = await create({ annotations: { 'podpass.dev/containers': 'app' } });
      await annotate(pod, { 'podpass.dev/containers': 'app, debugger' });
      expect(given(await debug(pod))).toEqual(ALL);
    });

    it('tokens of their own are a volume that the Pod has, or nothing', async () => {
      const annotations = { 'podpass.dev/audiences': 'vault, api', 'podpass.dev/containers.api': 'app' };
      const lone = await create({ annotations });
      const answer = await debug(lone);
      // The volume of "app" has more than is theirs.
      expect(given(answer)).toEqual({});
      expect(answer.warnings).toEqual([
        expect.stringMatching(
          /^Pod shop\/pod-\d+: the debug container "debugger" gets nothing of podpass: the Pod has no volume "podpass-tokens-[0-9a-f]{8}", and none can be added while it runs$/,
        ),
      ]);
      const containers = ['app', 'side'].map((name) => ({ name, image: 'app:1' }));
      const shared = await create({ annotations, spec: { containers } });
      const [, side] = specOf(shared).containers;
      const mount = side?.volumeMounts?.filter(({ name }) => name.startsWith('podpass-tokens-'));
      expect(mount).toHaveLength(1);
      expect(given(await debug(shared))).toEqual({ env: ALL.env, volumeMounts: mount });
    });
  });

  describe('of a Pod without the volume', () => {
    const why = (what: string) => [expect.stringContaining(`the debug container "debugger" gets nothing of ${what}`)];

    it('get nothing, and a warning, where it was never injected', async () => {
      const pod = await create({ annotations: { 'podpass.dev/inject': 'false' } });
      await annotate(pod, { 'podpass.dev/inject': null });
      const answer = await debug(pod);
      expect(given(answer)).toEqual({});
      expect(answer.warnings).toEqual(why('podpass: the Pod has no volume "podpass-tokens"'));
    });

    it('get nothing, without a warning, where it asks for nothing', async () => {
      const answer = await debug(await create({ spec: { serviceAccountName: 'bare' } }));
      expect(given(answer)).toEqual({});
      expect(answer.warnings).toEqual([]);
    });

    it('get nothing where annotations ask for other tokens by now', async () => {
      const pod = await create();
      await annotate(pod, { 'podpass.dev/expiration': '2h' });
      const answer = await debug(pod);
      expect(given(answer)).toEqual({});
      expect(answer.warnings).toEqual(why('podpass: the volume "podpass-tokens" of the Pod is not the one'));
    });

    it('get nothing of a volume that only looks like one', async () => {
      const volumes = [{ name: 'podpass-tokens', configMap: { name: 'mine' } }];
      const pod = await create({ annotations: { 'podpass.dev/inject': 'false' }, spec: { volumes } });
      await annotate(pod, { 'podpass.dev/inject': null });
      const answer = await debug(pod);
      expect(given(answer)).toEqual({});
      expect(answer.warnings).toEqual(why('podpass: the volume "podpass-tokens" of the Pod is not the one'));
    });

    it('are not kept away by annotations with problems', async () => {
      const pod = await create();
      await annotate(pod, { 'podpass.dev/expiration': '5m' });
      const answer = await debug(pod);
      expect(given(answer)).toEqual({});
      expect(answer.warnings).toEqual([
        expect.stringMatching(
          /^debug containers get nothing: Pod shop\/pod-\d+: podpass.dev\/expiration: "5m" is too short/,
        ),
      ]);
    });

    it('are refused by the API server itself where the ServiceAccount is gone', async () => {
      await cluster.createServiceAccount('shop', 'leaving', { 'podpass.dev/audiences': 'vault' });
      const pod = await create({ spec: { serviceAccountName: 'leaving' } });
      await cluster.expect('DELETE', '/api/v1/namespaces/shop/serviceaccounts/leaving');
      const answer = await debug(pod);
      expect([answer.status, answer.body.message, answer.warnings]).toEqual([
        403,
        expect.stringContaining('error looking up service account'),
        [expect.stringContaining('podpass adds nothing to this Pod')],
      ]);
    });
  });

  describe('that are wrong themselves', () => {
    it('are refused where they hide the folder, or mount the tokens in another way', async () => {
      const pod = await create({
        spec: { volumes: [{ name: 'data', emptyDir: {} }] },
        annotations: { 'podpass.dev/skip-containers': 'skipped' },
      });
      const mounts = [
        [{ name: 'data', mountPath: FOLDER }, 'podpass.dev/mount-path: '],
        [{ name: 'podpass-tokens', mountPath: '/tokens' }, 'spec.ephemeralContainers[0].volumeMounts[0]: '],
        [{ name: 'podpass-tokens', mountPath: FOLDER }, 'spec.ephemeralContainers[0].volumeMounts[0]: '],
      ] as const;
      for (const [mount, text] of mounts) {
        const { status, body } = await debug(pod, { volumeMounts: [mount] });
        expect([status, body.message]).toEqual([422, expect.stringContaining(text)]);
      }
      const skipped = await debug(pod, { name: 'skipped', volumeMounts: [MOUNT] });
      expect([skipped.status, skipped.body.message]).toEqual([
        422,
        expect.stringContaining('no such mount, as this container is to see other tokens or none'),
      ]);
      expect(debugContainers(await read(pod))).toEqual([]);
      // Exactly ours is no fault.
      expect(given(await debug(pod, { volumeMounts: [MOUNT] }))).toEqual(ALL);
    });

    it('keep a variable of their own, with a warning', async () => {
      const env = [{ name: 'VAULT_TOKEN_FILE', value: '/mine' }];
      const answer = await debug(await create(), { env });
      expect(given(answer)).toEqual({ env, volumeMounts: [MOUNT] });
      expect(answer.warnings).toEqual([expect.stringContaining('has a variable VAULT_TOKEN_FILE already')]);
    });
  });

  describe('and presets', () => {
    const cases = [
      ['aws', { 'eks.amazonaws.com/role-arn': 'arn:aws:iam::111122223333:role/r' }, {}],
      ['azure', { 'azure.workload.identity/client-id': 'client' }, { 'azure.workload.identity/use': 'true' }],
      [
        'gcp',
        {
          'cloud.google.com/workload-identity-provider':
            'projects/1/locations/global/workloadIdentityPools/p/providers/q',
          'cloud.google.com/service-account-email': 'app@project.iam.gserviceaccount.com',
        },
        {},
      ],
    ] as const;

    it.each(cases)('of %s get exactly what the containers have', async (name, annotations, labels) => {
      await cluster.createServiceAccount('shop', name, annotations);
      // Azure's volume is called by the name, which the API server makes only after the webhook.
      const pod = await create({ name: `${name}-`, labels, spec: { serviceAccountName: name } });
      const answer = await debug(pod);
      const [app] = specOf(pod).containers;
      const mounts = app?.volumeMounts?.filter((mount) => !mount.name.startsWith('kube-api-access-'));
      expect(mounts?.length).toBeGreaterThan(0);
      expect(given(answer)).toEqual({ env: app?.env, volumeMounts: mounts });
      expect(answer.warnings).toEqual([]);
      const skip = {
        [`${name === 'aws' ? 'eks.amazonaws.com' : name === 'azure' ? 'azure.workload.identity' : 'cloud.google.com'}/skip-containers`]:
          'other',
      };
      await annotate(pod, skip);
      expect(given(await debug(pod, { name: 'other' }))).toEqual({});
    });

    it('that did not act on the Pod give nothing, with a warning', async () => {
      const pod = await create({ spec: { serviceAccountName: 'bare' } });
      const path = '/api/v1/namespaces/shop/serviceaccounts/bare';
      const role = (value: string | null) => ({ metadata: { annotations: { 'eks.amazonaws.com/role-arn': value } } });
      await cluster.expect('PATCH', path, role('arn:aws:iam::111122223333:role/r'), MERGE);
      const probe = async () => (await debug(pod, {}, { query: '?dryRun=All' })).warnings;
      await expect
        .poll(probe)
        .toEqual([expect.stringContaining('gets nothing of the preset aws: the Pod has no volume "aws-iam-token"')]);
      await cluster.expect('PATCH', path, role(null), MERGE);
    });
  });

  // ---- what the API server takes -------------------------------------------------------------------------------------

  it('the rest of the Pod in a request counts for nothing, neither for podpass nor for the API server', async () => {
    const before = await create({ spec: { serviceAccountName: 'bare' } });
    const volume = {
      name: 'podpass-tokens',
      projected: { sources: [{ serviceAccountToken: { audience: 'vault', expirationSeconds: 3600, path: 'vault' } }] },
    };
    const forged = {
      rest: { metadata: { annotations: { 'podpass.dev/audiences': 'vault' }, labels: { forged: 'yes' } } },
      spec: { volumes: [volume], serviceAccountName: 'web' },
    };
    const answer = await debug(before, {}, forged);
    expect(given(answer)).toEqual({});
    expect(answer.warnings).toEqual([]);
    const after = await read(before);
    const { ephemeralContainers: _, ...spec } = specOf(after);
    expect(spec).toEqual(specOf(before));
    expect([after.metadata.annotations, after.metadata.labels]).toEqual([undefined, undefined]);

    // Nor can a request take them away from what podpass goes by.
    const pod = await create({ annotations: { 'podpass.dev/skip-containers': 'debugger' } });
    const without = { rest: { metadata: { annotations: { 'podpass.dev/skip-containers': null } } } };
    expect(given(await debug(pod, {}, without))).toEqual({});
  });

  it('the API server takes mounts of volumes that are there, without subPath, and changes of nothing', async () => {
    const pod = await create({ spec: { volumes: [{ name: 'data', emptyDir: {} }] } });
    const refusal = async (container: object) => {
      const { status, body } = await debug(pod, container);
      return `${status} ${body.message}`;
    };
    expect(await refusal({ volumeMounts: [{ name: 'none', mountPath: '/none' }] })).toMatch(/^422 .*Not found: "none"/);
    const sub = { name: 'data', mountPath: '/data', subPath: 'a' };
    expect(await refusal({ volumeMounts: [sub] })).toMatch(/^422 .*subPath: Forbidden: cannot be set for an Ephemeral/);
    expect(given(await debug(pod))).toEqual(ALL);
    expect(await refusal({ image: 'other:1' })).toMatch(/^422 .*existing ephemeral containers "debugger" may not be/);
    const none = await cluster.request<KubeObject>(
      'PATCH',
      `${pathOf(pod)}/ephemeralcontainers`,
      { spec: { ephemeralContainers: [] } },
      MERGE,
    );
    expect([none.status, none.body.message]).toEqual([422, expect.stringContaining('may not be removed')]);
    const mirror = await create({
      annotations: { 'kubernetes.io/config.mirror': 'abc' },
      spec: { nodeName: 'node1', serviceAccountName: undefined, automountServiceAccountToken: undefined },
    });
    const refused = await debug(mirror);
    expect([refused.status, refused.body.message]).toEqual([
      422,
      expect.stringContaining('static pods do not support'),
    ]);
  });

  it('no answer was a fault', async () => {
    expect((await webhook.metrics()).value('podpass_admission_requests_total', { result: 'error' })).toBe(0);
  });
});
