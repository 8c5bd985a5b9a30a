import { createPrivateKey, X509Certificate } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { managedTlsRights } from '../../src/managed-tls/rights.ts';
import { Balancer } from './balancer.ts';
import { type ControlPlane, type KubeObject, startControlPlane } from './control-plane.ts';
import { type Podpass, startWebhook, testCa, until } from './podpass.ts';
import { ourVolumes } from './pods.ts';
import { freePort } from './servers.ts';
import { clusterBinaries, describeCluster } from './suite.ts';

const NAMESPACE = 'podpass-managed';
const SECRET = 'podpass-webhook-tls';
const SECRET_PATH = `/api/v1/namespaces/${NAMESPACE}/secrets/${SECRET}`;
const CONFIGURATIONS = '/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations';
const merge = { contentType: 'application/merge-patch+json' };
const jsonPatch = { contentType: 'application/json-patch+json' };

interface Configuration extends KubeObject {
  webhooks: { name: string; timeoutSeconds: number; clientConfig: { url: string; caBundle?: string } }[];
}

describeCluster('managed certificates', () => {
  let cluster: ControlPlane;
  let kubeconfig: string;
  const running: Podpass[] = [];
  const ends: (() => void)[] = [];

  beforeAll(async () => {
    cluster = await startControlPlane({ binaries: clusterBinaries() });
    await cluster.createNamespace(NAMESPACE);
    await cluster.createNamespace('shop');
    await cluster.createServiceAccount('shop', 'web', { 'podpass.dev/audiences': 'vault' });
    kubeconfig = await leastRights();
  });
  afterEach(async () => {
    for (const end of ends.splice(0)) end();
    await Promise.all(running.splice(0).map((webhook) => webhook.stop()));
    for (const name of ['podpass', 'podpass-2']) await cluster.request('DELETE', `${CONFIGURATIONS}/${name}`);
    await cluster.request('DELETE', SECRET_PATH);
  });
  afterAll(() => cluster?.stop());

  /** A ServiceAccount with the documented rights and no more. */
  async function leastRights(): Promise<string> {
    const group = 'rbac.authorization.k8s.io';
    const rbac = `/apis/${group}/v1`;
    const { role, clusterRole } = managedTlsRights(SECRET, ['podpass', 'podpass-2']);
    await cluster.createServiceAccount(NAMESPACE, 'webhook');
    const subjects = [{ kind: 'ServiceAccount', namespace: NAMESPACE, name: 'webhook' }];
    const metadata = { name: 'podpass-webhook' };
    const inNamespace = `${rbac}/namespaces/${NAMESPACE}`;
    await cluster.expect('POST', `${inNamespace}/roles`, { metadata, rules: [role] });
    const roleRef = { apiGroup: group, kind: 'Role', name: metadata.name };
    await cluster.expect('POST', `${inNamespace}/rolebindings`, { metadata, roleRef, subjects });
    await cluster.grant(NAMESPACE, 'webhook', [
      { verbs: ['get', 'list', 'watch'], apiGroups: [''], resources: ['serviceaccounts'] },
      { verbs: ['create'], apiGroups: ['events.k8s.io'], resources: ['events'] },
      {
        ...clusterRole,
        verbs: [...clusterRole.verbs],
        apiGroups: [...clusterRole.apiGroups],
        resources: [...clusterRole.resources],
        resourceNames: [...clusterRole.resourceNames],
      },
    ]);
    return cluster.kubeconfigFor({ namespace: NAMESPACE, serviceAccount: 'webhook' });
  }

  async function start(args: string[] = [], awaitReady = true, as = kubeconfig): Promise<Podpass> {
    const managed = ['--tls-mode', 'managed', '--namespace', NAMESPACE, '--tls-name', '127.0.0.1'];
    const webhook = await startWebhook(cluster, [...managed, ...args], { kubeconfig: as, awaitReady });
    running.push(webhook);
    return webhook;
  }

  /** Two replicas behind one address, started at the same moment. */
  async function startTwo(args: string[] = []) {
    const ports = [String(await freePort()), String(await freePort())];
    const replicas = await Promise.all(ports.map((port) => start(['--port', port, ...args])));
    const balancer = await Balancer.start(replicas);
    ends.push(() => balancer.stop());
    return { replicas, balancer, ports };
  }

  const emptySecret = () =>
    cluster.expect('POST', `/api/v1/namespaces/${NAMESPACE}/secrets`, {
      metadata: { name: SECRET, labels: { kept: 'yes' } },
      type: 'Opaque',
    });

  async function configure(port: number, name = 'podpass', caBundle?: string): Promise<void> {
    await cluster.expect('POST', CONFIGURATIONS, {
      metadata: { name },
      webhooks: ['first', 'second'].map((each) => ({
        name: `${each}.${name}.test`,
        admissionReviewVersions: ['v1'],
        sideEffects: 'None',
        failurePolicy: 'Fail',
        timeoutSeconds: 5,
        reinvocationPolicy: 'IfNeeded',
        clientConfig: { url: `https://127.0.0.1:${port}/mutate`, ...(caBundle === undefined ? {} : { caBundle }) },
        rules: [{ apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['pods'] }],
        namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'shop' } },
      })),
    });
  }

  const configuration = (name = 'podpass') => cluster.expect<Configuration>('GET', `${CONFIGURATIONS}/${name}`);
  const certificatesIn = (base64: string | undefined) =>
    (
      Buffer.from(base64 ?? '', 'base64')
        .toString()
        .match(/-----BEGIN C[^-]+-----[^-]+-----END C[^-]+-----/g) ?? []
    ).map((pem) => new X509Certificate(pem));
  const bundlesOf = async (name?: string) =>
    (await configuration(name)).webhooks.map(({ clientConfig }) => certificatesIn(clientConfig.caBundle));
  const secretData = async () =>
    (await cluster.expect<KubeObject & { data?: Record<string, string> }>('GET', SECRET_PATH)).data;
  const authorities = async () =>
    certificatesIn((await secretData())?.['ca.crt']).map(({ fingerprint256 }) => fingerprint256);

  const createPod = () =>
    cluster.createPod('shop', {
      metadata: { generateName: 'web-' },
      spec: { serviceAccountName: 'web', containers: [{ name: 'app', image: 'app:1' }] },
    });

  async function audience(): Promise<string | undefined> {
    const { status, body } = await createPod();
    if (status !== 201) return `${status} ${body.message}`;
    return ourVolumes(body)[0]?.projected?.sources[0]?.serviceAccountToken?.audience;
  }

  const createsPods = () => until('a Pod with a token', async () => (await audience()) === 'vault', 20_000);

  /** Creates Pods without a pause until it is told to stop. */
  function createPods(clients = 3) {
    const failures: string[] = [];
    let created = 0;
    let stopped = false;
    const all = Promise.all(
      Array.from({ length: clients }, async () => {
        while (!stopped) {
          const got = await audience().catch(String);
          if (got === 'vault') created++;
          else failures.push(String(got));
        }
      }),
    );
    return {
      failures,
      get created() {
        return created;
      },
      async stop() {
        stopped = true;
        await all;
      },
    };
  }

  /** A new connection, verified as the API server verifies it: by the caBundle. Rejects where that does not hold. */
  function handshake(port: number, ca: string): Promise<X509Certificate | undefined> {
    return new Promise((fulfil, reject) => {
      const socket = connectTls({ host: '127.0.0.1', port, ca, servername: '' }, () => {
        fulfil(socket.getPeerX509Certificate());
        socket.destroy();
      });
      socket.on('error', reject);
    });
  }

  /** Makes new connections all the time with the caBundle that was there before: the API server's may be a little old. */
  function connectAlways(replicas: () => readonly Podpass[]) {
    const failures: string[] = [];
    const leaves = new Set<string>();
    const issuers = new Set<string>();
    let handshakes = 0;
    let stopped = false;
    const all = (async () => {
      while (!stopped) {
        const { caBundle = '' } = (await configuration()).webhooks[0]?.clientConfig ?? {};
        const ca = Buffer.from(caBundle, 'base64').toString();
        await sleep(100);
        for (const { port } of replicas()) {
          try {
            const leaf = await handshake(port, ca);
            leaves.add(leaf?.fingerprint256 ?? '');
            issuers.add(leaf?.issuer ?? '');
            handshakes++;
          } catch (error) {
            failures.push(String(error));
          }
        }
      }
    })();
    return {
      failures,
      leaves,
      issuers,
      get handshakes() {
        return handshakes;
      },
      async stop() {
        stopped = true;
        await all;
      },
    };
  }

  // ---- the beginning -------------------------------------------------------------------------------------------------

  it('two replicas at once on an empty Secret end with one CA, and both serve', async () => {
    await emptySecret();
    const port = await freePort();
    await configure(port);
    const { replicas, balancer } = await startTwo();
    await cluster.expect(
      'PATCH',
      `${CONFIGURATIONS}/podpass`,
      [
        ...[0, 1].map((entry) => ({
          op: 'replace',
          path: `/webhooks/${entry}/clientConfig/url`,
          value: `https://127.0.0.1:${balancer.port}/mutate`,
        })),
      ],
      jsonPatch,
    );
    expect(await authorities()).toHaveLength(1);
    const [ca] = certificatesIn((await secretData())?.['ca.crt']);
    for (const bundle of await bundlesOf())
      expect(bundle.map((each) => each.fingerprint256)).toEqual([ca?.fingerprint256]);
    for (const replica of replicas) {
      const leaf = await handshake(replica.port, ca?.toString() ?? '');
      expect(leaf?.subjectAltName).toContain(`DNS:podpass-webhook.${NAMESPACE}.svc`);
      expect(leaf?.subjectAltName).toContain('IP Address:127.0.0.1');
      const metrics = await replica.metrics();
      expect(metrics.value('podpass_webhook_configurations', { state: 'in_sync' })).toBe(1);
      expect(metrics.value('podpass_certificate_expiry_timestamp_seconds')).toBeCloseTo(
        Date.parse(leaf?.validTo ?? '') / 1000,
      );
      expect(replica.logs().filter(({ level }) => level === 'error')).toEqual([]);
    }
    await createsPods();
    const secret = await cluster.expect('GET', SECRET_PATH);
    expect(secret.metadata.labels).toEqual({ kept: 'yes' });
    for (const replica of replicas) expect(JSON.stringify(replica.logs())).not.toMatch(/PRIVATE KEY|BEGIN/);
  });

  it('without the Secret and the right to create it, it says so, is not ready, and goes on when there is one', async () => {
    const webhook = await start([], false);
    await until('the complaint', () =>
      webhook.logs().some(({ reason }) => String(reason).includes('no right to create')),
    );
    expect(await webhook.ready()).toBe(false);
    await emptySecret();
    await until('readiness', () => webhook.ready(), 10_000);
  });

  it('before there is a configuration it is ready, and says so; the caBundle comes with it', async () => {
    await emptySecret();
    const webhook = await start();
    expect((await webhook.metrics()).value('podpass_webhook_configurations', { state: 'missing' })).toBe(1);
    expect(webhook.logs().some(({ level, msg }) => level === 'warn' && msg.includes('does not exist'))).toBe(true);
    await configure(webhook.port);
    expect(await createsPods()).toBeLessThan(5_000);
  });

  it('creates the Secret where it may', async () => {
    const webhook = await start([], true, cluster.kubeconfigPath);
    expect(await authorities()).toHaveLength(1);
    expect((await cluster.expect('GET', SECRET_PATH)).type).toBe('Opaque');
    await configure(webhook.port);
    await createsPods();
  });

  it('the rights that all of this works with end there', async () => {
    await emptySecret();
    await configure(1);
    const token = await cluster.requestToken(NAMESPACE, 'webhook');
    const secrets = `/api/v1/namespaces/${NAMESPACE}/secrets`;
    const answer = async (method: string, path: string, body?: unknown) =>
      (await cluster.request(method, path, body, { token, ...(method === 'PATCH' ? merge : {}) })).status;
    expect(await answer('GET', SECRET_PATH)).toBe(200);
    expect(await answer('PATCH', `${CONFIGURATIONS}/podpass`, {})).toBe(200);
    const refused: [string, string, unknown?][] = [
      ['GET', secrets],
      ['GET', `${secrets}/other`],
      ['GET', '/api/v1/secrets'],
      ['POST', secrets, { metadata: { name: 'other' } }],
      ['DELETE', SECRET_PATH],
      ['GET', CONFIGURATIONS],
      ['POST', CONFIGURATIONS, { metadata: { name: 'podpass' } }],
      ['PATCH', `${CONFIGURATIONS}/other`, {}],
      ['DELETE', `${CONFIGURATIONS}/podpass`],
    ];
    for (const [method, path, body] of refused)
      expect([method, path, await answer(method, path, body)]).toEqual([method, path, 403]);
  });

  it('becomes ready by itself when the API server comes later', async () => {
    await emptySecret();
    await cluster.killApiServer('SIGKILL');
    const webhook = await start([], false);
    await sleep(1_000);
    expect(await webhook.ready()).toBe(false);
    await cluster.startApiServer();
    await until('readiness', () => webhook.ready(), 10_000);
  });

  // ---- healing -------------------------------------------------------------------------------------------------------

  it('heals a wiped caBundle within 5 s, and touches nothing else', async () => {
    await emptySecret();
    const webhook = await start(['--webhook-configuration', 'podpass', '--webhook-configuration', 'podpass-2']);
    await configure(webhook.port);
    await configure(webhook.port, 'podpass-2');
    await createsPods();
    const other = Buffer.from(testCa().pem).toString('base64');
    const wipes: [string, object][] = [
      ['emptied', { op: 'replace', path: '/webhooks/1/clientConfig/caBundle', value: '' }],
      ['removed', { op: 'remove', path: '/webhooks/0/clientConfig/caBundle' }],
      ['of another CA', { op: 'replace', path: '/webhooks/0/clientConfig/caBundle', value: other }],
    ];
    const took: Record<string, number> = {};
    for (const [what, operation] of wipes) {
      const edit = { op: 'replace', path: '/webhooks/0/timeoutSeconds', value: 3 };
      const ours = new Set(await authorities());
      await cluster.expect('PATCH', `${CONFIGURATIONS}/podpass`, [operation, edit], jsonPatch);
      const healed = async () =>
        (await bundlesOf()).every((bundle) => bundle.some((each) => ours.has(each.fingerprint256)));
      took[what] = await until(`healing of one ${what}`, healed, 10_000);
      expect(took[what]).toBeLessThan(5_000);
      await createsPods();
      expect((await configuration()).webhooks.map(({ timeoutSeconds }) => timeoutSeconds)).toEqual([3, 5]);
    }
    // What others put there stays beside ours.
    const [first = []] = await bundlesOf();
    expect(first.map(({ fingerprint256 }) => fingerprint256)).toContain(
      new X509Certificate(testCa().pem).fingerprint256,
    );
    console.log('caBundle healed after', took, 'ms');
  });

  it('a deleted configuration stays deleted, and the webhook stays ready', async () => {
    await emptySecret();
    const webhook = await start();
    await configure(webhook.port);
    await createsPods();
    await cluster.expect('DELETE', `${CONFIGURATIONS}/podpass`);
    const missing = async () => (await webhook.metrics()).value('podpass_webhook_configurations', { state: 'missing' });
    await until('the metric', async () => (await missing()) === 1, 5_000);
    await sleep(3_000);
    expect((await cluster.request('GET', `${CONFIGURATIONS}/podpass`)).status).toBe(404);
    expect(await webhook.ready()).toBe(true);
    // Nor does it stand in the way of one without webhooks.
    await cluster.expect('POST', CONFIGURATIONS, { metadata: { name: 'podpass' }, webhooks: [] });
    await sleep(1_000);
    expect(await webhook.ready()).toBe(true);
  });

  it('a Secret that is deleted, garbage or of a wrong pair is made good without a failed Pod', async () => {
    await emptySecret();
    const { replicas, balancer } = await startTwo(['--tls-cert-lifetime', '20', '--tls-ca-lifetime', '300']);
    await configure(balancer.port);
    await createsPods();
    const load = createPods(2);
    const connections = connectAlways(() => replicas);
    const refusals = async () =>
      (await replicas[0]?.metrics())?.value('podpass_certificate_reload_errors_total') ?? Number.NaN;
    try {
      const spare = testCa().issue();
      const encode = (text: string) => Buffer.from(text).toString('base64');
      const harms: [string, () => Promise<unknown>][] = [
        ['a wrong pair', () => cluster.expect('PATCH', SECRET_PATH, { data: { 'ca.key': encode(spare.key) } }, merge)],
        ['another CA', () => cluster.expect('PATCH', SECRET_PATH, { data: { 'ca.crt': encode(testCa().pem) } }, merge)],
        [
          'garbage',
          () => cluster.expect('PATCH', SECRET_PATH, { data: { 'ca.crt': 'AAAA', 'ca.key': 'AAAA' } }, merge),
        ],
        ['deleted', () => cluster.expect('DELETE', SECRET_PATH)],
      ];
      for (const [index, [what, harm]] of harms.entries()) {
        const [before] = await authorities();
        await harm();
        // Without the right to create it, someone else has to.
        if (what === 'deleted') await emptySecret();
        const repaired = async () => {
          const data = await secretData();
          const [ca] = certificatesIn(data?.['ca.crt']);
          const key = Buffer.from(data?.['ca.key'] ?? '', 'base64').toString();
          if (ca === undefined || ca.fingerprint256 === before) return false;
          return key.includes('PRIVATE KEY') && ca.checkPrivateKey(createPrivateKey(key));
        };
        await until(`repair of ${what}`, repaired, 15_000);
        if (what !== 'deleted') expect(await refusals(), what).toBe(index + 1);
        // Both go over to the new CA, which certificates of the old one outlive in the caBundles.
        const [now] = certificatesIn((await secretData())?.['ca.crt']);
        for (const { port } of replicas) {
          const leaf = async () => handshake(port, (await secretCas()).join('')).catch(() => undefined);
          await until(
            `a certificate of the new CA after ${what}`,
            async () => (await leaf())?.issuer === now?.subject,
            15_000,
          );
        }
      }
    } finally {
      await load.stop();
      await connections.stop();
    }
    expect(load.failures).toEqual([]);
    expect(connections.failures).toEqual([]);
    expect(load.created).toBeGreaterThan(50);
    expect(connections.issuers.size).toBeGreaterThanOrEqual(5);
  }, 120_000);

  const secretCas = async () => certificatesIn((await secretData())?.['ca.crt']).map(String);

  // ---- rotation ------------------------------------------------------------------------------------------------------

  // Long enough for a machine with two cores on which other tests run.
  const SHORT = ['--tls-cert-lifetime', '30', '--tls-ca-lifetime', '90'];

  it('no Pod fails while certificates live 30 s and CAs 90 s, with a replica killed in each rotation', async () => {
    await emptySecret();
    const { replicas, balancer } = await startTwo(SHORT);
    await configure(balancer.port);
    await createsPods();
    // The API server keeps no connection to the ones that are killed: it could not but lose what is on its way there.
    const alive = [...replicas, await start(SHORT)];
    const load = createPods();
    const connections = connectAlways(() => alive);
    const seen = new Set<string>(await authorities());
    const began = performance.now();
    let killed = 0;
    try {
      while (performance.now() - began < 150_000) {
        const now = await authorities();
        if (now.some((each) => !seen.has(each))) {
          // The new CA was stored this moment; a second later it is served.
          const [victim] = alive.splice(2, 1);
          await sleep(300);
          await victim?.stop('SIGKILL');
          alive.push(await start(SHORT));
          killed++;
        }
        for (const each of now) seen.add(each);
        await sleep(50);
      }
    } finally {
      await load.stop();
      await connections.stop();
    }
    expect(load.failures).toEqual([]);
    expect(connections.failures).toEqual([]);
    expect(load.created).toBeGreaterThan(200);
    expect(killed).toBeGreaterThanOrEqual(2);
    expect(connections.issuers.size).toBeGreaterThanOrEqual(3);
    expect(connections.leaves.size).toBeGreaterThan(15);
    for (const replica of replicas) expect(replica.logs().filter(({ level }) => level === 'error')).toEqual([]);
    console.log(
      `${load.created} Pods and ${connections.handshakes} handshakes with ${connections.issuers.size} CAs and ${connections.leaves.size} certificates, ${killed} replicas killed: none failed`,
    );
  }, 300_000);

  it('the only replica is killed as soon as a new CA is stored: the next one goes on from there', async () => {
    await emptySecret();
    const port = String(await freePort());
    const short = ['--tls-cert-lifetime', '20', '--tls-ca-lifetime', '60', '--port', port];
    const first = await start(short);
    await configure(Number(port));
    await createsPods();
    const [old] = await authorities();
    await until('a new CA', async () => (await authorities())[0] !== old, 70_000);
    await first.stop('SIGKILL');
    const [next] = certificatesIn((await secretData())?.['ca.crt']);
    const second = await start(short);
    const connections = connectAlways(() => [second]);
    await until('the new CA', () => connections.issuers.has(next?.issuer ?? ''), 20_000);
    await connections.stop();
    expect(connections.failures).toEqual([]);
    for (const bundle of await bundlesOf()) expect(bundle.length).toBeGreaterThanOrEqual(2);
    await createsPods();
  }, 150_000);

  it('certificates are renewed while the API server is away', async () => {
    await emptySecret();
    const webhook = await start(['--tls-cert-lifetime', '10', '--tls-ca-lifetime', '600']);
    await configure(webhook.port);
    await createsPods();
    const ca = (await secretCas()).join('');
    await cluster.killApiServer('SIGKILL');
    const leaves = new Set<string>();
    for (let i = 0; i < 60; i++) {
      leaves.add((await handshake(webhook.port, ca))?.fingerprint256 ?? '');
      await sleep(250);
    }
    expect(await webhook.ready()).toBe(true);
    expect(leaves.size).toBeGreaterThanOrEqual(3);
    await cluster.startApiServer();
    await createsPods();
  });
});
