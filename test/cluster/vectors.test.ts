import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { flagOf } from '../../src/catalog/settings.ts';
import type { ApiResponse } from './api-client.ts';
import { type ControlPlane, type KubeObject, startControlPlane } from './control-plane.ts';
import { type Podpass, register, startWebhook } from './podpass.ts';
import { comparable, specOf } from './pods.ts';
import { clusterBinaries, describeCluster } from './suite.ts';

/** The README beside the vectors tells what the members mean. */
interface Vector {
  title: string;
  rule: string;
  serviceAccount?: { annotations: Record<string, string> };
  pod: object;
  debugContainers?: object[];
  settings?: Record<string, string | string[]>;
  containerCredentials?: boolean;
  expect: { pod: object } | { unchanged: true } | { denied: string[] };
  warnings?: string[];
}

const folder = new URL('../vectors/', import.meta.url);
const vectors = readdirSync(folder)
  .filter((name) => name.endsWith('.json'))
  .map((name) => {
    const vector = JSON.parse(readFileSync(new URL(name, folder), 'utf8')) as Vector;
    return { ...vector, name: name.replace(/\.json$/, '') };
  });

/** What the API server of these tests has and types made for its predecessors have not; some of it is off by default. */
const newest = {
  flags: [
    '--feature-gates=GenericWorkload=true,PodCertificateRequest=true,ContainerStopSignals=true',
    // The API server waits for the kinds that these fields refer to.
    '--runtime-config=scheduling.k8s.io/v1alpha2=true,certificates.k8s.io/v1beta1=true',
  ],
  podFields: {
    schedulingGroup: { podGroupName: 'batch' },
    hostnameOverride: 'web.example.com',
    resources: { requests: { cpu: '100m', memory: '64Mi' }, limits: { memory: '64Mi' } },
    os: { name: 'linux' },
  },
  containerFields: {
    restartPolicy: 'Never',
    restartPolicyRules: [{ action: 'Restart', exitCodes: { operator: 'In', values: [42] } }],
    lifecycle: { stopSignal: 'SIGUSR1' },
  },
  volume: {
    name: 'certificate',
    projected: {
      sources: [
        {
          podCertificate: {
            signerName: 'example.com/signer',
            keyType: 'ED25519',
            credentialBundlePath: 'bundle.pem',
            userAnnotations: { 'example.com/note': 'kept' },
          },
        },
      ],
    },
  },
};

const rules = [
  { apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['pods'] },
  { apiGroups: [''], apiVersions: ['v1'], operations: ['UPDATE'], resources: ['pods/ephemeralcontainers'] },
];

const settingsLabel = 'test.podpass.dev/settings';

/** A namespace each, as each has its own idea of the same ServiceAccount. */
const namespaceOf = ({ name }: { name: string }) => name.slice(0, 63);

/** What decides which webhook a vector is for. */
const webhookOf = ({ settings = {}, containerCredentials = false }: Partial<Vector>) =>
  JSON.stringify({ settings, containerCredentials });

describeCluster('every vector, by a real API server', () => {
  let cluster: ControlPlane;
  const webhooks: Podpass[] = [];
  const files = mkdtempSync(join(tmpdir(), 'podpass-vectors-'));
  /** The distinct settings, each with a webhook of its own. */
  const settings = [...new Set(vectors.map(webhookOf))];

  beforeAll(async () => {
    cluster = await startControlPlane({ binaries: clusterBinaries(), extraArgs: newest.flags });
    const identities = join(files, 'identities.json');
    const withIdentity = vectors.filter(({ containerCredentials }) => containerCredentials);
    writeFileSync(
      identities,
      JSON.stringify({
        identities: withIdentity.map((vector) => ({ namespace: namespaceOf(vector), serviceAccount: 'app' })),
      }),
    );
    for (const [index, text] of settings.entries()) {
      const written = JSON.parse(text) as Required<Pick<Vector, 'settings'>> & { containerCredentials: boolean };
      const flags = Object.entries(written.settings).flatMap(([key, value]) =>
        [value].flat().map((each) => `${flagOf(key)}=${each}`),
      );
      if (written.containerCredentials) flags.push(`${flagOf('awsContainerCredentialsConfig')}=${identities}`);
      const webhook = await startWebhook(cluster, ['--ephemeral-containers', ...flags]);
      webhooks.push(webhook);
      const namespaceSelector = { matchLabels: { [settingsLabel]: String(index) } };
      await register(cluster, webhook, { name: `podpass-${index}`, namespaceSelector, rules });
    }
    // No webhook is for this one: nobody changes a Pod but the API server itself.
    await cluster.createNamespace('plain');
    await cluster.createServiceAccount('plain', 'app');
  });
  afterAll(async () => {
    await Promise.all(webhooks.map((webhook) => webhook.stop()));
    await cluster?.stop();
    rmSync(files, { recursive: true });
  });

  /** A field that the API server does not know is an error here, so that no vector tests less than it says. */
  function create(namespace: string, pod: object, dryRun = false): Promise<ApiResponse<KubeObject>> {
    const query = `?fieldValidation=Strict${dryRun ? '&dryRun=All' : ''}`;
    return cluster.request('POST', `/api/v1/namespaces/${namespace}/pods${query}`, pod);
  }

  function anonymous({ metadata, ...rest }: KubeObject): unknown {
    const { namespace: _, ...others } = metadata;
    // Only a name that the API server made is no part of the expectation.
    return comparable({ ...rest, metadata: { ...others, name: others.generateName ? '' : others.name } });
  }

  async function check(
    vector: Vector & { name: string },
    namespace: string,
    dryRun: boolean,
    change: (pod: object) => object,
  ) {
    const answer = await create(namespace, change(vector.pod), dryRun);
    let others: string[] = [];
    if ('denied' in vector.expect) {
      expect(answer.status, JSON.stringify(answer.body)).toBe(422);
      for (const part of vector.expect.denied) expect(answer.body.message).toContain(part);
      // Without podpass it would have been accepted, so it is podpass that is tested.
      const plain = await create('plain', change(vector.pod), true);
      expect(plain.status, JSON.stringify(plain.body)).toBe(201);
      others = plain.warnings;
    } else {
      const wanted = 'unchanged' in vector.expect ? vector.pod : vector.expect.pod;
      const plain = await create('plain', change(wanted), true);
      expect(plain.status, JSON.stringify(plain.body)).toBe(201);
      expect(answer.status, JSON.stringify(answer.body)).toBe(201);
      expect(anonymous(answer.body)).toEqual(anonymous(plain.body));
      others = plain.warnings;
    }
    const ours = answer.warnings.filter((warning) => !others.includes(warning));
    for (const part of vector.warnings ?? []) expect(ours).toContainEqual(expect.stringContaining(part));
    if (!('denied' in vector.expect)) expect(ours).toHaveLength(vector.warnings?.length ?? 0);
    return answer;
  }

  /** A request for debug containers, of a Pod that is created before. */
  async function checkDebug(vector: Vector & { debugContainers: object[] }, namespace: string) {
    const { status, body: stored } = await create(namespace, vector.pod);
    expect(status, JSON.stringify(stored)).toBe(201);
    const path = `/api/v1/namespaces/${namespace}/pods/${stored.metadata.name}/ephemeralcontainers`;
    const patch = { spec: { ephemeralContainers: vector.debugContainers } };
    for (const dryRun of ['&dryRun=All', '']) {
      const answer = await cluster.request<KubeObject>('PATCH', `${path}?fieldValidation=Strict${dryRun}`, patch, {
        contentType: 'application/strategic-merge-patch+json',
      });
      if ('denied' in vector.expect) {
        expect(answer.status, JSON.stringify(answer.body)).toBe(422);
        for (const part of [...vector.expect.denied, 'denied the request']) expect(answer.body.message).toContain(part);
        continue;
      }
      expect(answer.status, JSON.stringify(answer.body)).toBe(200);
      const { ephemeralContainers, ...rest } = specOf(answer.body);
      expect(rest).toEqual(specOf(stored));
      const wanted =
        'pod' in vector.expect ? specOf(vector.expect.pod as KubeObject).ephemeralContainers : vector.debugContainers;
      const filledIn = {
        imagePullPolicy: 'IfNotPresent',
        resources: {},
        terminationMessagePath: '/dev/termination-log',
        terminationMessagePolicy: 'File',
      };
      expect(ephemeralContainers).toEqual((wanted as object[]).map((each) => ({ ...filledIn, ...each })));
      expect(answer.warnings).toEqual((vector.warnings ?? []).map((part) => expect.stringContaining(part)));
    }
  }

  for (const vector of vectors) {
    it(`${vector.name}: ${vector.title}`, async () => {
      const namespace = namespaceOf(vector);
      const labels = { [settingsLabel]: String(settings.indexOf(webhookOf(vector))) };
      await cluster.createNamespace(namespace, { labels });
      await cluster.createServiceAccount(namespace, 'app', vector.serviceAccount?.annotations);

      const { debugContainers } = vector;
      if (debugContainers !== undefined) return checkDebug({ ...vector, debugContainers }, namespace);

      // First with a volume and mounts that the API server adds before podpass sees the Pod.
      await check(vector, namespace, true, (pod) => {
        const { spec, ...rest } = pod as { spec: object };
        return { ...rest, spec: { ...spec, automountServiceAccountToken: undefined } };
      });
      const answer = await check(vector, namespace, false, (pod) => pod);
      if (answer.status === 201) {
        const path = `/api/v1/namespaces/${namespace}/pods/${answer.body.metadata.name}`;
        expect(anonymous(await cluster.expect('GET', path))).toEqual(anonymous(answer.body));
      }
    });
  }

  it('keeps fields that are newer than any type of ours', async () => {
    const { podFields, containerFields, volume } = newest;
    const container = { name: 'web', image: 'example.com/web:1', ...containerFields };
    const pod = {
      metadata: { name: 'newest', annotations: { 'podpass.dev/audiences': 'vault' } },
      spec: { serviceAccountName: 'app', containers: [container], volumes: [volume], ...podFields },
    };
    const labels = { [settingsLabel]: String(settings.indexOf(webhookOf({}))) };
    await cluster.createNamespace('newest', { labels });
    await cluster.createServiceAccount('newest', 'app');
    const { status, body } = await create('newest', pod);
    expect(status, JSON.stringify(body)).toBe(201);
    const stored = await cluster.expect('GET', '/api/v1/namespaces/newest/pods/newest');
    expect(stored.metadata.annotations).toMatchObject({ 'podpass.dev/injected': 'vault' });
    expect(stored.spec).toMatchObject(podFields);
    const { containers, volumes } = stored.spec as { containers: object[]; volumes: object[] };
    expect(containers[0]).toMatchObject(container);
    expect(volumes).toContainEqual(expect.objectContaining({ name: 'podpass-tokens' }));
    expect(volumes[0]).toMatchObject(volume);
  });
});
