/**
 * Pods made of what the API server's own schema has, with fields that nobody knows among them: podpass must be right for
 * each, by two libraries for patches that know nothing of each other, and by the API server.
 *
 * `PODPASS_TEST_SEED=…` runs a failure again, `PODPASS_TEST_PODS=…` says how many there are.
 */
import fc from 'fast-check';
import jsonPatch, { type Operation } from 'fast-json-patch';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type AdmissionRequest, writeReview } from '../../webhook/admission-review.ts';
import { admit } from '../../webhook/admit.ts';
import { mutationSettings } from '../mutation-settings.ts';
import { parseReview } from '../parse-review.ts';
import type { ApiResponse } from './api-client.ts';
import { type ControlPlane, type KubeObject, startControlPlane } from './control-plane.ts';
import { type Podpass, register, runProgram, startWebhook } from './podpass.ts';
import { type Container, comparable, type PodSpec, specOf } from './pods.ts';
import { anyOf, resolve, type Schema, type Schemas } from './schema-values.ts';
import { clusterBinaries, describeCluster } from './suite.ts';

const seed = Number(process.env.PODPASS_TEST_SEED ?? Date.now() % 2 ** 31);
const PODS = Number(process.env.PODPASS_TEST_PODS ?? 2000);
/** How many values of each field are tried. */
const TRIES = 12;
const LIMIT_MS = 15 * 60_000;

/** What the ServiceAccounts of both namespaces say. */
const ACCOUNTS: Readonly<Record<string, Record<string, string>>> = {
  bare: {},
  tokens: { 'podpass.dev/audiences': 'vault', 'podpass.dev/env.vault': 'VAULT_FILE' },
  aws: { 'eks.amazonaws.com/role-arn': 'arn:aws:iam::111122223333:role/r' },
  azure: { 'azure.workload.identity/client-id': 'client' },
  gcp: {
    'cloud.google.com/workload-identity-provider': 'projects/1/locations/global/workloadIdentityPools/p/providers/c',
    'cloud.google.com/service-account-email': 'r@p.iam.gserviceaccount.com',
  },
};
const ANNOTATIONS: readonly Record<string, string>[] = [
  {},
  { 'podpass.dev/audiences': 'https://api.example, vault' },
  { 'podpass.dev/audience.a': 'x', 'podpass.dev/containers.a': 'c0', 'podpass.dev/audiences': 'y' },
  { 'podpass.dev/audiences': 'vault', 'podpass.dev/mount-path': '/data', 'podpass.dev/env.vault': 'X' },
  { 'podpass.dev/inject': 'false' },
  { 'podpass.dev/injected': 'forged', 'podpass.dev/skip-containers': 'c0, c1', 'podpass.dev/audiences': 'z' },
];
const LABELS = [{}, { 'azure.workload.identity/use': 'true' }, { app: 'web' }] as const;

type Json = Record<string, unknown>;
interface Pod extends Json {
  metadata: { annotations: Record<string, string>; [key: string]: unknown };
  spec: PodSpec;
}

// ---- parts -----------------------------------------------------------------------------------------------------------

/** Where a field stands, and values of it that the API server takes in a Pod that has nothing else. */
interface Part {
  readonly at: 'spec' | 'container' | 'volume';
  readonly key: string;
  readonly values: readonly unknown[];
}

const OURS: Readonly<Record<Part['at'], readonly string[]>> = {
  spec: ['containers', 'initContainers', 'ephemeralContainers', 'volumes', 'serviceAccountName', 'serviceAccount'],
  container: ['name', 'volumeMounts'],
  volume: ['name'],
};

function podWith(at: Part['at'], key: string, value: unknown): Json {
  const container = { name: 'c0', image: 'a:1', ...(at === 'container' ? { [key]: value } : {}) };
  const spec: Json = { serviceAccountName: 'bare', containers: [container] };
  if (at === 'spec') spec[key] = value;
  if (at === 'volume') spec.volumes = [{ name: 'v0', [key]: value }];
  return { metadata: { name: 'generated' }, spec };
}

const unknown = fc.oneof(
  { weight: 4, arbitrary: fc.constant({}) },
  { weight: 1, arbitrary: fc.record({ fieldOfTomorrow: fc.jsonValue({ maxDepth: 2 }) }, { noNullPrototype: true }) },
);

function someOf(parts: readonly Part[], at: Part['at'], most: number): fc.Arbitrary<Json> {
  const own = parts.filter((part) => part.at === at);
  return fc
    .subarray(own, { maxLength: most })
    .chain((chosen) =>
      fc
        .tuple(
          unknown,
          ...chosen.map(({ key, values }) => fc.constantFrom(...values).map((value) => ({ [key]: value }))),
        )
        .map((members) => Object.assign({}, ...members) as Json),
    );
}

function podsOf(parts: readonly Part[]): fc.Arbitrary<Pod> {
  const volume = fc
    .constantFrom(...parts.filter(({ at }) => at === 'volume'))
    .chain(({ key, values }) =>
      fc.tuple(unknown, fc.constantFrom(...values)).map(([more, value]) => ({ ...more, [key]: value })),
    );
  return fc
    .record({
      account: fc.constantFrom(...Object.keys(ACCOUNTS)),
      annotations: fc.constantFrom(...ANNOTATIONS),
      labels: fc.constantFrom(...LABELS),
      more: fc.tuple(unknown, unknown),
      spec: someOf(parts, 'spec', 3),
      containers: fc.array(fc.tuple(someOf(parts, 'container', 4), fc.subarray([0, 1, 2])), {
        minLength: 1,
        maxLength: 4,
      }),
      inits: fc.nat({ max: 1 }),
      volumes: fc.array(volume, { maxLength: 3 }),
    })
    .map(({ account, annotations, labels, more, spec, containers, inits, volumes }) => {
      const all = containers.map(([body, mounted], index) => ({
        image: 'a:1',
        ...body,
        name: `c${index}`,
        volumeMounts: mounted
          .filter((at) => at < volumes.length)
          .map((at) => ({ name: `v${at}`, mountPath: ['/data', '/data/in', '/run/x'][at] })),
      })) as Container[];
      const split = Math.min(inits, all.length - 1);
      return {
        ...more[0],
        metadata: { ...more[1], name: 'generated', labels, annotations },
        spec: {
          ...spec,
          serviceAccountName: account,
          initContainers: all.slice(0, split),
          containers: all.slice(split),
          volumes: volumes.map((each, index) => ({ ...each, name: `v${index}` })),
        },
      } as unknown as Pod;
    });
}

// ---- what podpass may add --------------------------------------------------------------------------------------------

/** `after` without what podpass may add to `before`; what remains has to be `before`. */
function withoutAdditions<T extends { metadata: object; spec?: unknown }>(after: T, before: T): T {
  const rest = structuredClone(after) as unknown as Pod;
  const was = before as unknown as Pod;
  const cut = (object: Json, key: string, original: unknown) => {
    if (original === undefined) delete object[key];
    else object[key] = (object[key] as unknown[]).slice(0, (original as unknown[]).length);
  };
  cut(rest.spec, 'volumes', was.spec.volumes);
  for (const list of ['initContainers', 'containers'] as const)
    for (const [index, container] of (rest.spec[list] ?? []).entries())
      for (const key of ['env', 'volumeMounts']) cut(container, key, was.spec[list]?.[index]?.[key]);
  for (const key of ['podpass.dev/injected', 'cloud.google.com/external-credentials-json']) {
    const original = was.metadata.annotations?.[key];
    if (original === undefined) delete rest.metadata.annotations?.[key];
    else rest.metadata.annotations[key] = original;
  }
  if (was.metadata.annotations === undefined && Object.keys(rest.metadata.annotations ?? {}).length === 0)
    delete (rest.metadata as Json).annotations;
  return rest as unknown as T;
}

const SETTINGS = mutationSettings({
  presets: 'aws,azure,gcp',
  azureTenantId: 'tenant',
  reservedAudiences: 'apiserver',
});
const FLAGS = ['--presets', 'aws,azure,gcp', '--azure-tenant-id', 'tenant', '--reserved-audiences', 'apiserver'];

async function mutate(pod: Pod, uid: string) {
  const name = String(pod.spec.serviceAccountName);
  const request = { uid, namespace: 'shop', operation: 'CREATE', object: pod };
  const review = { apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', request };
  const parsed: AdmissionRequest = parseReview(Buffer.from(JSON.stringify(review)));
  const serviceAccount = { namespace: 'shop', name, annotations: ACCOUNTS[name] ?? {} };
  const source = { get: async () => ({ found: true, source: 'cache', serviceAccount }) as const };
  const { response } = await admit(parsed, source, SETTINGS);
  expect(JSON.parse(writeReview(parsed, response))).toMatchObject({ response: { uid } });
  return response;
}

// ---- tests -----------------------------------------------------------------------------------------------------------

describeCluster(`Pods made of the API server's schema (seed ${seed})`, () => {
  let cluster: ControlPlane;
  let webhook: Podpass;
  let pods: Pod[];

  beforeAll(async () => {
    cluster = await startControlPlane({ binaries: clusterBinaries() });
    webhook = await startWebhook(cluster, FLAGS);
    for (const namespace of ['plain', 'shop']) {
      await cluster.createNamespace(namespace);
      for (const [name, annotations] of Object.entries(ACCOUNTS))
        await cluster.createServiceAccount(namespace, name, annotations);
    }
    const parts = await validParts();
    await register(cluster, webhook, {
      timeoutSeconds: 30,
      namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'shop' } },
    });
    // As JSON has them: -0 is 0 there.
    pods = fc.sample(podsOf(parts), { seed, numRuns: PODS }).map((pod) => JSON.parse(JSON.stringify(pod)) as Pod);
  }, LIMIT_MS);
  afterAll(async () => {
    await webhook?.stop();
    await cluster?.stop();
  });

  function dryRun(namespace: string, pod: object): Promise<ApiResponse<KubeObject>> {
    return cluster.request('POST', `/api/v1/namespaces/${namespace}/pods?dryRun=All`, pod, { timeoutMs: 60_000 });
  }

  /** For each field of a Pod, those of its generated values that the API server takes. */
  async function validParts(): Promise<Part[]> {
    const document = await cluster.expect<{ components: { schemas: Schemas } }>('GET', '/openapi/v3/api/v1');
    const { schemas } = document.components;
    const named = (name: string): Schema => ({ $ref: `#/components/schemas/io.k8s.api.core.v1.${name}` });
    const fields = Object.entries({ spec: 'PodSpec', container: 'Container', volume: 'Volume' }).flatMap(([at, name]) =>
      Object.entries(resolve(named(name), schemas).properties ?? {})
        .filter(([key]) => !OURS[at as Part['at']].includes(key))
        .map(([key, schema]) => ({ at: at as Part['at'], key, schema })),
    );
    const parts: Part[] = [];
    await inParallel(8, fields, async ({ at, key, schema }) => {
      const tried = fc.sample(anyOf(schema, schemas), { seed, numRuns: TRIES });
      const values: unknown[] = [];
      for (const value of tried)
        if ((await dryRun('plain', podWith(at, key, value))).status === 201) values.push(value);
      if (values.length > 0) parts.push({ at, key, values });
    });
    // Not in the order in which answers came.
    parts.sort((a, b) => (`${a.at} ${a.key}` < `${b.at} ${b.key}` ? -1 : 1));
    console.log(`${parts.length} of ${fields.length} fields have a value that the API server takes by itself`);
    expect(parts.length).toBeGreaterThan(fields.length / 2);
    return parts;
  }

  it('get patches that apply, add only, and add nothing the second time', async () => {
    const patched: { pod: Pod; after: Pod; patch: readonly object[] }[] = [];
    let denied = 0;
    let unchanged = 0;
    for (const [index, pod] of pods.entries()) {
      const { allowed, patch = [] } = await mutate(pod, `uid-${index}`);
      if (!allowed) denied += 1;
      else if (patch.length === 0) unchanged += 1;
      else {
        const after = jsonPatch.applyPatch(
          structuredClone(pod),
          structuredClone(patch) as Operation[],
          true,
        ).newDocument;
        patched.push({ pod, after, patch });
      }
    }
    console.log(
      `seed ${seed}: ${pods.length} Pods: ${patched.length} changed, ${unchanged} unchanged, ${denied} denied`,
    );
    expect(Math.min(patched.length, unchanged, denied)).toBeGreaterThan(pods.length / 100);
    const lines = patched.map(({ pod, patch }) => `${JSON.stringify({ document: pod, patch })}\n`).join('');
    const { code, stdout, stderr } = await runProgram(clusterBinaries().jsonPatch, [], { input: lines });
    expect(code, stderr).toBe(0);
    const answers = stdout.trimEnd().split('\n');
    expect(answers).toHaveLength(patched.length);
    for (const [index, { pod, after, patch }] of patched.entries()) {
      const what = JSON.stringify(pod);
      expect(JSON.parse(answers[index] ?? ''), what).toEqual({ document: after });
      expect(withoutAdditions(after, pod), what).toEqual(pod);
      const second = await mutate(after, 'second');
      expect([second.allowed, second.patch ?? []], what).toEqual([true, []]);
      const containers = pod.spec.containers.length + (pod.spec.initContainers?.length ?? 0);
      expect(JSON.stringify(patch).length, what).toBeLessThan(3000 * (1 + containers));
    }
  }, 120_000);

  it(
    'are admitted by the API server as they would be without podpass, or denied by it with a reason',
    async () => {
      const counts = { changed: 0, unchanged: 0, 'denied by podpass': 0, 'refused anyway': 0 };
      const failures: string[] = [];
      await inParallel(8, pods, async (pod) => {
        const [answer, plain] = [await dryRun('shop', pod), await dryRun('plain', pod)];
        const fail = (why: string) => failures.push(`${why}: ${JSON.stringify(pod)}: ${JSON.stringify(answer.body)}`);
        if (answer.status === 422 && String(answer.body.message).includes('denied the request')) {
          counts['denied by podpass'] += 1;
        } else if (answer.status !== plain.status || answer.status >= 500) {
          fail(`${answer.status}, and ${plain.status} without podpass`);
        } else if (answer.status !== 201) {
          counts['refused anyway'] += 1;
        } else {
          const same = (one: KubeObject) =>
            JSON.stringify(sorted(comparable({ ...one, metadata: { ...one.metadata, namespace: '' } })));
          const before = withoutServerMade(plain.body);
          const after = withoutServerMade(answer.body);
          if (same(withoutAdditions(after, before)) !== same(before)) fail('it is not what it was, and additions');
          else counts[same(after) === same(before) ? 'unchanged' : 'changed'] += 1;
        }
      });
      console.log(`seed ${seed}: ${pods.length} Pods by the API server:`, counts);
      expect(failures.slice(0, 3), `seed ${seed}, ${failures.length} failures`).toEqual([]);
      expect(counts.changed).toBeGreaterThan(pods.length / 10);
      expect((await webhook.metrics()).value('podpass_admission_requests_total', { result: 'error' })).toBe(0);
    },
    LIMIT_MS,
  );
});

/** Its volume has a random name, and conditions the time of the request. */
function withoutServerMade(pod: KubeObject): KubeObject {
  const copy = structuredClone(pod);
  for (const condition of (copy.status as { conditions?: Json[] } | undefined)?.conditions ?? [])
    delete condition.lastTransitionTime;
  const isOwn = ({ name }: { name: string }) => name.startsWith('kube-api-access-');
  const spec = specOf(copy);
  if (spec.volumes !== undefined) spec.volumes = spec.volumes.filter((volume) => !isOwn(volume));
  for (const container of [...(spec.initContainers ?? []), ...spec.containers])
    if (container.volumeMounts !== undefined)
      container.volumeMounts = container.volumeMounts.filter((mount) => !isOwn(mount));
  return copy;
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .map(([key, item]) => [key, sorted(item)] as const)
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  );
}

async function inParallel<T>(workers: number, items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const queue = [...items];
  await Promise.all(
    Array.from({ length: workers }, async () => {
      for (let item = queue.shift(); item !== undefined; item = queue.shift()) await work(item);
    }),
  );
}
