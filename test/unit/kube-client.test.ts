import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import http, { type IncomingMessage, type RequestListener } from 'node:http';
import https from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { KubeConfig } from '@kubernetes/client-node';
import forge from 'node-forge';
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  createKubeClient,
  findNamespace,
  type KubeClient,
  KubeError,
  loadKubeConfig,
} from '../../src/runtime/kube-client.ts';

interface Pair {
  readonly key: string;
  readonly cert: string;
}

function selfSigned(): Pair {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const key = privateKey.export({ type: 'pkcs1', format: 'pem' }).toString();
  const forgeKey = forge.pki.privateKeyFromPem(key);
  const cert = forge.pki.createCertificate();
  cert.publicKey = forge.pki.setRsaPublicKey(forgeKey.n, forgeKey.e);
  cert.serialNumber = '01';
  cert.validity.notAfter = new Date(Date.now() + 3_600_000);
  const name = [{ name: 'commonName', value: 'podpass test' }];
  cert.setSubject(name);
  cert.setIssuer(name);
  cert.setExtensions([{ name: 'subjectAltName', altNames: [{ type: 7, ip: '127.0.0.1' }] }]);
  cert.sign(forgeKey, forge.md.sha256.create());
  return { key, cert: forge.pki.certificateToPem(cert) };
}

let pair: Pair;
let other: Pair;
let folder: string;
let cleanups: (() => unknown)[];

beforeAll(() => {
  [pair, other] = [selfSigned(), selfSigned()];
});

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'kube-client-'));
  cleanups = [() => rmSync(folder, { recursive: true })];
});

afterEach(async () => {
  vi.useRealTimers();
  for (const cleanup of cleanups.reverse()) await cleanup();
});

async function serve(listener: RequestListener, tls: Pair | null = pair): Promise<string> {
  const server = tls === null ? http.createServer(listener) : https.createServer(tls, listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanups.push(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  return `${tls === null ? 'http' : 'https'}://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function write(name: string, text: string): string {
  const file = join(folder, name);
  writeFileSync(file, text);
  return file;
}

/** JSON is YAML, so kubeconfig files are written as the objects they hold. */
function kubeconfig(server: string, user: object = { token: 'secret-token' }, cluster: object = {}): string {
  return write(
    'config',
    JSON.stringify({
      clusters: [
        {
          name: 'c',
          cluster: { server, 'certificate-authority-data': Buffer.from(pair.cert).toString('base64'), ...cluster },
        },
      ],
      users: [{ name: 'u', user }],
      contexts: [
        { name: 'x', context: { cluster: 'c', user: 'u' } },
        { name: 'broken', context: { cluster: 'gone', user: 'u' } },
      ],
      'current-context': 'x',
    }),
  );
}

function clientFor(file: string, context?: string, now?: () => number): KubeClient {
  const config = loadKubeConfig({ kubeconfig: file, env: {} });
  const client = createKubeClient(config, { ...(context === undefined ? {} : { context }), ...(now && { now }) });
  cleanups.push(() => client.close());
  return client;
}

const clientOf = (server: string, user?: object, cluster?: object, now?: () => number) =>
  clientFor(kubeconfig(server, user, cluster), undefined, now);

async function failureOf(promise: Promise<unknown>): Promise<KubeError> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(KubeError);
  return error as KubeError;
}

function withSignal<T extends object>(options: T): T & { signal?: AbortSignal } {
  if (!('abortAfterMs' in options)) return options;
  const abortAfterMs = Number(options.abortAfterMs);
  return { ...options, signal: abortAfterMs === 0 ? AbortSignal.abort() : AbortSignal.timeout(abortAfterMs) };
}

const jwt = (payload: object) => `e30.${Buffer.from(JSON.stringify(payload)).toString('base64url')}.c2ln`;

describe('loadKubeConfig', () => {
  const inCluster = { KUBERNETES_SERVICE_HOST: '10.96.0.1', KUBERNETES_SERVICE_PORT: '443' };
  const named = (name: string, server: string) =>
    write(
      name,
      JSON.stringify({
        clusters: [{ name: 'c', cluster: { server } }],
        contexts: [{ name, context: { cluster: 'c', user: 'u' } }],
        'current-context': name,
      }),
    );
  const serverOf = (env: Record<string, string>, file?: string) =>
    loadKubeConfig({ kubeconfig: file, env, serviceAccountFolder: folder }).getCurrentCluster()?.server;

  it('takes the file asked for before all others', () => {
    write('token', 't');
    expect(serverOf({ ...inCluster, KUBECONFIG: named('b', 'https://b') }, named('a', 'https://a'))).toBe('https://a');
  });

  it('takes the cluster it runs in before $KUBECONFIG, IPv6 in brackets', () => {
    write('token', 't');
    expect(serverOf({ ...inCluster, KUBECONFIG: named('b', 'https://b') })).toBe('https://10.96.0.1:443');
    expect(serverOf({ ...inCluster, KUBERNETES_SERVICE_HOST: 'fd00::1' })).toBe('https://[fd00::1]:443');
  });

  it('takes $KUBECONFIG before the home file, merging a list in which the first wins', () => {
    const files = [join(folder, 'missing'), named('a', 'https://a'), named('b', 'https://b')];
    const config = loadKubeConfig({
      env: { KUBECONFIG: files.join(':'), HOME: '/nowhere' },
      serviceAccountFolder: folder,
    });
    expect(config.getCurrentCluster()?.server).toBe('https://a');
    expect(config.getContexts().map((context) => context.name)).toEqual(['a', 'b']);
  });

  it('names everything it tried when nothing is there', () => {
    expect(() => loadKubeConfig({ env: { HOME: folder }, serviceAccountFolder: folder })).toThrow(
      `no cluster configuration found; tried in-cluster (KUBERNETES_SERVICE_HOST or _PORT is not set), ` +
        `$KUBECONFIG (not set), the home file (no ${folder}/.kube/config); name one with --kubeconfig`,
    );
    expect(() =>
      loadKubeConfig({ env: { ...inCluster, KUBECONFIG: '/no/file' }, serviceAccountFolder: folder }),
    ).toThrow(`tried in-cluster (no ${folder}/token), $KUBECONFIG (no such file: /no/file)`);
  });

  it.each([
    ['a missing file', undefined, 'ENOENT'],
    ['no YAML', 'token: secret\n  - x: [', 'in line'],
    ['an empty file', '', 'it is not a kubeconfig'],
    ['a file without clusters', '{"a": "secret"}', 'it lists no clusters'],
    [
      'a cluster without a server',
      '{"clusters": [{"name": "secret", "cluster": {"x": 1}}]}',
      'clusters[0].cluster.server is missing',
    ],
  ])('names the file and the reason but not the content of %s', (_, text, reason) => {
    const file = text === undefined ? join(folder, 'missing') : write('bad', text);
    const load = () => loadKubeConfig({ kubeconfig: file, env: {} });
    expect(load).toThrow(`cannot read kubeconfig ${file}: `);
    expect(load).toThrow(reason);
    expect(load).not.toThrow('secret');
  });
});

describe('createKubeClient', () => {
  const config = (server: string, cluster?: object) =>
    loadKubeConfig({ kubeconfig: kubeconfig(server, undefined, cluster), env: {} });

  it('refuses an API server without TLS unless the kubeconfig gives up verification', async () => {
    expect(() => createKubeClient(config('http://a'))).toThrow('http://a: an API server without TLS is used only with');
    const url = await serve((_, response) => response.end('plain'), null);
    const client = clientOf(url, undefined, { 'insecure-skip-tls-verify': true });
    expect((await client.get('/', { timeoutMs: 5_000 })).body.toString()).toBe('plain');
  });

  it('refuses an unknown context, one without a cluster, and a server that is no URL', () => {
    const kube = config('https://a');
    expect(() => createKubeClient(kube, { context: 'y' })).toThrow('no context y; it has: x, broken');
    expect(() => createKubeClient(kube, { context: 'broken' })).toThrow('no cluster for its context broken');
    expect(() => createKubeClient(config('nonsense'))).toThrow('server is not a URL: nonsense');
    expect(kube.getCurrentContext()).toBe('x');
  });
});

describe('get and post', () => {
  it('sends the credential and gives back whatever status, headers and body come', async () => {
    const seen: IncomingMessage[] = [];
    const server = await serve((request, response) => {
      seen.push(request);
      response.writeHead(404, { 'x-test': 'yes' }).end('{"kind":"Status"}');
    });
    const answer = await clientOf(`${server}/k8s/`).get('/api?limit=1', {
      timeoutMs: 5_000,
      accept: 'application/jwk-set+json',
    });
    expect([answer.status, answer.headers['x-test'], answer.body.toString()]).toEqual([
      404,
      'yes',
      '{"kind":"Status"}',
    ]);
    expect(seen[0]?.url).toBe('/k8s/api?limit=1');
    expect(seen[0]?.headers).toMatchObject({
      authorization: 'Bearer secret-token',
      accept: 'application/jwk-set+json',
      'user-agent': 'podpass',
    });
    expect(seen[0]?.headers).not.toHaveProperty('accept-encoding');
  });

  it('posts JSON', async () => {
    const server = await serve(async (request, response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      response.writeHead(201).end(`${request.method} ${request.headers['content-type']} ${Buffer.concat(chunks)}`);
    });
    const answer = await clientOf(server).post('/token', { a: 'ä' }, { timeoutMs: 5_000 });
    expect(`${answer.status} ${answer.body}`).toBe('201 POST application/json {"a":"ä"}');
  });

  it('does not follow a redirect', async () => {
    const server = await serve((_, response) =>
      response.writeHead(302, { location: 'https://elsewhere.invalid/' }).end(),
    );
    expect((await clientOf(server).get('/', { timeoutMs: 5_000 })).status).toBe(302);
  });

  it('uses one connection again and asks once more when an idle one was closed under it', async () => {
    const sockets = new Set<Socket>();
    let cut = false;
    const server = await serve((request, response) => {
      if (cut && sockets.has(request.socket)) return void request.socket.destroy();
      sockets.add(request.socket);
      response.end('ok');
    });
    const client = clientOf(server);
    await client.get('/', { timeoutMs: 5_000 });
    await new Promise((resolve) => setImmediate(resolve));
    await client.get('/', { timeoutMs: 5_000 });
    expect(sockets.size).toBe(1);
    cut = true;
    await new Promise((resolve) => setImmediate(resolve));
    expect((await client.get('/', { timeoutMs: 5_000 })).status).toBe(200);
    await new Promise((resolve) => setImmediate(resolve));
    // A POST may have had its effect, so it is not sent twice.
    expect((await failureOf(client.post('/', {}, { timeoutMs: 5_000 }))).code).toBe('unreachable');
  });

  describe('with idle connections that have died without a word', () => {
    const settled = () => new Promise((resolve) => setImmediate(resolve));

    /** A client with three idle connections, on which nothing is answered any longer, and what came on new ones. */
    async function withDeadConnections() {
      const dead = new Set<Socket>();
      const alive = new Set<Socket>();
      let cut = false;
      const server = await serve((request, response) => {
        if (!cut) dead.add(request.socket);
        else if (dead.has(request.socket)) return;
        else alive.add(request.socket);
        setTimeout(() => response.end('ok'), 20);
      });
      const client = clientOf(server);
      await Promise.all([1, 2, 3].map(() => client.get('/', { timeoutMs: 5_000 })));
      await settled();
      expect(dead.size).toBe(3);
      cut = true;
      return { client, alive };
    }

    it('a GET is answered on a new one after half its time, and the others are not tried', async () => {
      const { client, alive } = await withDeadConnections();
      const began = performance.now();
      expect((await client.get('/', { timeoutMs: 1_000 })).body.toString()).toBe('ok');
      expect(performance.now() - began).toBeGreaterThan(450);
      await settled();
      const then = performance.now();
      await client.get('/', { timeoutMs: 1_000 });
      expect(performance.now() - then).toBeLessThan(450);
      expect(alive.size).toBe(1);
    });

    it('a stream is opened in the same way', async () => {
      const { client } = await withDeadConnections();
      const limits = { signal: new AbortController().signal, connectTimeoutMs: 400, lifetimeMs: 1_000, graceMs: 0 };
      expect(await client.stream('/', limits)).toHaveProperty('body');
    });

    it('an open stream is given up when the GET was answered on a new one, unless it has just said something', async () => {
      const streams: http.ServerResponse[] = [];
      const dead = new Set<Socket>();
      let cut = false;
      const server = await serve((request, response) => {
        if (request.url === '/watch') return void (streams.push(response) && response.write('a'));
        if (!cut) dead.add(request.socket);
        if (!cut || !dead.has(request.socket)) response.end('ok');
      });
      let ahead = 0;
      const client = clientOf(server, undefined, undefined, () => performance.now() + ahead);
      const limits = { connectTimeoutMs: 5_000, lifetimeMs: 60_000, graceMs: 5_000 };
      const end = new AbortController();
      const open = async () => {
        const { body } = await client.stream('/watch', { ...limits, signal: end.signal });
        const chunks = body[Symbol.asyncIterator]();
        await chunks.next();
        return { more: chunks.next() };
      };
      const quiet = await open();
      const talking = await open();
      await client.get('/', { timeoutMs: 5_000 });
      await settled();
      // What a stream has said within five seconds is trusted.
      ahead = 6_000;
      cut = true;
      streams[1]?.write('b');
      expect((await talking.more).value?.toString()).toBe('b');
      const failed = failureOf(quiet.more);
      expect((await client.get('/', { timeoutMs: 200 })).body.toString()).toBe('ok');
      expect(await failed).toMatchObject({
        code: 'unreachable',
        message: expect.stringContaining('GET /watch: given up'),
      });
      await vi.waitFor(() => expect(streams.map(({ destroyed }) => destroyed)).toEqual([true, false]));
      end.abort();
    });

    it('a POST is not sent twice, but the next one is sent on a new one', async () => {
      const { client, alive } = await withDeadConnections();
      expect((await failureOf(client.post('/', {}, { timeoutMs: 200 }))).code).toBe('timeout');
      expect(alive.size).toBe(0);
      await settled();
      expect((await client.post('/', {}, { timeoutMs: 2_000 })).status).toBe(200);
    });
  });

  it('a slow answer on an idle connection counts, though another was asked for meanwhile', async () => {
    let requests = 0;
    const server = await serve((_, response) => {
      const late = requests++ === 1 ? 700 : 0;
      if (requests <= 2) setTimeout(() => response.end(`${requests}`), late);
    });
    const client = clientOf(server);
    await client.get('/', { timeoutMs: 1_000 });
    await new Promise((resolve) => setImmediate(resolve));
    const { body } = await client.get('/', { timeoutMs: 1_000 });
    // Of the three requests the last one is never answered.
    expect(body.toString()).toBe('3');
  });

  it.each([
    ['timeout', 'a server that says nothing', () => undefined, { timeoutMs: 50 }],
    ['timeout', 'a body that never ends', (r: http.ServerResponse) => r.write('secret-body'), { timeoutMs: 50 }],
    [
      'too-large',
      'a body over the limit',
      (r: http.ServerResponse) => r.end('secret-body'),
      { timeoutMs: 5_000, maxBytes: 5 },
    ],
    [
      'unreachable',
      'a connection cut before the answer',
      (r: http.ServerResponse) => r.destroy(),
      { timeoutMs: 5_000 },
    ],
    [
      'unreachable',
      'a body cut in the middle',
      (r: http.ServerResponse) => {
        r.writeHead(200, { 'content-length': '100' });
        r.write('secret-body', () => r.destroy());
      },
      { timeoutMs: 5_000 },
    ],
    [
      'unreachable',
      'an answer that is not HTTP',
      (r: http.ServerResponse) => r.socket?.end('secret-body\r\n\r\n'),
      { timeoutMs: 5_000 },
    ],
    ['aborted', 'a caller that gives up', () => undefined, { timeoutMs: 5_000, abortAfterMs: 60 }],
    ['aborted', 'a caller that had given up before', () => undefined, { timeoutMs: 5_000, abortAfterMs: 0 }],
  ] as const)('%s: %s', async (code, _, answer, options) => {
    const server = await serve((_request, response) => void answer(response));
    const error = await failureOf(clientOf(server).get('/api?continue=secret-query', withSignal(options)));
    expect(error.code).toBe(code);
    expect(error.message).toMatch(/^GET \/api: /);
    expect(`${error.stack} ${JSON.stringify(error)}`).not.toMatch(/secret/);
    expect(error.cause).toBeUndefined();
  });

  it('unreachable: nobody listens, or with a certificate that the CA did not sign', async () => {
    const client = clientOf('https://127.0.0.1:1');
    expect((await failureOf(client.get('/', { timeoutMs: 5_000 }))).message).toContain('ECONNREFUSED');
    const server = await serve((_, response) => response.end(), other);
    const error = await failureOf(clientOf(server).get('/', { timeoutMs: 5_000 }));
    expect([error.code, error.message]).toEqual(['unreachable', expect.stringContaining('self-signed')]);
  });
});

describe('credentials', () => {
  const whoami: RequestListener = (request, response) => response.end(request.headers.authorization);

  it('reads a rotated in-cluster token again after a minute, without its line break', async () => {
    const server = new URL(await serve(whoami));
    write('ca.crt', pair.cert);
    write('token', 'first\n');
    const env = { KUBERNETES_SERVICE_HOST: server.hostname, KUBERNETES_SERVICE_PORT: server.port };
    const client = createKubeClient(loadKubeConfig({ env, serviceAccountFolder: folder }));
    cleanups.push(() => client.close());
    const ask = async () => (await client.get('/', { timeoutMs: 5_000 })).body.toString();
    expect(await ask()).toBe('Bearer first');
    write('token', jwt({ aud: ['https://kubernetes.default.svc'] }));
    expect(await ask()).toBe('Bearer first');
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 61_000 });
    expect(await ask()).toMatch(/^Bearer e30\./);
    expect(await client.credentialAudiences()).toEqual(['https://kubernetes.default.svc']);
  });

  it('opens new connections when the CA file changes', async () => {
    const server = await serve(whoami);
    const ca = write('ca', pair.cert);
    const client = clientOf(server, undefined, {
      'certificate-authority-data': undefined,
      'certificate-authority': ca,
    });
    expect((await client.get('/', { timeoutMs: 5_000 })).status).toBe(200);
    write('ca', other.cert);
    expect((await failureOf(client.get('/', { timeoutMs: 5_000 }))).code).toBe('unreachable');
  });

  it.each([
    ['a list', { token: jwt({ aud: ['a', 'b', 3] }) }, ['a', 'b']],
    ['one', { token: jwt({ aud: 'a' }) }, ['a']],
    ['none', { token: jwt({}) }, []],
    ['an opaque token', { token: 'opaque' }, []],
    ['something like a JWT', { token: 'a.%%%.c' }, []],
    ['a password', { username: 'u', password: 'p' }, []],
  ])('tells the audiences of its own token: %s', async (_, user, audiences) => {
    expect(await clientOf('https://127.0.0.1:1', user).credentialAudiences()).toEqual(audiences);
  });

  it('sends a password as such', async () => {
    const client = clientOf(await serve(whoami), { username: 'u', password: 'p' });
    expect((await client.get('/', { timeoutMs: 5_000 })).body.toString()).toBe(`Basic ${btoa('u:p')}`);
  });

  const plugin = (code: string) => ({ exec: { command: process.execPath, args: ['-e', code] } });

  it('runs a credential plugin, and says nothing of what a failing one printed', async () => {
    const server = await serve(whoami);
    const printed = JSON.stringify({ status: { token: 'from-plugin' } });
    const client = clientOf(server, plugin(`console.log(${JSON.stringify(printed)})`));
    expect((await client.get('/', { timeoutMs: 10_000 })).body.toString()).toBe('Bearer from-plugin');
    const failing = clientOf(server, plugin('console.error("secret"); process.exit(1)'));
    const error = await failureOf(failing.get('/', { timeoutMs: 10_000 }));
    expect([error.code, error.message]).toEqual([
      'credentials',
      `cannot get the credential for ${server}: the credential plugin failed`,
    ]);
    const missing = await failureOf(
      clientOf(server, { exec: { command: '/no/plugin' } }).get('/', { timeoutMs: 10_000 }),
    );
    expect(missing.message).toContain('spawn /no/plugin ENOENT');
  });

  it('does not wait for a plugin beyond the time limit', async () => {
    const client = clientOf('https://127.0.0.1:1', plugin('setTimeout(() => {}, 2000)'));
    expect((await failureOf(client.get('/', { timeoutMs: 100 }))).code).toBe('timeout');
  });
});

describe('stream', () => {
  const limits = (over: object = {}) => ({
    signal: new AbortController().signal,
    connectTimeoutMs: 5_000,
    lifetimeMs: 5_000,
    graceMs: 0,
    ...over,
  });
  const read = async (body: AsyncIterable<Buffer>, into: string[] = []) => {
    for await (const chunk of body) into.push(chunk.toString());
    return into;
  };

  it('gives the chunks as they come, to the end', async () => {
    const server = await serve(({ headers }, response) => {
      response.setHeader('x-accept', headers.accept ?? '').write('a');
      setTimeout(() => response.end('b'), 20);
    });
    const { headers, body } = await clientOf(server).stream('/watch', limits({ accept: 'text/plain' }));
    expect([headers['x-accept'], (await read(body)).join('')]).toEqual(['text/plain', 'ab']);
    expect((await clientOf(server).stream('/watch', limits())).headers['x-accept']).toBe('application/json');
  });

  it('leaves its connection to the next one where it was read to the end, or was refused', async () => {
    const sockets = new Set<Socket>();
    const server = await serve(({ url, socket }, response) => {
      sockets.add(socket);
      response.writeHead(url === '/' ? 200 : 503).end('all');
    });
    const client = clientOf(server);
    for (let i = 0; i < 3; i++) {
      expect((await read((await client.stream('/', limits())).body)).join('')).toBe('all');
      await delay(5);
      await failureOf(client.stream('/refused', limits()));
      await delay(5);
    }
    expect(sockets.size).toBe(1);
  });

  it('has all its time from when it is first looked at', async () => {
    const server = await serve((_, response) => void response.end('all'));
    const { body } = await clientOf(server).stream('/watch', limits({ lifetimeMs: 20, graceMs: 20 }));
    await delay(150);
    expect((await read(body)).join('')).toBe('all');
  });

  it('is not taken for whole, and leaves no timer behind, where it was given up before it was read', async () => {
    const server = await serve((_, response) => void response.end('all'));
    const stop = new AbortController();
    const timers = () => process.getActiveResourcesInfo().filter((each) => each === 'Timeout').length;
    const before = timers();
    const { body } = await clientOf(server).stream('/watch', limits({ signal: stop.signal, lifetimeMs: 60_000 }));
    await delay(20);
    stop.abort();
    expect((await failureOf(read(body))).code).toBe('aborted');
    expect(timers()).toBeLessThanOrEqual(before);
  });

  it('fails with the status when it is not 200', async () => {
    const server = await serve((_, response) => response.writeHead(410).end('secret-body'));
    const error = await failureOf(clientOf(server).stream('/watch?x=1', limits()));
    expect([error.code, error.status, error.message]).toEqual(['status', 410, 'GET /watch: HTTP 410']);
  });

  it.each([
    ['timeout', 'is not ended in time and silent', { lifetimeMs: 40, graceMs: 20 }, () => undefined],
    ['unreachable', 'is cut', {}, (r: http.ServerResponse) => r.destroy()],
    ['aborted', 'is no longer wanted', { abortAfterMs: 1_000 }, () => undefined],
  ] as const)('%s: a stream that %s', async (code, _, over, then) => {
    const server = await serve((_request, response) => void response.write('a', () => then(response)));
    const got: string[] = [];
    const { body } = await clientOf(server).stream('/watch', limits(withSignal(over)));
    expect((await failureOf(read(body, got))).code).toBe(code);
    expect(got).toEqual(['a']);
  });

  it('goes on after its time while something comes', async () => {
    const server = await serve((_, response) => {
      let left = 6;
      const timer = setInterval(() => {
        left -= 1;
        if (left >= 0) return void response.write('a');
        clearInterval(timer);
        response.end();
      }, 40);
    });
    // The first bytes are part of connecting.
    const { body } = await clientOf(server).stream('/watch', limits({ lifetimeMs: 0, graceMs: 150 }));
    expect((await read(body)).length).toBe(6);
  });

  it('gives up on a server that does not begin', async () => {
    const server = await serve(() => undefined);
    expect((await failureOf(clientOf(server).stream('/watch', limits({ connectTimeoutMs: 50 })))).code).toBe('timeout');
  });

  it('is ended by close and leaves no connection behind when the reader stops', async () => {
    let closed = 0;
    const server = await serve((request, response) => {
      request.socket.on('close', () => closed++);
      response.write('a');
    });
    const client = clientOf(server);
    for await (const chunk of (await client.stream('/watch', limits())).body) if (chunk.length > 0) break;
    await vi.waitFor(() => expect(closed).toBe(1));
    const { body } = await client.stream('/watch', limits());
    client.close();
    expect((await failureOf(read(body))).code).toBe('unreachable');
  });
});

it("finds the namespace: the Pod's own, else the context's, else podpass", () => {
  const config = new KubeConfig();
  const one = { name: 'c', cluster: 'c', user: 'u' };
  const load = (context: object) =>
    config.loadFromOptions({ clusters: [], users: [], contexts: [{ ...one, ...context }], currentContext: 'c' });
  load({});
  expect(findNamespace(config, folder)).toBe('podpass');
  load({ namespace: 'team' });
  expect(findNamespace(config, folder)).toBe('team');
  writeFileSync(join(folder, 'namespace'), 'own\n');
  expect(findNamespace(config, folder)).toBe('own');
});
