import { generateKeyPairSync } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { KubeConfig } from '@kubernetes/client-node';
import forge from 'node-forge';
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { silentLog } from '../../src/log.ts';
import { createKubeClient, type KubeClient, KubeError } from '../../src/runtime/kube-client.ts';
import {
  createServiceAccountCache,
  type ServiceAccountCache,
  ServiceAccountUnavailable,
} from '../../webhook/service-accounts.ts';

function selfSigned(): { key: string; cert: string } {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const key = privateKey.export({ type: 'pkcs1', format: 'pem' }).toString();
  const forgeKey = forge.pki.privateKeyFromPem(key);
  const cert = forge.pki.createCertificate();
  cert.publicKey = forge.pki.setRsaPublicKey(forgeKey.n, forgeKey.e);
  cert.serialNumber = '01';
  cert.validity.notAfter = new Date(Date.now() + 3_600_000);
  cert.setSubject([{ name: 'commonName', value: 'podpass test' }]);
  cert.setIssuer(cert.subject.attributes);
  cert.setExtensions([{ name: 'subjectAltName', altNames: [{ type: 7, ip: '127.0.0.1' }] }]);
  cert.sign(forgeKey, forge.md.sha256.create());
  return { key, cert: forge.pki.certificateToPem(cert) };
}

type Answer = (request: IncomingMessage, response: ServerResponse, url: URL) => boolean | undefined;

/** ServiceAccounts behind list, watch and get as the real one serves them, until a script says otherwise. */
class FakeApiServer {
  readonly asked: { list: URL[]; watch: URL[]; get: URL[] } = { list: [], watch: [], get: [] };
  readonly watches = new Set<ServerResponse>();
  readonly #accounts = new Map<string, object>();
  readonly #history: { version: number; line: string }[] = [];
  #version = 1000;
  /** May answer in the server's place: true if it did. */
  script: { list?: Answer; watch?: Answer; get?: Answer } = {};
  server: https.Server | undefined;
  #port = 0;

  async listen(): Promise<void> {
    this.server = https.createServer(tls, (request, response) => this.#answer(request, response));
    await new Promise<void>((resolve) => this.server?.listen(this.#port, '127.0.0.1', resolve));
    this.#port = (this.server.address() as AddressInfo).port;
  }

  get url(): string {
    return `https://127.0.0.1:${this.#port}`;
  }

  /** As kill -9: connections are cut and the port is closed. */
  async die(): Promise<void> {
    this.server?.closeAllConnections();
    await new Promise((resolve) => this.server?.close(resolve));
  }

  set(name: string, annotations?: Record<string, string>): void {
    const type = this.#accounts.has(name) ? 'MODIFIED' : 'ADDED';
    this.#version += 1;
    const [namespace, own] = name.split('/');
    const metadata = { namespace, name: own, resourceVersion: String(this.#version), annotations };
    const account = { kind: 'ServiceAccount', apiVersion: 'v1', metadata };
    this.#accounts.set(name, account);
    this.#tell(type, account);
  }

  remove(name: string): void {
    const account = this.#accounts.get(name) as { metadata: object };
    this.#accounts.delete(name);
    this.#version += 1;
    this.#tell('DELETED', { ...account, metadata: { ...account.metadata, resourceVersion: String(this.#version) } });
  }

  bookmark(): void {
    this.#version += 1;
    this.#tell('BOOKMARK', { kind: 'ServiceAccount', metadata: { resourceVersion: String(this.#version) } });
  }

  #tell(type: string, object: object): void {
    const line = `${JSON.stringify({ type, object })}\n`;
    this.#history.push({ version: this.#version, line });
    this.send(line);
  }

  send(line: string | Buffer): void {
    for (const watch of this.watches) watch.write(line);
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(request.url ?? '', this.url);
    const verb = url.searchParams.has('watch') ? 'watch' : url.pathname.endsWith('/serviceaccounts') ? 'list' : 'get';
    this.asked[verb].push(url);
    if (this.script[verb]?.(request, response, url)) return;
    if (verb === 'list') this.#list(response, url);
    else if (verb === 'watch') this.#watch(response, url);
    else this.#get(response, url);
  }

  #list(response: ServerResponse, url: URL): void {
    const limit = Number(url.searchParams.get('limit'));
    const token = url.searchParams.get('continue');
    const [version, from] = token === null ? [this.#version, 0] : token.split(':').map(Number);
    const all = [...this.#accounts.values()];
    const next = (from ?? 0) + limit;
    const metadata = {
      resourceVersion: String(version),
      ...(next < all.length ? { continue: `${version}:${next}` } : {}),
    };
    response.end(JSON.stringify({ kind: 'ServiceAccountList', metadata, items: all.slice(from, next) }));
  }

  #watch(response: ServerResponse, url: URL): void {
    const from = Number(url.searchParams.get('resourceVersion'));
    response.writeHead(200, { 'content-type': 'application/json' }).flushHeaders();
    for (const { version, line } of this.#history) if (version > from) response.write(line);
    this.watches.add(response);
    response.on('close', () => this.watches.delete(response));
  }

  #get(response: ServerResponse, url: URL): void {
    const [, , , , namespace, , name] = url.pathname.split('/');
    const account = this.#accounts.get(`${namespace}/${name}`);
    if (account === undefined) {
      const status = { kind: 'Status', reason: 'NotFound', code: 404 };
      response.writeHead(404).end(JSON.stringify(status));
    } else response.end(JSON.stringify(account));
  }
}

let tls: { key: string; cert: string };
let api: FakeApiServer;
let cache: ServiceAccountCache;
let slept: number[];
let lookups: Record<string, number>;
let logged: { level: string; fields: object; message: string }[];
let gauges: { size: number; connected: boolean };
let close: () => void;
/** Added to the clock, so that tests can let time pass. */
let ahead: number;

beforeAll(() => {
  tls = selfSigned();
});

function create(
  over: { lookupTimeoutMs?: number; sleep?: (ms: number, signal: AbortSignal) => Promise<unknown> } = {},
) {
  const config = new KubeConfig();
  config.loadFromClusterAndUser(
    { name: 'c', server: api.url, caData: Buffer.from(tls.cert).toString('base64'), skipTLSVerify: false },
    { name: 'u', token: 'secret-token' },
  );
  const client = createKubeClient(config);
  const log = (level: string) => (fields: object, message: string) => void logged.push({ level, fields, message });
  cache = createServiceAccountCache({
    client,
    annotationPrefixes: ['podpass.dev/', 'eks.amazonaws.com/'],
    lookupTimeoutMs: over.lookupTimeoutMs ?? 1_000,
    clock: {
      now: () => performance.now() + ahead,
      sleep: (ms, signal) => {
        slept.push(ms);
        return (over.sleep ?? ((_ms, stop) => delay(5, undefined, { signal: stop })))(ms, signal);
      },
    },
    log: { debug: log('debug'), info: log('info'), warn: log('warn'), error: log('error') },
    metrics: {
      lookups: (source) => {
        lookups[source] = (lookups[source] ?? 0) + 1;
      },
      size: (size) => {
        gauges.size = size;
      },
      connected: (connected) => {
        gauges.connected = connected;
      },
    },
    random: () => 0.5,
  });
  close = () => client.close();
  return cache;
}

async function started(over?: Parameters<typeof create>[0]): Promise<ServiceAccountCache> {
  create(over).start();
  await connectedAgain(1);
  return cache;
}

/** Events that were sent before this resolves have been applied. */
async function connectedAgain(watches: number): Promise<void> {
  await vi.waitFor(() => expect([api.asked.watch.length >= watches, cache.connected]).toEqual([true, true]), 4_000);
}

async function annotations(name: string, own = 'default'): Promise<Record<string, string> | undefined> {
  const lookup = await cache.get(own, name);
  return lookup.found ? lookup.serviceAccount.annotations : undefined;
}

async function applied(name: string, expected: object | undefined): Promise<void> {
  // What just changed is read live; later the cache answers.
  ahead += 10_000;
  await vi.waitFor(async () => {
    ahead += 2_000;
    const before = api.asked.get.length;
    const found = await cache.get('default', name);
    if (expected === undefined) return expect(found).toEqual({ found: false, source: 'live' });
    expect(found).toMatchObject({ source: 'cache', serviceAccount: { annotations: expected } });
    expect(api.asked.get.length).toBe(before);
  }, 4_000);
}

const a = (value: string) => ({ 'podpass.dev/audiences': value });

beforeEach(async () => {
  [slept, lookups, logged, ahead] = [[], {}, [], 0];
  gauges = { size: -1, connected: false };
  api = new FakeApiServer();
  await api.listen();
});

afterEach(async () => {
  await cache.stop();
  close();
  await api.die();
  expect(JSON.stringify(logged)).not.toMatch(/secret/);
});

describe('the feed', () => {
  it('lists in pages, watches from there with bookmarks, and answers from memory without asking', async () => {
    for (let i = 0; i < 1_201; i++) api.set(`default/sa-${i}`, i % 100 === 0 ? a(`aud-${i}`) : { other: 'x' });
    expect(create().hasSynced).toBe(false);
    expect(cache.stalenessMs).toBeUndefined();
    cache.start();
    await connectedAgain(1);
    expect([cache.hasSynced, cache.size, gauges]).toEqual([true, 1_201, { size: 1_201, connected: true }]);
    expect(api.asked.list.map((url) => url.search)).toEqual([
      '?limit=500',
      '?limit=500&continue=2201%3A500',
      '?limit=500&continue=2201%3A1000',
    ]);
    expect(Object.fromEntries(api.asked.watch[0]?.searchParams ?? [])).toEqual({
      watch: 'true',
      allowWatchBookmarks: 'true',
      timeoutSeconds: '25',
      resourceVersion: '2201',
    });
    expect(await cache.get('default', 'sa-100')).toEqual({
      found: true,
      serviceAccount: { namespace: 'default', name: 'sa-100', annotations: a('aud-100') },
      source: 'cache',
    });
    expect(await annotations('sa-101')).toEqual({});
    expect([api.asked.get.length, lookups]).toEqual([0, { cache: 2 }]);
    expect(cache.stalenessMs).toBeGreaterThanOrEqual(0);
  });

  it('keeps annotations under its prefixes only', async () => {
    api.set('default/web', { ...a('x'), 'eks.amazonaws.com/role-arn': 'arn', 'podpass.device/x': 'no', other: 'no' });
    await started();
    expect(await annotations('web')).toEqual({ ...a('x'), 'eks.amazonaws.com/role-arn': 'arn' });
  });

  it('follows additions, changes and deletions', async () => {
    await started();
    api.set('default/web', a('one'));
    await applied('web', a('one'));
    api.set('default/web', a('two'));
    await applied('web', a('two'));
    api.remove('default/web');
    await applied('web', undefined);
    expect([cache.size, gauges.size, api.asked.list.length]).toEqual([0, 0, 1]);
  });

  it('resumes where bookmarks say, at once, when the server ends the watch in time', async () => {
    await started();
    api.bookmark();
    await vi.waitFor(() => expect(cache.stalenessMs).toBeLessThan(1_000));
    for (const watch of api.watches) watch.end();
    await vi.waitFor(() => expect(api.asked.watch.length).toBe(2));
    expect(api.asked.watch[1]?.searchParams.get('resourceVersion')).toBe('1001');
    expect([slept, api.asked.list.length]).toEqual([[], 1]);
  });

  it('reads events cut anywhere, even within a character, and several in one piece', async () => {
    await started();
    const event = (name: string, value: string, version: number) =>
      `${JSON.stringify({
        type: 'ADDED',
        object: { metadata: { namespace: 'default', name, resourceVersion: `${version}`, annotations: a(value) } },
      })}\n`;
    const bytes = Buffer.from(
      event('cut', 'grüße-€-🦔', 2_000) + event('whole', 'x', 2_001) + event('last', 'y', 2_002),
    );
    for (let at = 0; at < bytes.length; at += 7) {
      api.send(bytes.subarray(at, at + 7));
      if (at % 5 === 0) await delay(1);
    }
    await applied('last', a('y'));
    await applied('cut', a('grüße-€-🦔'));
    await applied('whole', a('x'));
    expect(api.asked.watch.length).toBe(1);
  });

  it.each([
    ['410 as an event', () => api.send('{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired"}}\n')],
    ['an event that is no JSON', () => api.send('secret garbage\n')],
    ['an event that is no object', () => api.send('null\n')],
    ['an event without a version', () => api.send('{"type":"ADDED","object":{}}\n')],
    [
      '410 as a status',
      () => {
        api.script.watch = (_, response) => {
          delete api.script.watch;
          response.writeHead(410).end('{}');
          return true;
        };
        for (const watch of api.watches) watch.destroy();
      },
    ],
  ])('lists again on %s', async (_, happen) => {
    api.set('default/kept', a('kept'));
    api.set('default/gone', a('gone'));
    await started();
    // What happens now, no watch tells.
    const watches = [...api.watches];
    api.watches.clear();
    api.remove('default/gone');
    api.set('default/new', a('new'));
    for (const watch of watches) api.watches.add(watch);
    happen();
    await vi.waitFor(() => expect(api.asked.list.length).toBe(2), 4_000);
    await vi.waitFor(() => expect(cache.connected).toBe(true));
    await applied('new', a('new'));
    await applied('kept', a('kept'));
    await applied('gone', undefined);
    expect(api.asked.list.length).toBe(2);
  });

  it('serves the old entries until a new list is complete, and begins again when its rest expires', async () => {
    for (let i = 0; i < 600; i++) api.set(`default/sa-${i}`, a(`${i}`));
    await started();
    let release = () => {};
    let expired = 0;
    api.script.list = (_request, response, url) => {
      if (!url.searchParams.has('continue')) return false;
      expired += 1;
      if (expired === 2) delete api.script.list;
      else response.writeHead(410).end('{"kind":"Status","code":410,"reason":"Expired"}');
      if (expired === 2)
        release = () => response.end(JSON.stringify({ metadata: { resourceVersion: '1' }, items: [] }));
      return true;
    };
    api.script.get = (_, response) => Boolean(response.writeHead(500).end());
    api.send('{"type":"ERROR","object":{"code":410}}\n');
    await vi.waitFor(() => expect(expired).toBe(2), 4_000);
    expect(cache.size).toBe(600);
    expect(await cache.get('default', 'sa-599')).toMatchObject({ source: 'cache' });
    release();
    await connectedAgain(2);
    expect([cache.size, api.asked.list.length]).toEqual([500, 6]);
  });

  it('asks for smaller pages when one is too large', async () => {
    for (let i = 0; i < 600; i++) api.set(`default/sa-${i}`, a(`${i}`));
    api.script.list = (_request, response, url) => {
      if (Number(url.searchParams.get('limit')) <= 8) return false;
      const piece = Buffer.alloc(1024 * 1024, 32);
      for (let i = 0; i < 17; i++) response.write(piece);
      response.end('{}');
      return true;
    };
    await started();
    expect(api.asked.list.slice(0, 3).map((url) => url.searchParams.get('limit'))).toEqual(['500', '63', '8']);
    expect([cache.size, slept]).toEqual([600, []]);
  });

  it('does not hold a line without an end', async () => {
    await started();
    const piece = Buffer.alloc(1024 * 1024, 120);
    for (let i = 0; i < 17; i++) api.send(piece);
    await vi.waitFor(() => expect(api.asked.list.length).toBe(2), 8_000);
    expect(JSON.stringify(logged)).toContain('an event of the watch was too large');
  });

  it('holds no more than 16 KiB of annotations of one ServiceAccount, and reads such a one live', async () => {
    api.set('default/big', a('x'.repeat(20_000)));
    await started();
    expect(cache.size).toBe(0);
    expect(await cache.get('default', 'big')).toMatchObject({
      source: 'live',
      serviceAccount: { annotations: a('x'.repeat(20_000)) },
    });
  });

  it.each([
    ['401', (response: ServerResponse) => response.writeHead(401).end('secret')],
    ['403', (response: ServerResponse) => response.writeHead(403).end('secret')],
    ['429', (response: ServerResponse) => response.writeHead(429).end('secret')],
    ['500', (response: ServerResponse) => response.writeHead(500).end('secret')],
    ['a cut', (response: ServerResponse) => response.destroy()],
    ['no JSON', (response: ServerResponse) => response.end('secret')],
    ['JSON of something else', (response: ServerResponse) => response.end('{"kind":"Table"}')],
  ])('backs off while lists end with %s, up to two seconds, and recovers', async (_, answer) => {
    api.script.list = (_request, response) => Boolean(answer(response) ?? true);
    create().start();
    await vi.waitFor(() => expect(slept.length).toBeGreaterThan(7), 4_000);
    expect(slept.slice(0, 8)).toEqual([75, 150, 300, 600, 1_200, 1_500, 1_500, 1_500]);
    expect(logged.filter(({ level }) => level === 'warn').length).toBeLessThanOrEqual(2);
    expect([cache.hasSynced, cache.connected]).toEqual([false, false]);
    api.script = {};
    await connectedAgain(1);
  });

  it('backs off, without listing again, while watches are refused or end at once', async () => {
    let refused = 0;
    api.script.watch = (_, response) => {
      refused += 1;
      if (refused % 2 === 0) response.writeHead(503).end();
      else response.end();
      return true;
    };
    create().start();
    await vi.waitFor(() => expect(slept.length).toBeGreaterThan(5), 4_000);
    expect(slept.slice(0, 6)).toEqual([75, 150, 300, 600, 1_200, 1_500]);
    expect(api.asked.list.length).toBe(1);
  });

  it('does not let a list wait for the failures before the answer that made it necessary', async () => {
    await started();
    const answers = [503, 503, 503, 503, 410];
    api.script.watch = (_, response) => {
      const status = answers.shift();
      return status !== undefined && Boolean(response.writeHead(status).end());
    };
    for (const watch of api.watches) watch.destroy();
    await vi.waitFor(() => expect(api.asked.list.length).toBe(2), 4_000);
    await connectedAgain(7);
    expect(slept).toEqual([75, 150, 300, 600, 1_200, 75]);
  });

  describe('where watches say nothing', () => {
    /** What happens on each watch, the first one first; after them a bookmark. */
    type Watch = 'ended' | 'overdue' | 'given up' | 'bookmark';
    let close: (() => Promise<void>) | undefined;
    afterEach(() => close?.());

    /** What was asked, with an API server at such a version. Watches take 25 s of the given clock. */
    async function asked(watches: Watch[], requests: number, newest = 7): Promise<string[]> {
      create();
      const paths: string[] = [];
      let now = 0;
      let bookmarks = 7;
      const unused = () => Promise.reject(new Error('unused'));
      const client: KubeClient = {
        server: 'https://fake',
        get: async (path) => {
          paths.push(path);
          return { status: 200, headers: {}, body: Buffer.from(`{"metadata":{"resourceVersion":"${newest}"}}`) };
        },
        ...{ post: unused, put: unused, patch: unused },
        stream: async (path) => {
          paths.push(path);
          const isWatch = path.includes('watch=true');
          const what = (isWatch && watches.shift()) || 'bookmark';
          async function* body(): AsyncGenerator<Buffer> {
            if (!isWatch) return yield Buffer.from('{"metadata":{"resourceVersion":"7"}}');
            await delay(1);
            now += 25_000;
            const version = what === 'bookmark' ? ++bookmarks : undefined;
            if (version)
              yield Buffer.from(`{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"${version}"}}}\n`);
            if (what === 'overdue') throw new KubeError('timeout', 'nothing within 30000 ms');
            if (what === 'given up') throw new KubeError('unreachable', 'given up');
          }
          return { headers: {}, body: body() };
        },
        credentialAudiences: async () => [],
        close: () => undefined,
      };
      const silent = createServiceAccountCache({
        client,
        annotationPrefixes: [],
        lookupTimeoutMs: 1_000,
        clock: { now: () => now, sleep: () => delay(1) },
        log: silentLog,
        metrics: { lookups: () => {}, size: () => {}, connected: () => {} },
      });
      close = () => silent.stop();
      silent.start();
      await vi.waitFor(() => expect(paths.length).toBeGreaterThanOrEqual(requests));
      await silent.stop();
      return paths.slice(0, requests).map((path) => path.replace(/.*(limit=|resourceVersion=)/, '$1'));
    }
    const [all, one] = ['limit=500', 'limit=1'];
    const from = (version: number) => `resourceVersion=${version}`;

    it('resumes, after a look at whether the API server is as far, whoever ends them', async () => {
      const watches: Watch[] = ['ended', 'overdue', 'given up', 'overdue', 'ended', 'overdue'];
      const again = [one, from(7)];
      expect(await asked(watches, 16)).toEqual([
        ...[all, from(7), ...again, ...again, ...again, ...again, ...again, ...again],
        ...[from(8), from(9)],
      ]);
    });

    it('lists again where the API server is behind, as after etcd was restored from a backup', async () => {
      expect(await asked(['bookmark', 'ended'], 6, 6)).toEqual([all, from(7), from(8), one, all, from(7)]);
    });

    it('lists again after three that were not ended in time', async () => {
      const watches: Watch[] = ['bookmark', 'overdue', 'given up', 'overdue', 'overdue'];
      const again = [one, from(8)];
      expect(await asked(watches, 12, 9)).toEqual([
        ...[all, from(7), from(8), ...again, ...again, ...again, all, from(7), from(9)],
      ]);
    });
  });

  it('is current again soon after the API server was killed and came back', async () => {
    api.set('default/web', a('one'));
    await started({ sleep: (ms, signal) => delay(ms, undefined, { signal }) });
    await api.die();
    await vi.waitFor(() => expect(cache.connected).toBe(false));
    api.set('default/web', a('two'));
    await delay(1_000);
    expect(await annotations('web')).toEqual(a('one'));
    await api.listen();
    await connectedAgain(2);
    await applied('web', a('two'));
    expect(api.asked.list.length).toBe(1);
  });

  it('stops in every state, and can start again', async () => {
    api.script.list = () => true;
    create().start();
    await vi.waitFor(() => expect(api.asked.list.length).toBe(1));
    await cache.stop();
    api.script = {};
    cache.start();
    await connectedAgain(1);
    await cache.stop();
    expect([cache.connected, cache.hasSynced]).toEqual([false, true]);
    await vi.waitFor(() => expect(api.watches.size).toBe(0));
  });
});

describe('get', () => {
  it('reads live what it does not have, and says so when nobody has it', async () => {
    await started();
    api.watches.clear();
    api.set('default/new', a('x'));
    expect(await cache.get('default', 'new')).toEqual({
      found: true,
      serviceAccount: { namespace: 'default', name: 'new', annotations: a('x') },
      source: 'live',
    });
    expect(await cache.get('default', 'none')).toEqual({ found: false, source: 'live' });
    expect(await cache.get('default', 'none')).toEqual({ found: false, source: 'live' });
    expect(api.asked.get.map((url) => url.pathname)).toEqual([
      '/api/v1/namespaces/default/serviceaccounts/new',
      '/api/v1/namespaces/default/serviceaccounts/none',
      '/api/v1/namespaces/default/serviceaccounts/none',
    ]);
    expect([lookups, cache.size]).toEqual([{ live: 1, not_found: 2 }, 0]);
  });

  it('finds each of 200 that were created just before', async () => {
    await started();
    for (let i = 0; i < 200; i++) {
      api.set(`default/sa-${i}`, a(`${i}`));
      expect(await annotations(`sa-${i}`)).toEqual(a(`${i}`));
    }
  });

  it('sees an annotation that follows a creation faster than the watch tells', async () => {
    await started();
    api.set('default/web');
    await vi.waitFor(() => expect(cache.size).toBe(1));
    api.watches.clear();
    api.set('default/web', a('x'));
    expect(await annotations('web')).toEqual(a('x'));
    ahead += 1_001;
    expect(await cache.get('default', 'web')).toMatchObject({ source: 'cache', serviceAccount: { annotations: {} } });
  });

  it('asks the API server first while the watch is interrupted', async () => {
    api.set('default/web', a('one'));
    await started();
    api.script.watch = () => true;
    for (const watch of api.watches) watch.destroy();
    await vi.waitFor(() => expect(cache.connected).toBe(false));
    api.set('default/web', a('two'));
    expect(await cache.get('default', 'web')).toMatchObject({
      source: 'live',
      serviceAccount: { annotations: a('two') },
    });
    api.remove('default/web');
    expect(await cache.get('default', 'web')).toEqual({ found: false, source: 'live' });
  });

  it('falls back to what it has when the API server is away, and then does not wait again for a second', async () => {
    api.set('default/web', a('one'));
    await started({ lookupTimeoutMs: 300 });
    api.script = { watch: () => true, get: () => true };
    for (const watch of api.watches) watch.destroy();
    await vi.waitFor(() => expect(cache.connected).toBe(false));
    for (let i = 0; i < 20; i++) expect(await cache.get('default', 'web')).toMatchObject({ source: 'cache' });
    expect(api.asked.get.length).toBe(1);
    ahead += 1_001;
    await cache.get('default', 'web');
    expect(api.asked.get.length).toBe(2);
    await expect(cache.get('default', 'other')).rejects.toBeInstanceOf(ServiceAccountUnavailable);
  });

  it.each([
    ['nobody listens', undefined],
    ['it is silent', () => true],
    ['it answers 403', (_, r) => Boolean(r.writeHead(403).end('secret'))],
    ['it answers 500', (_, r) => Boolean(r.writeHead(500).end('secret'))],
    ['it redirects', (_, r) => Boolean(r.writeHead(302, { location: '/' }).end())],
    ['a 404 is not its own', (_, r) => Boolean(r.writeHead(404).end('{}'))],
    ['the answer is no JSON', (_, r) => Boolean(r.end('secret'))],
    ['the answer is something else', (_, r) => Boolean(r.end('{"kind":"Pod"}'))],
  ] as [string, Answer | undefined][])('is unavailable within the time limit when %s', async (_, answer) => {
    create({ lookupTimeoutMs: 150 });
    if (answer === undefined) await api.die();
    else api.script.get = answer;
    const began = performance.now();
    const error = (await cache.get('default', 'web').catch((reason: unknown) => reason)) as ServiceAccountUnavailable;
    expect(performance.now() - began).toBeLessThan(2_000);
    expect(error).toBeInstanceOf(ServiceAccountUnavailable);
    expect([error.status, error.message]).toEqual([503, 'ServiceAccount default/web cannot be read at the moment']);
    expect(lookups).toEqual({ error: 1 });
  });

  it.each(['', '.', '..', 'a/b', 'a b', 'UPPER', '-a', 'a..b', 'ä', 'a'.repeat(254), '../../secrets/x'])(
    'does not ask for a name that no ServiceAccount can have: %j',
    async (name) => {
      create();
      expect(await cache.get('default', name)).toEqual({ found: false, source: 'live' });
      expect(await cache.get(name.slice(0, 64), 'default').then((lookup) => lookup.found)).toBe(false);
      expect(api.asked).toEqual({ list: [], watch: [], get: [] });
    },
  );

  it('shares reads of one ServiceAccount, but none that began before the caller came', async () => {
    create();
    const held: (() => void)[] = [];
    api.script.get = (_, response) => {
      // What the server knew when it was asked.
      held.push(() => response.writeHead(404).end('{"reason":"NotFound"}'));
      return true;
    };
    const first = cache.get('default', 'web');
    await vi.waitFor(() => expect(held.length).toBe(1));
    api.set('default/web', a('x'));
    const later = Array.from({ length: 50 }, () => cache.get('default', 'web'));
    delete api.script.get;
    held[0]?.();
    expect((await first).found).toBe(false);
    expect((await Promise.all(later)).every((lookup) => lookup.found)).toBe(true);
    expect(api.asked.get.length).toBe(2);
  });

  it('reads at most 64 at a time', async () => {
    create({ lookupTimeoutMs: 10_000 });
    const held: ServerResponse[] = [];
    api.script.get = (_, response) => held.push(response) > 0;
    const reads = Array.from({ length: 200 }, (_, i) => cache.get('default', `sa-${i}`));
    await vi.waitFor(() => expect(held.length).toBe(64), 4_000);
    await delay(50);
    expect(held.length).toBe(64);
    api.script.get = (_, response) => Boolean(response.end('{"kind":"ServiceAccount"}'));
    for (const response of held) response.end('{"kind":"ServiceAccount"}');
    expect((await Promise.all(reads)).every(({ found }) => found)).toBe(true);
    expect(lookups).toEqual({ live: 200 });
  });

  it('lets nobody wait beyond the time limit for a place, and no place is lost', async () => {
    create({ lookupTimeoutMs: 300 });
    api.script.get = () => true;
    const began = performance.now();
    const reads = Array.from({ length: 200 }, (_, i) => cache.get('default', `sa-${i}`));
    expect((await Promise.allSettled(reads)).every(({ status }) => status === 'rejected')).toBe(true);
    expect(performance.now() - began).toBeLessThan(2_000);
    expect(api.asked.get.length).toBeLessThanOrEqual(64);
    api.script = {};
    api.set('default/web', a('x'));
    await vi.waitFor(async () => expect(await annotations('web')).toEqual(a('x')), 4_000);
  });
});
