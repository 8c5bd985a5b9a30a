import { spawn } from 'node:child_process';
import { createHash, createPublicKey } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ApiError } from './api-client.ts';
import { type ControlPlane, serviceAccountKeyPair, startControlPlane } from './control-plane.ts';
import { clusterBinaries, describeCluster } from './suite.ts';

interface JwkSet {
  keys: { kid: string; alg: string }[];
}

const pod = (serviceAccountName: string, name = 'web') => ({
  metadata: { name },
  spec: { serviceAccountName, containers: [{ name: 'app', image: 'app:1' }] },
});

function kid(pem: string): string {
  const der = createPublicKey(pem).export({ format: 'der', type: 'spki' });
  return createHash('sha256').update(der).digest('base64url');
}

function claims(token: string): Record<string, unknown> {
  return JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString());
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

describeCluster('the control plane of the tests', () => {
  let cluster: ControlPlane;

  beforeAll(async () => {
    cluster = await startControlPlane({ binaries: clusterBinaries(), keys: 'rsa' });
    await cluster.createNamespace('smoke');
    await cluster.createServiceAccount('smoke', 'web', { 'podpass.dev/audiences': 'a' });
  });
  afterAll(() => cluster?.stop());

  it('is the pinned Kubernetes', async () => {
    const goMod = readFileSync(new URL('../go/go.mod', import.meta.url), 'utf8');
    const { gitVersion } = await cluster.expect<{ gitVersion: string }>('GET', '/version');
    if (!process.env.KUBEBUILDER_ASSETS) expect(goMod).toContain(`k8s.io/kubernetes ${gitVersion}\n`);
  });

  it('issues a token for an audience, bound to a Pod', async () => {
    const created = await cluster.createPod('smoke', pod('web'));
    expect(created.status).toBe(201);
    const { name, uid } = created.body.metadata;
    const wanted = { audiences: ['https://a.example'], expirationSeconds: 600, boundPod: { name, uid } };
    const token = claims(await cluster.requestToken('smoke', 'web', wanted));
    expect(token).toMatchObject({
      iss: cluster.issuer,
      aud: ['https://a.example'],
      sub: 'system:serviceaccount:smoke:web',
      'kubernetes.io': { pod: { name, uid } },
    });
    expect(Number(token.exp) - Number(token.iat)).toBe(600);
  });

  it('answers with statuses, warnings and refusals as they come', async () => {
    const mounted = pod('web', 'warned');
    Object.assign(mounted.metadata, {
      annotations: { 'container.apparmor.security.beta.kubernetes.io/app': 'unconfined' },
    });
    const dryRun = await cluster.createPod('smoke', mounted, { dryRun: true });
    expect(dryRun.status).toBe(201);
    expect(dryRun.warnings.join()).toContain('deprecated');
    expect((await cluster.request('GET', '/api/v1/namespaces/smoke/pods/warned')).status).toBe(404);
    expect((await cluster.createPod('smoke', pod('nobody'))).status).toBe(403);
    await expect(cluster.createNamespace('smoke')).rejects.toThrow(ApiError);
    await expect(cluster.createNamespace('smoke')).rejects.toThrow(/409 .*already exists/);
  });

  it('knows when granted rights hold', async () => {
    await cluster.createServiceAccount('smoke', 'reader');
    const token = await cluster.requestToken('smoke', 'reader');
    const list = async () => (await cluster.request('GET', '/api/v1/serviceaccounts', undefined, { token })).status;
    expect(await list()).toBe(403);
    await cluster.grant('smoke', 'reader', [
      { verbs: ['get'], nonResourceURLs: ['/openid/v1/jwks'] },
      { verbs: ['list', 'watch'], apiGroups: [''], resources: ['serviceaccounts'] },
    ]);
    expect(await list()).toBe(200);

    const kubeconfig = await cluster.kubeconfigFor({ namespace: 'smoke', serviceAccount: 'reader' });
    expect(JSON.parse(readFileSync(kubeconfig, 'utf8')).clusters[0].cluster.server).toBe(cluster.url);
  });

  it('knows when a webhook is called and when no longer', async () => {
    // Nobody listens on port 2 either: a Pod that is refused shows that the webhook was to be called.
    const webhook = { name: 'refuser', url: 'https://127.0.0.1:2/mutate', caPem: cluster.caPem };
    for (let round = 0; round < 5; round++) {
      await cluster.registerWebhook({ ...webhook, failurePolicy: 'Fail' });
      const refused = await cluster.createPod('smoke', pod('web', 'refused'), { dryRun: true });
      expect(refused.status).toBe(500);
      expect(refused.body.message).toContain('refuser.podpass.test');
      await cluster.deleteWebhook('refuser');
      expect((await cluster.createPod('smoke', pod('web', 'welcome'), { dryRun: true })).status).toBe(201);
    }
  });

  it('publishes a second key after a restart and signs with it', async () => {
    const kids = async () => (await cluster.expect<JwkSet>('GET', '/openid/v1/jwks')).keys.map((key) => key.kid);
    const first = kid(cluster.signingKey);
    expect(await kids()).toEqual([first]);

    const second = serviceAccountKeyPair('ec');
    await cluster.restartApiServer({ addKeyFiles: [second.publicPem], signingKey: second.privatePem });
    expect(await kids()).toEqual([first, kid(second.publicPem)]);
    const token = await cluster.requestToken('smoke', 'web');
    expect(JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString())).toEqual({
      alg: 'ES256',
      kid: kid(second.publicPem),
    });
  });

  it('comes back after a SIGKILL with what it had', async () => {
    await cluster.killApiServer();
    await expect(cluster.request('GET', '/readyz')).rejects.toThrow();
    await cluster.startApiServer();
    await cluster.expect('GET', '/api/v1/namespaces/smoke/serviceaccounts/web');
  });

  it('leaves no process and no file', async () => {
    const { pids, kubeconfigPath } = cluster;
    expect(pids).toHaveLength(2);
    await cluster.stop();
    await cluster.stop();
    expect(pids.filter(isAlive)).toEqual([]);
    expect(existsSync(dirname(kubeconfigPath))).toBe(false);
  });
});

describeCluster('a control plane that meets trouble', () => {
  it('shows the log of a server that does not start', async () => {
    const options = { binaries: clusterBinaries(), extraArgs: ['--no-such-flag'] };
    await expect(startControlPlane(options)).rejects.toThrow(
      /kube-apiserver did not start.*unknown flag: --no-such-flag/s,
    );
  });

  it('goes when its tests are killed', async () => {
    const module = new URL('./control-plane.ts', import.meta.url).href;
    const { kubeApiserver, etcd } = clusterBinaries();
    const script = `
      import { startControlPlane } from ${JSON.stringify(module)};
      const cluster = await startControlPlane(${JSON.stringify({ binaries: { kubeApiserver, etcd } })});
      console.log(JSON.stringify([cluster.kubeconfigPath, ...cluster.pids]));
    `;
    const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const printed = await new Promise<string>((fulfil) => child.stdout.once('data', (data) => fulfil(String(data))));
    const [kubeconfig, ...pids] = JSON.parse(printed) as [string, ...number[]];
    expect(pids.map(isAlive)).toEqual([true, true]);
    child.kill('SIGKILL');
    for (let i = 0; i < 100 && (pids.some(isAlive) || existsSync(dirname(kubeconfig))); i++) await sleep(50);
    expect(pids.filter(isAlive)).toEqual([]);
    expect(existsSync(dirname(kubeconfig))).toBe(false);
  });
});

describeCluster('the verifier in Go', () => {
  let served: Server;
  let issuer: string;
  let ca: string;
  let cluster: ControlPlane;

  beforeAll(async () => {
    // Stands in for a discovery server: hands out what the API server says, from the issuer's address.
    served = createServer((incoming, outgoing) => {
      void cluster.request('GET', incoming.url ?? '/').then(({ status, body }) => {
        const document = JSON.stringify(body).replace(/"jwks_uri":"[^"]*"/, `"jwks_uri":"${issuer}/openid/v1/jwks"`);
        outgoing.writeHead(status, { 'content-type': 'application/json' }).end(document);
      });
    });
    await new Promise<void>((fulfil) => served.listen(0, '127.0.0.1', fulfil));
    issuer = `https://127.0.0.1:${(served.address() as AddressInfo).port}`;
    cluster = await startControlPlane({ binaries: clusterBinaries(), keys: 'ec', issuer });
    // The API server's own certificate holds for the loopback, which saves making one.
    const pki = join(dirname(cluster.kubeconfigPath), 'pki');
    ca = join(pki, 'apiserver.crt');
    served.setSecureContext({ cert: readFileSync(ca), key: readFileSync(join(pki, 'apiserver.key')) });
    await cluster.createServiceAccount('default', 'web');
  });
  afterAll(async () => {
    await cluster?.stop();
    served?.close();
  });

  it('accepts and refuses, one line for each token', async () => {
    const good = await cluster.requestToken('default', 'web', { audiences: ['a'] });
    const other = await cluster.requestToken('default', 'web', { audiences: ['b'] });
    const child = spawn(clusterBinaries().verify, ['--issuer', issuer, '--audience', 'a', '--ca', ca]);
    child.stdin.end(`${good}\n${other}\nnonsense\n`);
    const lines = (await text(child.stdout)).trim().split('\n');
    expect(lines.map((line) => JSON.parse(line))).toEqual([
      { ok: true, subject: 'system:serviceaccount:default:web', claims: expect.objectContaining({ aud: ['a'] }) },
      { ok: false, error: expect.stringContaining('expected audience "a"') },
      { ok: false, error: expect.stringContaining('malformed jwt') },
    ]);
  });
});
