import { request } from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { ApiResponse } from './api-client.ts';
import { type AuditLog, createAuditLog } from './audit.ts';
import { type ControlPlane, type KubeObject, startControlPlane } from './control-plane.ts';
import { answering, otherWebhook, reviewAnswer } from './other-webhook.ts';
import { type Podpass, register, startWebhook, testCa, until } from './podpass.ts';
import { comparable, ourMounts, ourVolumes, specOf } from './pods.ts';
import { clusterBinaries, describeCluster } from './suite.ts';

const FOLDER = '/var/run/secrets/podpass.dev/tokens';
const MOUNT = `podpass-tokens at ${FOLDER}`;
const API_AUDIENCES = ['https://kubernetes.default.svc.cluster.test', 'inner'];
const everything = [
  { apiGroups: [''], apiVersions: ['v1'], operations: ['*'], resources: ['pods', 'pods/*'], scope: '*' },
];

describeCluster('admission by a real API server', () => {
  let cluster: ControlPlane;
  let webhook: Podpass;
  let audit: AuditLog;

  beforeAll(async () => {
    audit = await createAuditLog();
    cluster = await startControlPlane({
      binaries: clusterBinaries(),
      apiAudiences: API_AUDIENCES,
      extraArgs: audit.args,
    });
    webhook = await startWebhook(cluster);
    // It is asked about everything that happens to Pods, and has to know itself what concerns it.
    await register(cluster, webhook, { rules: everything, reinvocationPolicy: 'IfNeeded' });
    await cluster.createNamespace('shop');
    await cluster.createServiceAccount('shop', 'web', { 'podpass.dev/audiences': 'vault' });
    await cluster.createServiceAccount('shop', 'bare');
    await cluster.createServiceAccount('shop', 'variable', {
      'podpass.dev/audiences': 'vault',
      'podpass.dev/env.vault': 'VAULT_TOKEN_FILE',
    });
  });
  afterAll(async () => {
    await webhook?.stop();
    await cluster?.stop();
    audit?.remove();
  });

  interface PodParts {
    metadata?: object;
    spec?: object;
  }

  /** A Pod of the ServiceAccount web with one container, and what is given on top. */
  function pod({ metadata = { generateName: 'web-' }, spec = {} }: PodParts = {}): object {
    return { metadata, spec: { serviceAccountName: 'web', containers: [{ name: 'app', image: 'app:1' }], ...spec } };
  }

  function annotated(annotations: Record<string, string>, spec: object = { serviceAccountName: 'bare' }): object {
    return pod({ metadata: { generateName: 'web-', annotations }, spec });
  }

  function created(response: ApiResponse<KubeObject>): KubeObject {
    expect(response.status, JSON.stringify(response.body)).toBe(201);
    return response.body;
  }

  async function admitted(result: 'injected' | 'unchanged' | 'denied' | 'error'): Promise<number> {
    return (await webhook.metrics()).value('podpass_admission_requests_total', { result });
  }

  function auditAnnotations(of: KubeObject): Record<string, string> {
    const { name, namespace } = of.metadata;
    const event = audit
      .events()
      .find(
        ({ verb, objectRef }) => verb === 'create' && objectRef?.name === name && objectRef?.namespace === namespace,
      );
    return event?.annotations ?? {};
  }

  // ---- ServiceAccounts -----------------------------------------------------------------------------------------------

  it('gives tokens to a Pod that is created right after its ServiceAccount, 200 times in a row', async () => {
    const before = await admitted('injected');
    let injected = 0;
    for (let i = 0; i < 200; i++) {
      await cluster.createServiceAccount('shop', `fresh-${i}`, { 'podpass.dev/audiences': `a${i}` });
      const answer = await cluster.createPod('shop', pod({ spec: { serviceAccountName: `fresh-${i}` } }));
      const stored = created(answer);
      const [volume] = ourVolumes(stored);
      if (volume?.projected?.sources[0]?.serviceAccountToken?.audience === `a${i}`) injected++;
    }
    expect(injected).toBe(200);
    expect((await admitted('injected')) - before).toBe(200);
  });

  it('sees an annotation that was written right before, on a ServiceAccount just created', async () => {
    for (let i = 0; i < 50; i++) {
      const name = `late-${i}`;
      await cluster.createServiceAccount('shop', name);
      await cluster.expect(
        'PATCH',
        `/api/v1/namespaces/shop/serviceaccounts/${name}`,
        { metadata: { annotations: { 'podpass.dev/audiences': 'vault' } } },
        { contentType: 'application/merge-patch+json' },
      );
      const stored = created(await cluster.createPod('shop', pod({ spec: { serviceAccountName: name } })));
      expect(ourVolumes(stored), name).toHaveLength(1);
    }
  });

  it('follows a ServiceAccount that is deleted and made anew with other annotations', async () => {
    for (let i = 0; i < 20; i++) {
      await cluster.request('DELETE', '/api/v1/namespaces/shop/serviceaccounts/phoenix');
      await cluster.createServiceAccount('shop', 'phoenix', { 'podpass.dev/audiences': `round${i}` });
      const stored = created(await cluster.createPod('shop', pod({ spec: { serviceAccountName: 'phoenix' } })));
      expect(stored.metadata.annotations?.['podpass.dev/injected']).toBe(`round${i}`);
    }
  });

  // ---- kinds of Pods -------------------------------------------------------------------------------------------------

  it('handles a Pod whose name the API server makes', async () => {
    const stored = created(await cluster.createPod('shop', pod({ metadata: { generateName: 'made-' } })));
    expect(stored.metadata.name).toMatch(/^made-\w{5}$/);
    expect(ourMounts(stored)).toEqual([`app: ${MOUNT}`]);
  });

  it('answers a dry run as it answers the creation', async () => {
    const wanted = annotated({ 'podpass.dev/audience': 'a' }, { serviceAccountName: 'web' });
    const dry = await cluster.createPod('shop', wanted, { dryRun: true });
    const real = await cluster.createPod('shop', wanted);
    const nameless = (answer: ApiResponse<KubeObject>) => {
      const stored = created(answer);
      return comparable({ ...stored, metadata: { ...stored.metadata, name: '' } });
    };
    expect(nameless(dry)).toEqual(nameless(real));
    expect(dry.warnings).toEqual(real.warnings);
    expect(dry.warnings).toHaveLength(1);
    expect(ourMounts(dry.body)).toEqual([`app: ${MOUNT}`]);
    expect((await cluster.request('GET', `/api/v1/namespaces/shop/pods/${dry.body.metadata.name}`)).status).toBe(404);
  });

  it('knows the namespace of a Pod that names none, and the one of a Pod that does', async () => {
    for (const metadata of [{ name: 'silent' }, { name: 'loud', namespace: 'shop' }]) {
      expect(ourMounts(created(await cluster.createPod('shop', pod({ metadata }))))).toEqual([`app: ${MOUNT}`]);
    }
  });

  it('leaves a mirror Pod alone, whatever it says', async () => {
    const annotations = { 'kubernetes.io/config.mirror': 'abc', 'podpass.dev/audiences': 'vault, inner' };
    const mirror = {
      metadata: { name: 'static-web-node1', annotations },
      spec: { nodeName: 'node1', containers: [{ name: 'app', image: 'app:1' }] },
    };
    const stored = created(await cluster.createPod('shop', mirror));
    expect(specOf(stored).volumes).toBeUndefined();
    expect(stored.metadata.annotations).toEqual(annotations);
  });

  it('leaves a Pod alone that says inject: "false"', async () => {
    const stored = created(
      await cluster.createPod('shop', annotated({ 'podpass.dev/inject': 'false' }, { serviceAccountName: 'web' })),
    );
    expect(ourVolumes(stored)).toEqual([]);
  });

  it('serves a Pod on the network of its node', async () => {
    const stored = created(await cluster.createPod('shop', pod({ spec: { hostNetwork: true } })));
    expect(ourMounts(stored)).toEqual([`app: ${MOUNT}`]);
    expect(specOf(stored).hostNetwork).toBe(true);
  });

  it('serves a Pod without any volume', async () => {
    const stored = created(await cluster.createPod('shop', pod({ spec: { automountServiceAccountToken: false } })));
    expect(specOf(stored).volumes).toEqual([
      {
        name: 'podpass-tokens',
        projected: {
          defaultMode: 0o644,
          sources: [{ serviceAccountToken: { audience: 'vault', expirationSeconds: 3600, path: 'vault' } }],
        },
      },
    ]);
    expect(specOf(stored).containers[0]?.volumeMounts).toEqual([
      { name: 'podpass-tokens', mountPath: FOLDER, readOnly: true },
    ]);
  });

  it('serves init containers and native sidecars', async () => {
    const initContainers = [
      { name: 'migrate', image: 'app:1' },
      { name: 'proxy', image: 'proxy:1', restartPolicy: 'Always' },
    ];
    const stored = created(await cluster.createPod('shop', pod({ spec: { initContainers } })));
    expect(ourMounts(stored)).toEqual([`migrate: ${MOUNT}`, `proxy: ${MOUNT}`, `app: ${MOUNT}`]);
  });

  it('applies to every combination of lists that are absent, null, empty and filled', async () => {
    const kinds = ['absent', 'null', 'empty', 'filled'] as const;
    const member = (kind: (typeof kinds)[number], key: string, filled: unknown, empty: unknown = []) =>
      kind === 'absent' ? {} : { [key]: kind === 'null' ? null : kind === 'empty' ? empty : filled };
    const failures: string[] = [];
    const combinations = kinds.flatMap((env) =>
      kinds.flatMap((mounts) =>
        kinds.flatMap((volumes) => kinds.map((annotations) => ({ env, mounts, volumes, annotations }))),
      ),
    );
    await inParallel(8, combinations, async ({ env, mounts, volumes, annotations }) => {
      const data = { name: 'data', emptyDir: {} };
      const container = {
        name: 'app',
        image: 'app:1',
        ...member(env, 'env', [{ name: 'A', value: 'a' }]),
        // A mount needs its volume.
        ...member(volumes === 'filled' ? mounts : 'absent', 'volumeMounts', [{ name: 'data', mountPath: '/data' }]),
      };
      const wanted = {
        metadata: { generateName: 'web-', ...member(annotations, 'annotations', { note: 'kept' }, {}) },
        spec: {
          serviceAccountName: 'variable',
          automountServiceAccountToken: false,
          containers: [container],
          ...member(volumes, 'volumes', [data]),
        },
      };
      const answer = await cluster.createPod('shop', wanted, { dryRun: true });
      const { body } = answer;
      const shape = {
        status: answer.status,
        volumes: specOf(body)?.volumes?.map(({ name }) => name),
        mounts: specOf(body)?.containers[0]?.volumeMounts?.map(({ name }) => name),
        env: specOf(body)?.containers[0]?.env?.map(({ name }) => name),
        annotations: body.metadata?.annotations,
      };
      const expected = {
        status: 201,
        volumes: [...(volumes === 'filled' ? ['data'] : []), 'podpass-tokens'],
        mounts: [...(volumes === 'filled' && mounts === 'filled' ? ['data'] : []), 'podpass-tokens'],
        env: [...(env === 'filled' ? ['A'] : []), 'VAULT_TOKEN_FILE'],
        annotations: { ...(annotations === 'filled' ? { note: 'kept' } : {}), 'podpass.dev/injected': 'vault' },
      };
      const same = JSON.stringify(shape) === JSON.stringify(expected);
      if (!same) failures.push(`${JSON.stringify({ env, mounts, volumes, annotations })}: ${JSON.stringify(body)}`);
    });
    expect(failures).toEqual([]);
  });

  // ---- what is not the creation of a Pod -----------------------------------------------------------------------------

  it('changes nothing at updates and at subresources', async () => {
    const spec = { serviceAccountName: 'bare' };
    const before = created(await cluster.createPod('shop', pod({ metadata: { name: 'later' }, spec })));
    const path = '/api/v1/namespaces/shop/pods/later';
    const merge = { contentType: 'application/merge-patch+json' };
    const strategic = { contentType: 'application/strategic-merge-patch+json' };
    const [injected, unchanged] = [await admitted('injected'), await admitted('unchanged')];

    const annotations = { 'podpass.dev/audiences': 'vault' };
    await cluster.expect('PATCH', path, { metadata: { annotations } }, merge);
    await cluster.expect('PATCH', path, { spec: { containers: [{ name: 'app', image: 'app:2' }] } }, strategic);
    await cluster.expect('PATCH', `${path}/status`, { status: { message: 'fine' } }, merge);
    const target = { apiVersion: 'v1', kind: 'Node', name: 'node1' };
    await cluster.expect('POST', `${path}/binding`, { metadata: { name: 'later' }, target });
    const ephemeralContainers = [{ name: 'debug', image: 'debug:1' }];
    await cluster.expect('PATCH', `${path}/ephemeralcontainers`, { spec: { ephemeralContainers } }, strategic);
    const after = await cluster.expect('GET', path);
    expect(ourVolumes(after)).toEqual([]);
    expect(specOf(after).volumes).toEqual(specOf(before).volumes);
    expect(after.metadata.annotations).toEqual(annotations);
    await cluster.expect('POST', `${path}/eviction`, {
      apiVersion: 'policy/v1',
      kind: 'Eviction',
      metadata: { name: 'later' },
    });

    expect((await admitted('injected')) - injected).toBe(0);
    // All of them came by: two updates, status, binding, ephemeral containers, eviction, and its deletion.
    expect((await admitted('unchanged')) - unchanged).toBeGreaterThanOrEqual(6);
    expect(await admitted('error')).toBe(0);
  });

  // ---- what users see ------------------------------------------------------------------------------------------------

  it('tells the user all problems at once, as 422', async () => {
    const annotations = {
      'podpass.dev/audiences': 'vault',
      'podpass.dev/expiration': '5m',
      'podpass.dev/containers': 'sidecar',
      'podpass.dev/env.db': 'DB_TOKEN_FILE',
      'podpass.dev/mount-path': '/etc/tokens',
    };
    const before = await admitted('denied');
    const { status, body } = await cluster.createPod('shop', annotated(annotations));
    expect(body).toMatchObject({ kind: 'Status', status: 'Failure', code: 422 });
    expect(status).toBe(422);
    const message = String(body.message);
    expect(message).toContain('admission webhook "podpass.podpass.test" denied the request: 4 problems:');
    for (const part of [
      'Pod shop/web-: podpass.dev/expiration: "5m" is too short',
      'podpass.dev/containers: "sidecar" is not a container of this Pod; accepted: containers of this Pod: "app"',
      'podpass.dev/env.db: "DB_TOKEN_FILE" is for a token "db" that does not exist; accepted: the name of a token: "vault"',
      'podpass.dev/mount-path: "/etc/tokens" lies in or above /etc',
    ]) {
      expect(message).toContain(part);
    }
    expect((await admitted('denied')) - before).toBe(1);
  });

  it('warns of a key that it does not know', async () => {
    const { status, warnings } = await cluster.createPod('shop', annotated({ 'podpass.dev/audience': 'vault' }));
    expect(status).toBe(201);
    expect(warnings).toHaveLength(1);
    for (const part of ['Pod shop/web-', '"podpass.dev/audience" is not known', '"podpass.dev/audiences"']) {
      expect(warnings[0]).toContain(part);
    }
  });

  it('notes the tokens in the audit log', async () => {
    const annotations = { 'podpass.dev/audience.api': 'https://api.example.com' };
    // The log does not know a name that the API server made.
    const stored = created(await cluster.createPod('shop', pod({ metadata: { name: 'noted-tokens', annotations } })));
    expect(JSON.parse(auditAnnotations(stored)['podpass.podpass.test/tokens'] ?? 'null')).toEqual({
      api: 'https://api.example.com',
      vault: 'vault',
    });
  });

  it("refuses the API server's own audiences, which it finds by itself", async () => {
    await until('the reserved audiences', async () => {
      return (await webhook.metrics()).value('podpass_reserved_audiences') === 3;
    });
    for (const audience of [...API_AUDIENCES, cluster.issuer]) {
      const { status, body } = await cluster.createPod('shop', annotated({ 'podpass.dev/audience.a': audience }));
      expect(status, audience).toBe(422);
      expect(body.message).toContain(`podpass.dev/audience.a: "${audience}" is reserved: it is the API server`);
    }
    const listed = await cluster.createPod('shop', annotated({ 'podpass.dev/audiences': 'vault inner' }));
    expect(listed.status).toBe(422);
  });

  // ---- sizes ---------------------------------------------------------------------------------------------------------

  /** The API server escapes each `<` in a review as six bytes. */
  const huge = () =>
    annotated(
      { 'podpass.dev/audiences': 'vault' },
      {
        serviceAccountName: 'bare',
        containers: [{ name: 'app', image: 'app:1', env: [{ name: 'BIG', value: '<'.repeat(2.9 * 1024 * 1024) }] }],
      },
    );

  it('takes a Pod of 2.9 MiB, whose review has 17 MiB', async () => {
    const stored = created(await cluster.createPod('shop', huge(), { dryRun: true }));
    expect(ourMounts(stored)).toEqual([`app: ${MOUNT}`]);
    expect(specOf(stored).containers[0]?.env?.[0]?.value).toHaveLength(Math.floor(2.9 * 1024 * 1024));
  });

  it('has too much to do while bodies come in, and drops those that come slowly', async () => {
    // Never sent to the end, ordinary ones each, and together more than there is for them: 64 MiB.
    const held = Array.from({ length: 80 }, () => post(900_000));
    try {
      const refusals = held.map(async ({ answer }) => expect(await answer).toEqual({ status: 429, retryAfter: '1' }));
      await Promise.any(refusals);
      const began = performance.now();
      expect(ourMounts(created(await cluster.createPod('shop', pod())))).toEqual([`app: ${MOUNT}`]);
      expect(performance.now() - began).toBeLessThan(8_000);
    } finally {
      for (const { end } of held) end();
    }
  });

  it('is asked again by the API server after its 429, so that the Pod is created under failurePolicy Fail', async () => {
    const times: number[] = [];
    const server = await answering(cluster, 'z-overloaded', ({ uid }, response) => {
      times.push(performance.now());
      if (times.length <= 2) response.writeHead(429, { 'retry-after': '1' }).end();
      else response.end(JSON.stringify(reviewAnswer({ uid, allowed: true })));
    });
    try {
      const metadata = { name: 'overloaded', labels: { 'changed-by': 'z-overloaded' } };
      created(await cluster.createPod('shop', pod({ metadata })));
      expect(times).toHaveLength(3);
      expect((times[2] ?? 0) - (times[0] ?? 0)).toBeGreaterThan(1_900);
    } finally {
      server.close();
      server.closeAllConnections();
    }
  });

  it('is not kept waiting by large bodies that never end', async () => {
    const held = [1, 2, 3, 4].map(() => post(16_500_000));
    try {
      await sleep(1_000);
      for (let i = 0; i < 10; i++)
        expect(ourMounts(created(await cluster.createPod('shop', pod())))).toEqual([`app: ${MOUNT}`]);
    } finally {
      for (const { end } of held) end();
    }
  });

  /** Sends that many bytes to our webhook and, unless it is the whole body, lets it wait for more. */
  function post(
    bytes: number,
    whole = false,
  ): { answer: Promise<{ status: number; retryAfter: unknown }>; end(): void } {
    const headers = { 'content-type': 'application/json', 'content-length': whole ? bytes : bytes + 1 };
    const url = `${webhook.url}/mutate`;
    const outgoing = request(url, { method: 'POST', headers, ca: testCa().pem, agent: false });
    const answer = new Promise<{ status: number; retryAfter: unknown }>((fulfil, reject) => {
      outgoing.on('error', reject);
      outgoing.on('response', (incoming) => {
        incoming.resume();
        fulfil({ status: incoming.statusCode ?? 0, retryAfter: incoming.headers['retry-after'] });
      });
    });
    answer.catch(() => undefined);
    if (whole) outgoing.end(Buffer.alloc(bytes));
    else outgoing.write(Buffer.alloc(bytes));
    return { answer, end: () => outgoing.destroy() };
  }

  // ---- two webhooks --------------------------------------------------------------------------------------------------

  /** What each round of admission did: `podpass: mutated`. */
  function rounds(of: KubeObject): string[] {
    const entries = Object.entries(auditAnnotations(of));
    return entries
      .filter(([key]) => key.startsWith('mutation.webhook.admission.k8s.io/round_'))
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, value]) => {
        const { configuration, mutated } = JSON.parse(value) as { configuration: string; mutated: boolean };
        return `${key.replace(/^.*\/(round_\d)_.*$/, '$1')} ${configuration}: ${mutated ? 'mutated' : 'as it was'}`;
      });
  }

  it('serves containers that a later webhook added, and changes nothing else in its second round', async () => {
    const scratch = { name: 'scratch', emptyDir: {} };
    const sidecars = [
      { name: 'mounted', image: 'side:1', volumeMounts: [{ name: 'scratch', mountPath: '/scratch' }] },
      { name: 'bare', image: 'side:1' },
    ];
    const server = await otherWebhook(cluster, 'z-sidecars', () => [
      { op: 'add', path: '/spec/volumes/-', value: scratch },
      // One at the front: the places of all containers move.
      { op: 'add', path: '/spec/containers/0', value: sidecars[0] },
      { op: 'add', path: '/spec/containers/-', value: sidecars[1] },
    ]);
    try {
      const annotations = { 'podpass.dev/env.vault': 'VAULT_TOKEN_FILE', 'z-note': 'z', 'a-note': 'a' };
      const metadata = { name: 'two-rounds', labels: { 'changed-by': 'z-sidecars' }, annotations };
      const stored = created(await cluster.createPod('shop', pod({ metadata })));
      expect(rounds(stored)).toEqual([
        'round_0 podpass: mutated',
        'round_0 z-sidecars: mutated',
        'round_1 podpass: mutated',
      ]);

      const without = await cluster.createPod(
        'shop',
        pod({ metadata: { ...metadata, name: 'one-round', labels: {} } }),
      );
      const [first, second] = [created(without), stored];
      expect(specOf(second).containers.map(({ name }) => name)).toEqual(['mounted', 'app', 'bare']);
      const [mounted, app, bare] = specOf(second).containers;
      const ours = { name: 'podpass-tokens', mountPath: FOLDER, readOnly: true };
      const variable = { name: 'VAULT_TOKEN_FILE', value: `${FOLDER}/vault` };
      const visible = ({ metadata: { name: _, labels: __, ...rest }, ...body }: KubeObject) =>
        comparable({ ...body, metadata: { ...rest, name: '', labels: {}, uid: '' } }) as KubeObject;
      // Taking away what the other webhook added leaves exactly what one round makes.
      const reduced = visible(second);
      specOf(reduced).containers = specOf(reduced).containers.filter(({ name }) => name === 'app');
      specOf(reduced).volumes = specOf(reduced).volumes?.filter(({ name }) => name !== 'scratch') ?? [];
      expect(reduced).toEqual(visible(first));
      expect(specOf(second).volumes?.map(({ name }) => name.replace(/-\w{5}$/, ''))).toEqual([
        'kube-api-access',
        'podpass-tokens',
        'scratch',
      ]);
      expect(app?.env).toEqual([variable]);
      for (const added of [mounted, bare]) {
        const mounts = added?.volumeMounts?.filter(({ name }) => !name.startsWith('kube-api-access'));
        expect(mounts).toEqual(added === mounted ? [{ name: 'scratch', mountPath: '/scratch' }, ours] : [ours]);
        expect(added?.env).toEqual([variable]);
      }
      expect(second.metadata.annotations).toEqual({ ...annotations, 'podpass.dev/injected': 'vault' });
    } finally {
      server.close();
      server.closeAllConnections();
    }
  });

  it('changes nothing in a second round in which no container is new', async () => {
    const server = await otherWebhook(cluster, 'z-note', () => [
      { op: 'add', path: '/metadata/labels/noted', value: 'yes' },
    ]);
    try {
      const metadata = { name: 'noted', labels: { 'changed-by': 'z-note' } };
      const stored = created(await cluster.createPod('shop', pod({ metadata })));
      expect(rounds(stored)).toEqual([
        'round_0 podpass: mutated',
        'round_0 z-note: mutated',
        'round_1 podpass: as it was',
      ]);
      expect(ourMounts(stored)).toEqual([`app: ${MOUNT}`]);
    } finally {
      server.close();
      server.closeAllConnections();
    }
  });
});

async function inParallel<T>(limit: number, items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const waiting = [...items];
  await Promise.all(
    Array.from({ length: limit }, async () => {
      for (let item = waiting.pop(); item !== undefined; item = waiting.pop()) await work(item);
    }),
  );
}
