import { generateKeyPairSync } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { Agent, request } from 'node:https';
import { dirname, join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type AuditLog, createAuditLog } from './audit.ts';
import { type ControlPlane, type KeyPair, serviceAccountKeyPair, startControlPlane } from './control-plane.ts';
import { kubeconfigOf, type Podpass, podpass, startDiscovery, until, userOf } from './podpass.ts';
import { freePort } from './servers.ts';
import { clusterBinaries, describeCluster } from './suite.ts';

interface JwkSet {
  keys: { kid: string; [member: string]: string }[];
}

interface Answer {
  status: number;
  headers: NodeJS.Dict<string | string[]>;
  body: Buffer;
}

function ecKeyPair(namedCurve: string): KeyPair {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve });
  return {
    privatePem: privateKey.export({ format: 'pem', type: 'sec1' }).toString(),
    publicPem: publicKey.export({ format: 'pem', type: 'spki' }).toString(),
  };
}

const byKid = (a: { kid: string }, b: { kid: string }) => (a.kid < b.kid ? -1 : 1);
const sorted = ({ keys }: JwkSet): JwkSet => ({ keys: [...keys].sort(byKid) });

describeCluster('the JWK Set of a cluster', () => {
  let cluster: ControlPlane;
  let discovery: Podpass;
  let audit: AuditLog;
  let agent: Agent;
  let issuer: string;
  const first = serviceAccountKeyPair('rsa');
  const others = [serviceAccountKeyPair('ec'), ecKeyPair('P-384'), ecKeyPair('P-521'), serviceAccountKeyPair('rsa')];

  beforeAll(async () => {
    const port = await freePort();
    issuer = `https://127.0.0.1:${port}/blue`;
    audit = await createAuditLog();
    cluster = await startControlPlane({
      binaries: clusterBinaries(),
      issuer,
      // One text with two keys, and one key twice: the API server takes both as they are.
      keys: {
        signing: first.privatePem,
        files: [first.publicPem, ...others.map(({ publicPem }) => publicPem), first.publicPem],
      },
      extraArgs: audit.args,
    });
    discovery = await startDiscovery(cluster, ['--port', String(port), '--poll-interval', '1s']);
    agent = new Agent({ keepAlive: true, maxSockets: 32, ca: discovery.files.ca.pem });
  });
  afterAll(async () => {
    agent?.destroy();
    await discovery?.stop();
    await cluster?.stop();
    audit?.remove();
  });

  function get(url: string, headers: Record<string, string> = {}, through = agent): Promise<Answer> {
    return new Promise((fulfil, reject) => {
      const outgoing = request(url, { agent: through, headers, timeout: 10_000 }, (incoming) => {
        const { statusCode: status = 0 } = incoming;
        buffer(incoming).then((body) => fulfil({ status, headers: incoming.headers, body }), reject);
      });
      outgoing.on('error', reject);
      outgoing.on('timeout', () => outgoing.destroy(new Error(`${url}: no answer`)));
      outgoing.end();
    });
  }

  async function served(path = '/openid/v1/jwks'): Promise<JwkSet> {
    const { status, body } = await get(issuer + path);
    expect(status).toBe(200);
    return JSON.parse(body.toString()) as JwkSet;
  }

  /** What the API server itself says, each key once. */
  async function theirs(): Promise<JwkSet> {
    const { keys } = await cluster.expect<JwkSet>('GET', '/openid/v1/jwks');
    return sorted({ keys: [...new Map(keys.map((key) => [key.kid, key])).values()] });
  }

  it("equals the API server's own, sorted and without repeats, for every kind of key", async () => {
    const own = await theirs();
    expect(own.keys.map(({ alg }) => alg).sort()).toEqual(['ES256', 'ES384', 'ES512', 'RS256', 'RS256']);
    expect(await served()).toEqual(own);
    expect(await served('/.well-known/jwks.json')).toEqual(own);
    expect(await served('/keys.json')).toEqual(own);
  });

  it('is named by a document that agrees with the one of the API server', async () => {
    const own = await cluster.expect<Record<string, unknown>>('GET', '/.well-known/openid-configuration');
    const ours = JSON.parse((await get(`${issuer}/.well-known/openid-configuration`)).body.toString());
    expect(ours).toMatchObject({ ...own, jwks_uri: `${issuer}/openid/v1/jwks` });
  });

  it('is printed by podpass jwks, from the cluster', async () => {
    const kubeconfig = await kubeconfigOf(cluster, 'discovery');
    const { code, stdout, stderr } = await podpass(['jwks', '--kubeconfig', kubeconfig]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(JSON.parse(stdout)).toEqual(await theirs());
  });

  it("is printed by podpass jwks, from the API server's key files", async () => {
    const folder = dirname(cluster.kubeconfigPath);
    const files = cluster.keyFiles.map((pem, index) => {
      const file = join(folder, `published-${index}.pem`);
      writeFileSync(file, pem);
      return file;
    });
    const { code, stdout, stderr } = await podpass(['jwks', ...files.flatMap((file) => ['--keys', file])]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(JSON.parse(stdout)).toEqual(await theirs());
  });

  it('causes no request to the API server, however often it is asked for', async () => {
    const port = await freePort();
    const url = `https://127.0.0.1:${port}/blue`;
    // The whole log is this service's: the one that polls every second has another name.
    await cluster.createServiceAccount('default', 'quiet');
    const kubeconfig = await cluster.kubeconfigFor({ namespace: 'default', serviceAccount: 'quiet' });
    const args = ['--port', String(port), '--poll-interval', '1h'];
    const quiet = await startDiscovery(cluster, args, { kubeconfig });
    const asked = () =>
      audit.events().filter(({ user }) => user.username === 'system:serviceaccount:default:quiet').length;
    // The issuer for its own name, the keys, and the issuer once more beside them.
    await until('all that it asks in an hour', () => asked() === 3);
    const before = asked();
    const many = new Agent({ keepAlive: true, maxSockets: 32, ca: quiet.files.ca.pem });
    try {
      const paths = ['/openid/v1/jwks', '/.well-known/openid-configuration', '/keys.json', '/.well-known/jwks.json'];
      const statuses = new Map<number, number>();
      let sent = 0;
      await Promise.all(
        Array.from({ length: 32 }, async () => {
          while (sent < 10_000) {
            const path = paths[sent++ % paths.length];
            const { status } = await get(`${url}${path}`, { 'cache-control': 'no-cache' }, many);
            statuses.set(status, (statuses.get(status) ?? 0) + 1);
          }
        }),
      );
      expect(Object.fromEntries(statuses)).toEqual({ 200: 10_000 });
      expect(asked() - before).toBe(0);
      // The log does see others at this time.
      expect(audit.events().some(({ user }) => user.username === userOf('discovery'))).toBe(true);
    } finally {
      many.destroy();
      await quiet.stop();
    }
  }, 90_000);

  it('stays as it is while the API server is away', async () => {
    const jwks = await get(`${issuer}/openid/v1/jwks`);
    const lastSuccess = async () =>
      (await discovery.metrics()).value('podpass_key_source_last_success_timestamp_seconds');
    await cluster.killApiServer();
    try {
      await until('a failed reading', () =>
        discovery.logs().some(({ level }) => level === 'warn' || level === 'error'),
      );
      const at = await lastSuccess();
      await sleep(3_000);
      expect(await lastSuccess()).toBe(at);
      const later = await get(`${issuer}/openid/v1/jwks`);
      expect(later.status).toBe(200);
      expect(later.body.equals(jwks.body)).toBe(true);
      expect(later.headers.etag).toBe(jwks.headers.etag);
      expect(await discovery.ready()).toBe(true);
    } finally {
      await cluster.startApiServer();
    }
    await until('the next good reading', async () => (await lastSuccess()) > Date.now() / 1000 - 2);
    expect((await get(`${issuer}/openid/v1/jwks`)).headers.etag).toBe(jwks.headers.etag);
  });

  it('has a new key as soon as the API server has it, and the old ones', async () => {
    const before = await get(`${issuer}/openid/v1/jwks`);
    const second = serviceAccountKeyPair('ec');
    await cluster.restartApiServer({ addKeyFiles: [second.publicPem], signingKey: second.privatePem });
    const own = await theirs();
    expect(own.keys).toHaveLength(6);
    const took = await until('the new key', async () => (await served()).keys.length === 6, 10_000);
    expect(await served()).toEqual(own);
    // One interval, and the wait after readings that failed during the restart.
    expect(took).toBeLessThan(5_000);
    expect((await get(`${issuer}/openid/v1/jwks`)).headers.etag).not.toBe(before.headers.etag);
    expect((await discovery.metrics()).value('podpass_keys', { state: 'published' })).toBe(6);
  });
});
