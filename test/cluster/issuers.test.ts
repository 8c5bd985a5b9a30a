import { mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type ControlPlane, serviceAccountKeyPair, startControlPlane } from './control-plane.ts';
import { kubeconfigOf, type Podpass, podpass, startDiscovery, testCa, until } from './podpass.ts';
import { freePort } from './servers.ts';
import { clusterBinaries, describeCluster } from './suite.ts';

interface JwkSet {
  keys: { kid: string; [member: string]: string }[];
}

describeCluster('several issuers', () => {
  let blue: ControlPlane;
  let green: ControlPlane;
  let discovery: Podpass;
  let port: number;
  const folder = mkdtempSync(join(tmpdir(), 'podpass-issuers-'));
  const file = (name: string) => join(folder, name);
  const edge = serviceAccountKeyPair('ec');
  const issuer = (path: string) => `https://127.0.0.1:${port}${path}`;

  /** A discovery with what a config file says, and nothing by flags but where it listens. */
  function start(name: string, content: object, at: number, env: Record<string, string> = {}): Promise<Podpass> {
    writeFileSync(file(name), JSON.stringify(content));
    return startDiscovery(blue, ['--config', file(name), '--port', String(at)], { kubeconfig: false, env });
  }

  function get(url: string, headers: Record<string, string> = {}): Promise<{ status: number; text: string }> {
    return new Promise((fulfil, reject) => {
      // Node would take the name that the certificate must have from the Host field.
      const options = { ca: testCa().pem, servername: 'localhost', agent: false as const, headers, timeout: 10_000 };
      const outgoing = request(url, options, (incoming) => {
        const { statusCode: status = 0 } = incoming;
        buffer(incoming).then((body) => fulfil({ status, text: body.toString() }), reject);
      });
      outgoing.on('error', reject);
      outgoing.end();
    });
  }

  const kids = ({ keys }: JwkSet) => [...new Set(keys.map(({ kid }) => kid))].sort();
  const served = async (path: string) => {
    const { status, text } = await get(`${issuer(path)}/openid/v1/jwks`);
    return status === 200 ? kids(JSON.parse(text) as JwkSet) : status;
  };
  const theirs = async (cluster: ControlPlane) => kids(await cluster.expect<JwkSet>('GET', '/openid/v1/jwks'));
  const verbose = async () => (await fetch(`${discovery.statusUrl}/readyz?verbose`)).text();

  beforeAll(async () => {
    port = await freePort();
    const binaries = clusterBinaries();
    [blue, green] = await Promise.all([
      startControlPlane({ binaries, issuer: issuer('/blue') }),
      startControlPlane({ binaries, issuer: issuer('/green') }),
    ]);
    const kubeconfigs = await Promise.all([blue, green].map((cluster) => kubeconfigOf(cluster, 'discovery')));
    writeFileSync(file('edge.pem'), edge.publicPem);
    // The second cluster is away when discovery starts.
    await green.killApiServer();
    const content = {
      pollInterval: '1s',
      issuers: [
        { kubeconfig: kubeconfigs[0] },
        { kubeconfig: kubeconfigs[1] },
        { issuer: issuer('/edge'), keys: file('edge.pem') },
        { issuer: `https://other.example:${port}/edge`, keys: file('edge.pem'), cacheMaxAge: '7s' },
        { issuer: issuer('/old'), kubeconfig: kubeconfigs[0], holdDown: '1h' },
      ],
    };
    discovery = await start('hub.yaml', content, port);
  });
  afterAll(async () => {
    await discovery?.stop();
    await Promise.all([blue?.stop(), green?.stop()]);
    rmSync(folder, { recursive: true, force: true });
  });

  it('are served while one of their clusters is away, and that one as soon as it is there', async () => {
    expect(await served('/blue')).toEqual(await theirs(blue));
    expect(await served('/old')).toEqual(await theirs(blue));
    expect(await served('/green')).toBe(503);
    expect(await discovery.ready()).toBe(true);
    expect(await verbose()).toContain('[-]issuers[1] failed, the others serve: the issuer is not known yet');

    await green.startApiServer();
    await until('the issuer of the second cluster', async () => (await served('/green')) !== 503, 30_000);
    expect(await served('/green')).toEqual(await theirs(green));
    expect(await theirs(green)).not.toEqual(await theirs(blue));
    expect(await verbose()).toContain(`[+]documents of ${issuer('/green')} ok`);
    expect((await get(`${issuer('/none')}/keys.json`)).status).toBe(404);
    expect((await discovery.metrics()).value('podpass_keys', { state: 'published' })).toBe(5);
  });

  it('with one path are told apart by Host, the others do not mind it', async () => {
    const documents = (host: string, path: string) =>
      get(`${issuer(path)}/.well-known/openid-configuration`, { host }).then(({ status, text }) =>
        status === 200 ? (JSON.parse(text) as { issuer: string }).issuer : status,
      );
    expect(await documents('127.0.0.1', '/edge')).toBe(issuer('/edge'));
    expect(await documents('other.example', '/edge')).toBe(`https://other.example:${port}/edge`);
    expect(await documents('evil.example', '/edge')).toBe(404);
    expect(await documents('evil.example', '/blue')).toBe(issuer('/blue'));
  });

  it('verify their own tokens and no others', async () => {
    const ca = file('ca.pem');
    writeFileSync(ca, testCa().pem);
    await Promise.all([blue, green].map((cluster) => cluster.createServiceAccount('default', 'web')));
    const audience = 'https://api.example.com';
    const token = (cluster: ControlPlane) => cluster.requestToken('default', 'web', { audiences: [audience] });
    const verify = async (jwt: string, path: string) => {
      const { code } = await podpass(['verify', jwt, '--issuer', issuer(path), '--audience', audience, '--ca', ca]);
      return code;
    };
    const [ofBlue, ofGreen] = await Promise.all([token(blue), token(green)]);
    expect([await verify(ofBlue, '/blue'), await verify(ofGreen, '/green')]).toEqual([0, 0]);
    expect([await verify(ofBlue, '/green'), await verify(ofGreen, '/blue')]).toEqual([1, 1]);
  });

  it('that are not the one of the tokens are told, and served on', async () => {
    // Old and new beside each other, as in a migration.
    const samples = await discovery.metrics();
    expect(samples.value('podpass_cluster_issuer_mismatch')).toBe(0);
    expect(await verbose()).toContain(`[+]tokens of ${blue.url} ok`);

    const name = `${issuer('/blue')}/`;
    const wrong = await startDiscovery(blue, ['--issuer', name, '--poll-interval', '1s']);
    try {
      const mismatch = async () => (await wrong.metrics()).value('podpass_cluster_issuer_mismatch');
      await until('the comparison', async () => (await mismatch()) === 1);
      expect(await wrong.ready()).toBe(true);
      const detail = `its tokens are from "${issuer('/blue')}", and the keys are served for "${name}": they differ in the slash at the end`;
      const text = await (await fetch(`${wrong.statusUrl}/readyz?verbose`)).text();
      expect(text).toContain(`[-]tokens of ${blue.url} failed, only a warning: ${detail}\nreadyz check passed`);
      const served = JSON.parse((await get(`${wrong.url}/blue/openid/v1/jwks`)).text) as JwkSet;
      expect(kids(served)).toEqual(await theirs(blue));
      await sleep(2_500);
      const told = wrong.logs().filter(({ msg }) => msg.startsWith('the tokens of the cluster'));
      expect(told).toMatchObject([{ level: 'warn', clusterIssuer: issuer('/blue'), issuers: [name], detail }]);
    } finally {
      await wrong.stop();
    }
  });

  it('of the web: one discovery reads another, and the API server itself where anyone may', async () => {
    await blue.expect('POST', '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings', {
      metadata: { name: 'anyone-reads-keys' },
      roleRef: {
        apiGroup: 'rbac.authorization.k8s.io',
        kind: 'ClusterRole',
        name: 'system:service-account-issuer-discovery',
      },
      subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'Group', name: 'system:unauthenticated' }],
    });
    writeFileSync(file('cas.pem'), `${testCa().pem}\n${blue.caPem}`);
    const next = await freePort();
    const at = `https://127.0.0.1:${next}`;
    const issuers = [
      { issuer: `${at}/chain`, jwksUrl: `${issuer('/green')}/openid/v1/jwks` },
      { issuer: `${at}/direct`, jwksUrl: `${blue.url}/openid/v1/jwks` },
      { issuer: `${at}/redirected`, jwksUrl: `${blue.url}/openid` },
    ];
    const chain = await start('web.yaml', { pollInterval: '1s', issuers }, next, {
      NODE_EXTRA_CA_CERTS: file('cas.pem'),
    });
    try {
      const there = async (path: string) => {
        const { status, text } = await get(`${at}${path}/openid/v1/jwks`);
        return status === 200 ? kids(JSON.parse(text) as JwkSet) : status;
      };
      expect(await there('/chain')).toEqual(await theirs(green));
      const unchanged = async () =>
        (await discovery.metrics()).value('podpass_http_requests_total', { path: '/openid/v1/jwks', code: '304' });
      await until('a reading that did not need to be sent', async () => (await unchanged()) > 0);
      expect(await there('/chain')).toEqual(await theirs(green));
      expect(await there('/direct')).toEqual(await theirs(blue));
      expect(await there('/redirected')).toBe(503);
      const failed = chain.logs().find(({ msg }) => msg === 'key source failed, its last keys stay');
      expect(failed).toMatchObject({ source: 'url', issuer: `${at}/redirected` });
      expect(failed?.reason).toContain(`GET ${blue.url}/openid: the answer is 40`);

      const second = serviceAccountKeyPair('rsa');
      await green.restartApiServer({ addKeyFiles: [second.publicPem] });
      const both = await theirs(green);
      expect(both).toHaveLength(2);
      await until('the new key at the end of the chain', async () => {
        const found = await there('/chain');
        return Array.isArray(found) && found.length === 2;
      });
      expect(await there('/chain')).toEqual(both);
    } finally {
      await chain.stop();
    }
  });

  it('of files: a half written file takes nothing away, a swapped link adds', async () => {
    const before = await served('/edge');
    expect(before).toHaveLength(1);
    writeFileSync(file('edge.pem'), edge.publicPem.slice(0, 60));
    await until('the failed reading', () =>
      discovery.logs().some(({ msg, issuer: of }) => msg.startsWith('key source failed') && of === issuer('/edge')),
    );
    expect(await served('/edge')).toEqual(before);
    writeFileSync(file('both.pem'), edge.publicPem + serviceAccountKeyPair('rsa').publicPem);
    symlinkSync('both.pem', file('link'));
    renameSync(file('link'), file('edge.pem'));
    await until('both keys', async () => {
      const now = await served('/edge');
      return Array.isArray(now) && now.length === 2;
    });
    expect(await served('/edge')).toEqual(expect.arrayContaining(before as string[]));
  });

  it('keep hold-downs in a ConfigMap over a kill -9, and podpass keys tells of them', async () => {
    const kubeconfig = await kubeconfigOf(blue, 'discovery');
    await blue.createNamespace('podpass');
    await blue.grant('podpass-system', 'discovery', [
      { verbs: ['get', 'create', 'update'], apiGroups: [''], resources: ['configmaps'] },
    ]);
    const leaving = serviceAccountKeyPair('rsa');
    writeFileSync(file('held.pem'), edge.publicPem + leaving.publicPem);
    const at = await freePort();
    const name = `https://127.0.0.1:${at}/held`;
    const args = [
      ...['--issuer', name, '--key-source', 'files', '--keys', file('held.pem'), '--port', String(at)],
      ...['--poll-interval', '1s', '--state', 'configmap/keys'],
    ];
    const ask = async () => {
      const { status, text } = await get(`${name}/openid/v1/jwks`);
      return status === 200 ? kids(JSON.parse(text) as JwkSet) : [];
    };
    const stateOf = async () => {
      const map = await blue.request<{ data?: Record<string, string> }>(
        'GET',
        '/api/v1/namespaces/podpass/configmaps/keys',
      );
      return map.body.data?.['state.json'] ?? '';
    };
    const first = await startDiscovery(blue, args, { kubeconfig });
    const both = await ask();
    expect(both).toHaveLength(2);
    writeFileSync(file('held.pem'), edge.publicPem);
    await until('the hold-down in the ConfigMap', async () => (await stateOf()).includes('heldUntil'));
    expect(await stateOf()).not.toContain('PRIVATE');
    const { keys: before } = (JSON.parse(await stateOf()) as { issuers: Record<string, { keys: unknown[] }> }).issuers[
      name
    ] ?? { keys: [] };
    await first.stop('SIGKILL');

    const second = await startDiscovery(blue, args, { kubeconfig });
    try {
      expect(await ask()).toEqual(both);
      expect((await second.metrics()).value('podpass_keys', { state: 'held' })).toBe(1);
      const { code, stdout, stderr } = await podpass(['keys', '--state', 'configmap/keys', '-o', 'json'], '', {
        KUBECONFIG: kubeconfig,
      });
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      const { issuers } = JSON.parse(stdout) as {
        issuers: { issuer: string; keys: { kid: string; state: string; until?: string; sign: { safe: boolean } }[] }[];
      };
      expect(issuers.map((each) => each.issuer)).toEqual([name]);
      const told = issuers[0]?.keys ?? [];
      expect(told.map(({ kid }) => kid).sort()).toEqual(both);
      expect(told.map(({ state }) => state).sort()).toEqual(['held', 'published']);
      expect(told.every(({ sign }) => sign.safe === false)).toBe(true);
      const until = told.find(({ state }) => state === 'held')?.until ?? '';
      // The deadline of the first process.
      expect(JSON.stringify(before)).toContain(until.replace('Z', ''));

      const live = await podpass(['keys', '--kubeconfig', kubeconfig]);
      expect({ code: live.code, stderr: live.stderr }).toEqual({ code: 0, stderr: '' });
      for (const kid of await theirs(blue))
        expect(live.stdout).toContain(`${kid}  RS256  published: its source has it`);
    } finally {
      await second.stop();
    }
  });
});
