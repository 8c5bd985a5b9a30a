import { randomUUID } from 'node:crypto';
import { cp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import type { CertifiedKey } from '../../src/certificate.ts';
import { Balancer } from './balancer.ts';
import { type ControlPlane, startControlPlane } from './control-plane.ts';
import { Forwarder } from './forwarder.ts';
import { kubeconfigOf, type Podpass, register, startWebhook, testCa, until } from './podpass.ts';
import { ourVolumes } from './pods.ts';
import { freePort } from './servers.ts';
import { clusterBinaries, describeCluster } from './suite.ts';

const NAMESPACE = 'shop';
const merge = { contentType: 'application/merge-patch+json' };

describeCluster('outages', () => {
  let cluster: ControlPlane;
  const running: Podpass[] = [];

  beforeAll(async () => {
    cluster = await startControlPlane({ binaries: clusterBinaries() });
    await cluster.createNamespace(NAMESPACE);
    await cluster.createServiceAccount(NAMESPACE, 'web', { 'podpass.dev/audiences': 'vault' });
  });
  afterEach(async () => {
    await cluster.deleteWebhook('podpass').catch(() => undefined);
    await Promise.all(running.splice(0).map((webhook) => webhook.stop()));
  });
  afterAll(() => cluster?.stop());

  async function start(args: string[] = []): Promise<Podpass> {
    const webhook = await startWebhook(cluster, args);
    running.push(webhook);
    return webhook;
  }

  const pod = (serviceAccountName = 'web') => ({
    metadata: { generateName: 'web-' },
    spec: { serviceAccountName, containers: [{ name: 'app', image: 'app:1' }] },
  });

  async function audienceFor(serviceAccount: string): Promise<string | undefined> {
    const { status, body } = await cluster.createPod(NAMESPACE, pod(serviceAccount));
    if (status !== 201) return `${status} ${body.message}`;
    return ourVolumes(body)[0]?.projected?.sources[0]?.serviceAccountToken?.audience;
  }

  /** A new ServiceAccount; returns its name. */
  async function account(audience: string): Promise<string> {
    const name = `account-${randomUUID()}`;
    await cluster.createServiceAccount(NAMESPACE, name, { 'podpass.dev/audiences': audience });
    return name;
  }

  /** Creates Pods without a pause, by several clients, until it is told to stop. */
  function createPods(clients = 4) {
    const failures: string[] = [];
    let created = 0;
    let stopped = false;
    const all = Promise.all(
      Array.from({ length: clients }, async () => {
        while (!stopped) {
          const audience = await audienceFor('web').catch(String);
          if (audience === 'vault') created++;
          else failures.push(String(audience));
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

  // ---- the API server ------------------------------------------------------------------------------------------------

  it('of the API server: stays ready, and sees within 5 s what changed right after the restart', async () => {
    const names = Array.from({ length: 20 }, (_, i) => `restarted-${i}`);
    for (const name of names) await cluster.createServiceAccount(NAMESPACE, name, { 'podpass.dev/audiences': 'old' });
    const webhook = await start();
    await register(cluster, webhook);
    expect(await audienceFor('restarted-0')).toBe('old');
    const connected = async () => (await webhook.metrics()).value('podpass_api_server_connected') === 1;
    const fromCache = async () =>
      (await webhook.metrics()).value('podpass_service_account_lookups_total', { source: 'cache' });
    expect(await connected()).toBe(true);

    await cluster.killApiServer('SIGKILL');
    await until('the loss of the API server', async () => !(await connected()), 5_000);
    for (let i = 0; i < 15; i++) {
      expect(await webhook.ready()).toBe(true);
      await sleep(200);
    }
    await cluster.startApiServer();
    const back = performance.now();
    await Promise.all(
      names.map((name) => {
        const path = `/api/v1/namespaces/${NAMESPACE}/serviceaccounts/${name}`;
        return cluster.expect('PATCH', path, { metadata: { annotations: { 'podpass.dev/audiences': 'new' } } }, merge);
      }),
    );
    await cluster.createServiceAccount(NAMESPACE, 'made-after', { 'podpass.dev/audiences': 'new' });
    // Before the cache has caught up, ServiceAccounts are read live.
    expect(await audienceFor('made-after')).toBe('new');
    expect(await audienceFor('restarted-19')).toBe('new');

    await until('the watch', connected, 5_000);
    const took = performance.now() - back;
    expect(took).toBeLessThan(5_000);
    // What changed less than a second ago is read live all the same.
    await sleep(Math.max(0, 1_500 - took));
    const before = await fromCache();
    for (const name of [...names, 'made-after']) expect(await audienceFor(name), name).toBe('new');
    expect((await fromCache()) - before).toBe(names.length + 1);
    expect(await webhook.ready()).toBe(true);
  });

  it('of the API server while the webhook starts: it becomes ready by itself, and not before', async () => {
    await cluster.killApiServer('SIGKILL');
    const webhook = await startWebhook(cluster, [], { awaitReady: false });
    running.push(webhook);
    await sleep(2_000);
    expect(await webhook.ready()).toBe(false);
    await cluster.startApiServer();
    expect(await until('readiness', () => webhook.ready(), 10_000)).toBeLessThan(5_000);
    await register(cluster, webhook);
    expect(await audienceFor('web')).toBe('vault');
  });

  it('of etcd, which came back as it was before: what it no longer knows is forgotten', async () => {
    await kubeconfigOf(cluster, 'webhook');
    const [store, backup] = [join(cluster.folder, 'etcd'), join(cluster.folder, 'backup')];
    const whileAway = async (act: () => Promise<void>) => {
      await cluster.killApiServer('SIGKILL');
      await cluster.killEtcd();
      await act();
      await cluster.startEtcd();
      await cluster.startApiServer();
    };
    await whileAway(() => cp(store, backup, { recursive: true }));
    const webhook = await start();
    const size = async () => (await webhook.metrics()).value('podpass_service_account_cache_size');
    const before = await size();
    for (let i = 0; i < 50; i++) await account('vault');
    await until('the new ones', async () => (await size()) === before + 50);
    await whileAway(async () => {
      await rm(store, { recursive: true });
      await rename(backup, store);
    });
    // A watch ends without a word after 20 to 29 s, as nothing is as new as where it began.
    await until('a list', async () => (await size()) === before, 60_000);
    const told = webhook.logs().map(({ msg }) => msg);
    expect(told).toContain('the API server is behind what it was; listing ServiceAccounts again');
    expect(told.filter((msg) => msg === 'ServiceAccounts listed').length).toBe(2);
  }, 120_000);

  it('of the way to the API server, without a word: noticed by the next read, or when the watch should end', async () => {
    const known = await account('first');
    const way = await Forwarder.start(() => Number(new URL(cluster.url).port));
    try {
      const kubeconfig = join(cluster.folder, 'way.kubeconfig');
      const direct = await readFile(await kubeconfigOf(cluster, 'webhook'), 'utf8');
      await writeFile(kubeconfig, direct.replaceAll(cluster.url, `https://127.0.0.1:${way.port}`), { mode: 0o600 });
      const webhook = await startWebhook(cluster, [], { kubeconfig });
      running.push(webhook);
      await register(cluster, webhook);
      const annotate = (audience: string) =>
        cluster.expect(
          'PATCH',
          `/api/v1/namespaces/${NAMESPACE}/serviceaccounts/${known}`,
          { metadata: { annotations: { 'podpass.dev/audiences': audience } } },
          merge,
        );
      const reasons = () =>
        webhook.logs().flatMap(({ msg, reason }) => (msg === 'ServiceAccount watch interrupted' ? [reason] : []));
      // What a watch has said, its opening too, is trusted for five seconds.
      await sleep(6_000);

      // Nothing is read: the end of the watch does not come, 20 to 29 s after its opening and 5 s more.
      way.freeze();
      await annotate('second');
      expect(await audienceFor(known)).toBe('first');
      await until('the second audience', async () => (await audienceFor(known)) === 'second', 40_000);
      expect(reasons()).toEqual([expect.stringMatching(/^GET \/api\/v1\/serviceaccounts: nothing within \d+ ms$/)]);

      // A read of another ServiceAccount meets the connection that the one before it has left idle, once the watch has one.
      const isConnected = async () => (await webhook.metrics()).value('podpass_api_server_connected') === 1;
      await until('a watch that is open again', isConnected, 10_000);
      expect(await audienceFor(await account('vault'))).toBe('vault');
      await sleep(6_000);
      way.freeze();
      await annotate('third');
      expect(await audienceFor(await account('vault'))).toBe('vault');
      await until('the third audience', async () => (await audienceFor(known)) === 'third', 5_000);
      expect(reasons().slice(1)).toEqual([expect.stringContaining('another connection has died without a word')]);

      // An idle watch that the API server ends is opened again; nothing is listed for it.
      const told = () => webhook.logs().filter(({ msg }) => msg === 'ServiceAccounts listed').length;
      const heardAt = async () =>
        (await webhook.metrics()).value('podpass_service_account_cache_last_update_timestamp_seconds');
      const before = await heardAt();
      await until('a new watch', async () => (await heardAt()) > before + 10, 40_000);
      expect([reasons().length, told()]).toEqual([2, 1]);
    } finally {
      way.stop();
    }
  }, 150_000);

  // ---- the webhook ---------------------------------------------------------------------------------------------------

  it('of the webhook: Pods are refused, and accepted when it is back', async () => {
    const port = String(await freePort());
    const first = await start(['--port', port]);
    await register(cluster, first);
    expect(await audienceFor('web')).toBe('vault');
    await first.stop('SIGKILL');
    for (let i = 0; i < 3; i++) {
      const { status, body } = await cluster.createPod(NAMESPACE, pod());
      expect(status).toBe(500);
      expect(body.message).toContain('failed calling webhook "podpass.podpass.test"');
    }
    await start(['--port', port]);
    expect(await audienceFor('web')).toBe('vault');
  });

  it('of one of two replicas, by SIGTERM, while Pods are created: none of them fails', async () => {
    const [first, second, third] = [await start(), await start(), await start()];
    const balancer = await Balancer.start([first, second]);
    await register(cluster, { url: `https://127.0.0.1:${balancer.port}`, files: { ca: testCa() } as Podpass['files'] });
    const load = createPods();
    try {
      const served = async (replica: Podpass) =>
        (await replica.metrics()).value('podpass_admission_requests_total', { result: 'injected' });
      // The second one to leave has all connections when it is told to.
      for (const [leaving, staying] of [
        [first, second],
        [second, third],
      ] as const) {
        if (staying === third) balancer.replace(first, third);
        await until('a request to the one that is to leave', async () => (await served(leaving)) > 0);
        const { how, ms } = await leaving.stop('SIGTERM');
        expect(how).toBe('exit code 0');
        expect(ms).toBeLessThan(30_000);
        expect(leaving.logs().filter(({ level }) => level !== 'info')).toEqual([]);
        const before = await served(staying);
        await sleep(500);
        expect(await served(staying)).toBeGreaterThan(before);
      }
    } finally {
      await load.stop();
      balancer.stop();
    }
    expect(load.failures).toEqual([]);
    expect(load.created).toBeGreaterThan(500);
  }, 90_000);

  // ---- certificates --------------------------------------------------------------------------------------------------

  /** The certificate that a new connection sees. */
  function servedCertificate(port: number): Promise<string> {
    return new Promise((fulfil, reject) => {
      const socket = connectTls({ host: '127.0.0.1', port, ca: testCa().pem, servername: 'localhost' }, () => {
        fulfil(socket.getPeerX509Certificate()?.toString() ?? '');
        socket.destroy();
      });
      socket.on('error', reject);
    });
  }

  it('none, when the certificate is replaced under load, and none when by a broken one', async () => {
    const webhook = await start();
    await register(cluster, webhook);
    const errors = async () => (await webhook.metrics()).value('podpass_certificate_reload_errors_total');
    const serves = async ({ cert }: CertifiedKey) =>
      (await servedCertificate(webhook.port)).trim() === cert.replaceAll('\r', '').trim();
    const load = createPods();
    try {
      const second = testCa().issue();
      await webhook.files.write(second);
      expect(await until('the second certificate', () => serves(second), 5_000)).toBeLessThan(3_000);
      expect(await errors()).toBe(0);

      const broken: [string, CertifiedKey][] = [
        ['of another key', { cert: testCa().issue().cert, key: second.key }],
        ['half a certificate', { cert: second.cert.slice(0, 400), key: second.key }],
        ['without a key', { cert: second.cert, key: '' }],
      ];
      for (const [index, [what, pair]] of broken.entries()) {
        await webhook.files.write(pair);
        await until(`the report of one that is ${what}`, async () => (await errors()) === index + 1, 5_000);
        expect(await serves(second), what).toBe(true);
        expect(await webhook.ready()).toBe(true);
      }

      const third = testCa().issue();
      await webhook.files.write(third);
      expect(await until('the third certificate', () => serves(third), 5_000)).toBeLessThan(3_000);
      expect(await errors()).toBe(broken.length);
    } finally {
      await load.stop();
    }
    expect(load.failures).toEqual([]);
    expect(load.created).toBeGreaterThan(100);
  });
});
