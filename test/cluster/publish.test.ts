import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { JSONWebKeySet } from 'jose';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ec, expectedKid, pem, rsa } from '../unit/key-material.ts';
import { type ControlPlane, serviceAccountKeyPair, startControlPlane } from './control-plane.ts';
import { publicBucket, publish, startCopying, tokenOf, verifies } from './copies.ts';
import { type AwsEnvironment, Minio } from './minio.ts';
import { kubeconfigOf, type Podpass, startDiscovery, until } from './podpass.ts';
import { freePort } from './servers.ts';
import { clusterBinaries, describeCluster } from './suite.ts';

const PATHS = ['openid/v1/jwks', '.well-known/jwks.json', 'keys.json', '.well-known/openid-configuration'];

/** Between a client and MinIO; `onRequest` may say that a request shall get no further. */
async function proxyOf(target: string, onRequest: () => 'pass' | 'drop') {
  const server = createServer((incoming, outgoing) => {
    if (onRequest() === 'drop') {
      incoming.socket.destroy();
      return;
    }
    const { method = '', url = '', headers } = incoming;
    // The Host field stays: it is signed.
    const onwards = request(target + url, { method, headers }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(outgoing);
    });
    onwards.on('error', () => outgoing.destroy());
    incoming.pipe(onwards);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const close = () => {
    server.closeAllConnections();
    server.close();
  };
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, close };
}

describeCluster('copies in a bucket', () => {
  const old = rsa();
  const next = ec();
  let folder: string;
  let minio: Minio;
  let oldFile: string;
  let bothFile: string;
  let prefixes = 0;

  /** A prefix of its own, which is an issuer that anyone can read. */
  function place() {
    prefixes += 1;
    return { to: `s3://issuers/p${prefixes}`, issuer: `${minio.url}/issuers/p${prefixes}` };
  }

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'podpass-publish-'));
    oldFile = join(folder, 'old.pem');
    bothFile = join(folder, 'both.pem');
    await writeFile(oldFile, pem(old));
    await writeFile(bothFile, pem(old) + pem(next));
    minio = await Minio.start({ binary: clusterBinaries().minio });
    await publicBucket(minio.aws, 'issuers');
  });

  afterAll(async () => {
    await minio?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  it('are what discovery serves, for anyone, and are written only where something changed', async () => {
    const { to, issuer } = place();
    const args = ['--issuer', issuer, '--to', to, '--verify-public', '--keys'];
    expect(await publish([...args, oldFile], minio.aws).done).toEqual({
      code: 0,
      stdout: '',
      stderr: `${to}: wrote .podpass-owner.json, ${PATHS.join(', ')}\n`,
    });
    for (const path of PATHS) {
      const { status, headers } = await fetch(`${issuer}/${path}`);
      expect([path, status, headers.get('content-type'), headers.get('cache-control')]).toEqual([
        path,
        200,
        path === PATHS[3] ? 'application/json' : 'application/jwk-set+json',
        'public, max-age=300, stale-while-revalidate=3600, stale-if-error=86400',
      ]);
    }
    expect(await verifies(await tokenOf(old, 'RS256', issuer), issuer)).toBe('x');
    const again = await publish([...args, oldFile], minio.aws).done;
    expect(again).toEqual({ code: 0, stdout: '', stderr: `${to}: nothing to do\n` });
    const shorter = await publish([...args, oldFile, '--cache-max-age', '60s'], minio.aws).done;
    expect(shorter.stderr).toBe(`${to}: wrote ${PATHS.join(', ')}\n`);
    expect((await publish([...args, bothFile], minio.aws).done).code).toBe(0);
    expect(await verifies(await tokenOf(next, 'ES256', issuer), issuer)).toBe('x');
  });

  it('are not taken away from somebody else, nor made smaller unasked', async () => {
    const { to, issuer } = place();
    await publish(['--issuer', issuer, '--to', to, '--keys', bothFile], minio.aws).done;
    const foreign = await publish(['--issuer', 'https://x.example.com', '--to', to, '--keys', bothFile], minio.aws)
      .done;
    expect(foreign.code).toBe(1);
    expect(foreign.stderr).toContain(`${to}: belongs to the issuer "${issuer}", not to "https://x.example.com"`);
    const smaller = await publish(['--issuer', issuer, '--to', to, '--keys', oldFile], minio.aws).done;
    expect(smaller.code).toBe(1);
    expect(smaller.stderr).toContain(`would be dropped: "${expectedKid(next)}"`);
    expect(await verifies(await tokenOf(next, 'ES256', issuer), issuer)).toBe('x');
  });

  it('of a publisher that is killed at any request are good for verifiers, and made whole later', async () => {
    let requests = 0;
    let killAt = Number.POSITIVE_INFINITY;
    let kill = () => true as boolean;
    const proxy = await proxyOf(minio.url, () => {
      requests += 1;
      if (requests < killAt) return 'pass';
      kill();
      return 'drop';
    });
    try {
      const env = { ...minio.aws, AWS_ENDPOINT_URL: proxy.url };
      const run = async (to: string, issuer: string, keys: string, at = Number.POSITIVE_INFINITY) => {
        requests = 0;
        killAt = at;
        const started = publish(['--issuer', issuer, '--to', to, '--keys', keys], env);
        kill = started.kill;
        return started.done;
      };
      const whole = place();
      await run(whole.to, whole.issuer, oldFile);
      expect((await run(whole.to, whole.issuer, bothFile)).code).toBe(0);
      const total = requests;
      // The mark and four documents read, three written and read back, one written.
      expect(total).toBe(5 + 3 + 3 + 1);
      for (let at = 6; at <= total; at += 1) {
        const { to, issuer } = place();
        await publish(['--issuer', issuer, '--to', to, '--keys', oldFile], minio.aws).done;
        expect((await run(to, issuer, bothFile, at)).code).toBeNull();
        expect([at, await verifies(await tokenOf(old, 'RS256', issuer), issuer)]).toEqual([at, 'x']);
        const { id_token_signing_alg_values_supported: told } = (await (
          await fetch(`${issuer}/.well-known/openid-configuration`)
        ).json()) as { id_token_signing_alg_values_supported: string[] };
        if (told.includes('ES256')) expect(await verifies(await tokenOf(next, 'ES256', issuer), issuer)).toBe('x');
        expect((await publish(['--issuer', issuer, '--to', to, '--keys', bothFile], minio.aws).done).code).toBe(0);
        expect(await verifies(await tokenOf(next, 'ES256', issuer), issuer)).toBe('x');
      }
    } finally {
      proxy.close();
    }
  }, 180_000);

  it('of two publishers at once have the keys of both', async () => {
    for (let round = 0; round < 3; round += 1) {
      const { to, issuer } = place();
      const args = ['--issuer', issuer, '--to', to, '--keys'];
      const [smaller, larger] = await Promise.all(
        [oldFile, bothFile].map((keys) => publish([...args, keys], minio.aws).done),
      );
      expect([larger?.code, larger?.stderr]).toEqual([0, expect.stringContaining(`${to}: `)]);
      if (smaller?.code !== 0) expect(smaller?.stderr).toContain('would be dropped');
      const bodies = await Promise.all(
        PATHS.slice(0, 3).map(async (path) => (await fetch(`${issuer}/${path}`)).text()),
      );
      expect(new Set(bodies).size).toBe(1);
      expect((JSON.parse(bodies[0] ?? '') as JSONWebKeySet).keys).toHaveLength(2);
      expect(await verifies(await tokenOf(next, 'ES256', issuer), issuer)).toBe('x');
    }
  }, 120_000);

  it('say why they cannot be written, without a secret', async () => {
    const { to, issuer } = place();
    const args = ['--issuer', issuer, '--keys', oldFile, '--to'];
    const env = { ...minio.aws, AWS_SECRET_ACCESS_KEY: 'not-the-secret-at-all' };
    const wrong = await publish([...args, to], env).done;
    expect(wrong.code).toBe(1);
    expect(wrong.stderr).toContain(`podpass publish: ${to}: GET .podpass-owner.json: SignatureDoesNotMatch, HTTP 403`);
    expect(wrong.stderr).not.toContain('not-the-secret-at-all');
    const missing = await publish([...args, 's3://no-such-bucket/x'], minio.aws).done;
    expect(missing.stderr).toContain('s3://no-such-bucket/x: GET .podpass-owner.json: NoSuchBucket, HTTP 404');
    const { AWS_ENDPOINT_URL, AWS_REGION } = minio.aws;
    const none = { AWS_ENDPOINT_URL, AWS_REGION, AWS_EC2_METADATA_DISABLED: 'true', HOME: folder } as AwsEnvironment;
    expect((await publish([...args, to], none).done).stderr).toContain('CredentialsProviderError');
  });

  it('are up to date within a minute after the bucket was away', async () => {
    const { to, issuer } = place();
    const keys = join(folder, 'changing.pem');
    await writeFile(keys, pem(old));
    const local = join(folder, 'local');
    const args = ['--issuer', issuer, '--keys', keys, '--poll-interval', '1s', '--publish-to', to];
    const discovery = await startCopying(folder, [...args, '--publish-to', local], minio.aws);
    try {
      const seen = async () => {
        const answer = await fetch(`${issuer}/openid/v1/jwks`);
        return answer.ok ? ((await answer.json()) as JSONWebKeySet).keys.length : 0;
      };
      await until('the first copy', async () => (await seen()) === 1);
      await minio.kill();
      await writeFile(keys, pem(old) + pem(next));
      const failures = async () => (await discovery.logs()).filter(({ msg }) => msg === 'publishing failed');
      await until('a few tries', async () => (await failures()).length >= 4, 60_000);
      // The other target did not wait.
      const copy = JSON.parse(await readFile(join(local, 'openid/v1/jwks'), 'utf8')) as JSONWebKeySet;
      expect(copy.keys).toHaveLength(2);
      await minio.start();
      const took = await until('the copy', async () => (await seen()) === 2, 60_000);
      expect(took).toBeLessThan(60_000);
      expect((await failures()).every(({ target }) => target === to)).toBe(true);
      const metrics = await discovery.metrics();
      expect(metrics).toMatch(/podpass_publish_total\{target="s3",result="failed"\} [1-9]/);
      expect(metrics).toMatch(/podpass_publish_total\{target="folder",result="written"\} 2/);
      expect(metrics).toMatch(/podpass_publish_total\{target="folder",result="failed"\} 0/);
    } finally {
      expect(await discovery.stop()).toBe('exit code 0');
    }
  }, 180_000);
});

describeCluster('copies of a cluster, with its own token as the credential', () => {
  let cluster: ControlPlane;
  let discovery: Podpass;
  let minio: Minio;
  let folder: string;
  const keyPair = serviceAccountKeyPair('rsa');

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'podpass-publish-'));
    const port = await freePort();
    const issuer = `https://127.0.0.1:${port}`;
    const keys = { signing: keyPair.privatePem, files: [keyPair.publicPem] };
    cluster = await startControlPlane({ binaries: clusterBinaries(), issuer, keys });
    discovery = await startDiscovery(cluster, ['--port', String(port), '--poll-interval', '1s']);
    minio = await Minio.start({
      binary: clusterBinaries().minio,
      ca: discovery.files.ca.pem,
      env: {
        MINIO_IDENTITY_OPENID_CONFIG_URL: `${issuer}/.well-known/openid-configuration`,
        MINIO_IDENTITY_OPENID_CLIENT_ID: 'minio',
        MINIO_IDENTITY_OPENID_ROLE_POLICY: 'readwrite',
      },
    });
    await publicBucket(minio.aws, 'issuers');
  });

  afterAll(async () => {
    await minio?.stop();
    await discovery?.stop();
    await cluster?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  it('are made with a role, and marked with the cluster', async () => {
    const role = /arn:minio:iam:::role\/[\w-]+/.exec(await minio.log())?.[0];
    expect(role).toBeDefined();
    const kubeconfig = await kubeconfigOf(cluster, 'discovery');
    const tokenFile = join(folder, 'token');
    await writeFile(tokenFile, await cluster.requestToken('podpass-system', 'discovery', { audiences: ['minio'] }));
    const env = {
      AWS_ENDPOINT_URL: minio.url,
      AWS_REGION: 'us-east-1',
      AWS_ROLE_ARN: role ?? '',
      AWS_WEB_IDENTITY_TOKEN_FILE: tokenFile,
    };
    const args = ['--kubeconfig', kubeconfig, '--publish-to', 's3://issuers/cluster'];
    const copying = await startCopying(folder, args, env);
    try {
      // Two clusters may have one issuer, so that it must be told which one it is.
      const denied = async () =>
        (await copying.logs()).find(({ msg, reason }) => msg === 'publishing failed' && /403/.test(String(reason)));
      await until('the missing right', async () => (await denied()) !== undefined);
      expect((await denied())?.reason).toBe(
        'GET /api/v1/namespaces/kube-system: HTTP 403; publishing needs the right to get the namespace kube-system',
      );
      const rule = { verbs: ['get'], apiGroups: [''], resources: ['namespaces'], resourceNames: ['kube-system'] };
      await cluster.grant('podpass-system', 'discovery', [rule]);
      const read = (path: string) => fetch(`${minio.url}/issuers/cluster/${path}`);
      await until('the copy', async () => (await read(PATHS[3] ?? '')).ok, 60_000);
      const uid = (await cluster.expect<{ metadata: { uid: string } }>('GET', '/api/v1/namespaces/kube-system'))
        .metadata.uid;
      expect(await (await read('.podpass-owner.json')).json()).toEqual({ issuer: cluster.issuer, owner: uid });
      const served = await cluster.expect<JSONWebKeySet>('GET', '/openid/v1/jwks');
      expect(await (await read(PATHS[0] ?? '')).json()).toEqual(served);
    } finally {
      expect(await copying.stop()).toBe('exit code 0');
    }
  }, 120_000);
});
