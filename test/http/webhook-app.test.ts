import { randomUUID } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { Agent, request } from 'node:https';
import { connect } from 'node:tls';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { CertifiedKey } from '../../src/certificate.ts';
import { createMetrics } from '../../src/runtime/metrics.ts';
import { type Service, startService } from '../../src/runtime/service.ts';
import { createWebhookApp } from '../../webhook/app.ts';
import { createBodyReader } from '../../webhook/body.ts';
import { createReviewer } from '../../webhook/reviewer.ts';
import { startWebhook } from '../../webhook/server.ts';
import { type ServiceAccountSource, ServiceAccountUnavailable } from '../../webhook/service-accounts.ts';
import { serverCertificate, testCa } from '../unit/tls-material.ts';

const MiB = 1024 * 1024;
/** What a piece of a body is held to take beside its bytes. */
const PIECE = 512;
const SECRET = 'eyJhbGciOiJSUzI1NiJ9.not-for-the-log';
const SETTINGS = { annotationPrefix: 'podpass.dev', mountPath: '/tokens', tokenExpiration: 3600, presets: [] };

let ca: CertifiedKey;
let pair: CertifiedKey & { notBefore: number; notAfter: number };
beforeAll(() => {
  ca = testCa();
  pair = { ...serverCertificate(ca), notBefore: Date.now(), notAfter: Date.now() + 3_600_000 };
});

let service: Service;
let metrics: ReturnType<typeof createMetrics>;
let logged: string[];
let agent: Agent;
/** What the ServiceAccount `app` of every namespace says; tests may put another source in its place. */
let source: ServiceAccountSource;
let reserved: Set<string>;

const note = (fields: object, message: string) =>
  void logged.push(
    `${message} ${JSON.stringify(fields, (_, value) => (value instanceof Error ? `${value.stack} ${value.cause}` : value))}`,
  );
const log = { debug: note, info: note, warn: note, error: note };
const listening = () => ({ address: '127.0.0.1', port: 0, metricsPort: 0, metrics, pair, log });

beforeEach(async () => {
  logged = [];
  reserved = new Set();
  metrics = createMetrics('webhook');
  agent = new Agent({ ca: ca.cert, keepAlive: true });
  source = {
    get: async (namespace, name) => ({
      found: true,
      source: 'cache',
      serviceAccount: { namespace, name, annotations: {} },
    }),
  };
  service = await startWebhook({
    ...listening(),
    settings: () => ({ ...SETTINGS, reservedAudiences: reserved }),
    serviceAccounts: { get: (namespace, name) => source.get(namespace, name) },
    synced: () => true,
  });
});
afterEach(async () => {
  agent.destroy();
  await service.stop(0);
  expect(logged.join('\n')).not.toContain(SECRET);
});

/** Starts the app with limits of its own in place of the webhook. */
async function restart(maxBody: number, maxInFlight: number): Promise<void> {
  await service.stop(0);
  const handler = createWebhookApp({
    review: createReviewer({
      serviceAccounts: { get: (namespace, name) => source.get(namespace, name) },
      settings: () => ({ ...SETTINGS, reservedAudiences: reserved }),
    }),
    onAdmission: (result) => metrics.count('podpass_admission_requests_total', { result }),
    log,
    bodies: createBodyReader(maxBody, maxInFlight),
  });
  service = await startService({ ...listening(), handler, checks: () => [] });
}

interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: the tests look into any answer
  readonly json: any;
}

interface Ask {
  readonly method?: string;
  readonly path?: string;
  readonly headers?: Record<string, string>;
  readonly body?: string | Buffer;
  /** Sends the body in pieces, without its length. */
  readonly chunked?: boolean;
}

function ask({ method = 'POST', path = '/mutate', headers = {}, body = '', chunked = false }: Ask): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const length = chunked ? {} : { 'content-length': String(Buffer.byteLength(body)) };
    const outgoing = request(
      {
        host: '127.0.0.1',
        port: service.port,
        agent,
        method,
        path,
        headers: { 'content-type': 'application/json', ...length, ...headers },
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk)).on('error', reject);
        response.on('end', () => {
          const text = Buffer.concat(chunks).toString();
          const json = text.startsWith('{') ? JSON.parse(text) : undefined;
          resolve({ status: response.statusCode ?? 0, headers: response.headers, text, json });
        });
      },
    );
    outgoing.on('error', reject);
    if (!chunked) outgoing.end(body);
    else {
      const bytes = Buffer.from(body);
      for (let at = 0; at < bytes.length; at += 64 * 1024) outgoing.write(bytes.subarray(at, at + 64 * 1024));
      outgoing.end();
    }
  });
}

/** What the server sends for these bytes until the connection ends; `then` happens once they are on their way. */
function raw(text: string, then: (socket: ReturnType<typeof connect>) => void = () => {}): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port: service.port, ca: ca.cert }, () => {
      socket.write(text);
      then(socket);
    });
    let answer = '';
    socket.on('data', (chunk) => {
      answer += chunk;
    });
    socket.on('error', () => {}).on('close', () => resolve(answer));
  });
}

const pod = (annotations: object = {}, spec: object = {}) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'web', annotations },
  spec: { serviceAccountName: 'app', containers: [{ name: 'web', env: [{ name: 'SECRET', value: SECRET }] }], ...spec },
});
const VAULT = { 'podpass.dev/audiences': 'vault' };

function review(object: unknown, more: object = {}, shell: object = {}) {
  const uid = randomUUID();
  const kind = { group: '', version: 'v1', kind: 'Pod' };
  const resource = { group: '', version: 'v1', resource: 'pods' };
  const admission = { uid, kind, resource, namespace: 'shop', operation: 'CREATE', object, oldObject: null, ...more };
  return {
    uid,
    body: JSON.stringify({ kind: 'AdmissionReview', apiVersion: 'admission.k8s.io/v1', request: admission, ...shell }),
  };
}

const JSON_HEADERS = { 'content-type': 'application/json', 'content-length': expect.stringMatching(/^\d+$/) };
const fault = (code: string) => ({ error: { code, message: expect.stringMatching(/\S/) } });

async function admissions(result: string): Promise<number> {
  const { text } = await metrics.expose();
  return Number(new RegExp(`^podpass_admission_requests_total\\{result="${result}"\\} (\\d+)$`, 'm').exec(text)?.[1]);
}

describe('an answer', () => {
  test('is a review with the uid and the patch', async () => {
    const { uid, body } = review(pod(VAULT));
    const reply = await ask({ path: '/mutate?timeout=10s', body });
    expect(reply.status).toBe(200);
    expect(reply.headers).toMatchObject(JSON_HEADERS);
    expect(reply.headers['content-length']).toBe(String(Buffer.byteLength(reply.text)));
    expect(reply.json).toEqual({
      apiVersion: 'admission.k8s.io/v1',
      kind: 'AdmissionReview',
      response: {
        uid,
        allowed: true,
        patchType: 'JSONPatch',
        patch: expect.any(String),
        auditAnnotations: { tokens: expect.stringContaining('vault') },
      },
    });
    expect(JSON.parse(Buffer.from(reply.json.response.patch, 'base64').toString())).toEqual([
      {
        op: 'add',
        path: '/spec/volumes',
        value: [
          {
            name: 'podpass-tokens',
            projected: {
              sources: [{ serviceAccountToken: { audience: 'vault', expirationSeconds: 3600, path: 'vault' } }],
            },
          },
        ],
      },
      {
        op: 'add',
        path: '/spec/containers/0/volumeMounts',
        value: [{ name: 'podpass-tokens', mountPath: '/tokens', readOnly: true }],
      },
      { op: 'add', path: '/metadata/annotations/podpass.dev~1injected', value: 'vault' },
    ]);
    expect(await admissions('injected')).toBe(1);
  });

  test('to a Pod that asks for nothing has nothing but uid and allowed', async () => {
    const { uid, body } = review(pod());
    expect((await ask({ body })).json).toEqual({
      apiVersion: 'admission.k8s.io/v1',
      kind: 'AdmissionReview',
      response: { uid, allowed: true },
    });
    expect(await admissions('unchanged')).toBe(1);
  });

  test('to a mistake is 200, not allowed, code 422, with every problem and warning', async () => {
    reserved.add('apiserver');
    const { uid, body } = review(
      pod({ 'podpass.dev/audiences': 'apiserver', 'podpass.dev/expiration': '5m', 'podpass.dev/x': '' }),
    );
    const reply = await ask({ body });
    expect(reply.status).toBe(200);
    expect(reply.json.response).toEqual({
      uid,
      allowed: false,
      status: expect.objectContaining({
        code: 422,
        message: expect.stringMatching(/"apiserver"(.|\n)*"5m"|"5m"(.|\n)*"apiserver"/),
      }),
      warnings: [expect.stringContaining('podpass.dev/x')],
    });
    expect(await admissions('denied')).toBe(1);
  });

  test('carries warnings', async () => {
    const { body } = review(pod({ ...VAULT, 'podpass.dev/audiance': 'x' }));
    expect((await ask({ body })).json.response).toMatchObject({
      allowed: true,
      warnings: [expect.stringContaining('audiance')],
    });
  });

  test('to a dry run is the same', async () => {
    const replies = [];
    for (const dryRun of [false, true])
      replies.push((await ask({ body: review(pod(VAULT), { dryRun, uid: 'u' }).body })).text);
    expect(replies[1]).toBe(replies[0]);
  });

  test('to what is no creation of a Pod is allowed, without patch', async () => {
    for (const more of [
      { operation: 'UPDATE' },
      { operation: 'DELETE', object: null },
      { subResource: 'status' },
      { kind: { group: 'apps', version: 'v1', kind: 'Deployment' } },
    ]) {
      const { uid, body } = review(pod(VAULT), more);
      expect((await ask({ body })).json.response).toEqual({ uid, allowed: true });
    }
  });

  test('to a Pod whose ServiceAccount is not there is allowed, with a warning', async () => {
    source = { get: async () => ({ found: false, source: 'live' }) };
    const { uid, body } = review(pod(VAULT));
    expect((await ask({ body })).json.response).toEqual({
      uid,
      allowed: true,
      warnings: [expect.stringContaining('shop/app')],
    });
  });

  test.each([
    'application/json; charset=utf-8',
    'application/json;charset=UTF-8',
    'Application/JSON',
    'application/json ; q=1',
  ])('is given to Content-Type %s', async (type) => {
    expect((await ask({ headers: { 'content-type': type }, body: review(pod()).body })).status).toBe(200);
  });

  test('is given to a chunked body, and to several on one connection', async () => {
    for (let i = 0; i < 3; i++) {
      const reply = await ask({ chunked: true, body: review(pod(VAULT)).body });
      expect([reply.status, reply.headers.connection]).toEqual([200, 'keep-alive']);
    }
  });

  test('is given to the largest review that the API server makes', async () => {
    const padding = '\\u003c'.repeat(3 * MiB);
    const body = review(pod(VAULT)).body.replace(SECRET, padding);
    expect(Buffer.byteLength(body)).toBeGreaterThan(17 * MiB);
    const reply = await ask({ body });
    expect([reply.status, reply.json.response.allowed]).toEqual([200, true]);
  });

  test('is given to keys of JavaScript, keys that stand twice, and deep nesting', async () => {
    const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`;
    const { uid, body } = review(
      pod({ ...VAULT, '__proto__%': 'x', constructor: 'y' }, { hasOwnProperty: 1, deep: '%' }),
    );
    const text = body
      .replace('__proto__%', '__proto__')
      .replace('"deep":"%"', `"deep":${deep},"__proto__":{"volumes":[]}`)
      .replace('"operation":"CREATE"', '"operation":"DELETE","operation":"CREATE"');
    const reply = await ask({ body: text });
    expect([reply.status, reply.json?.response]).toEqual([
      200,
      expect.objectContaining({ uid, allowed: true, patch: expect.any(String) }),
    ]);
    expect(({} as { volumes?: unknown }).volumes).toBeUndefined();
  });
});

describe('a refusal', () => {
  test.each(['/', '/mutate/', '/mutat', '/healthz', '/metrics', '//mutate', '/Mutate'])(
    'of the path %s is 404',
    async (path) => {
      const reply = await ask({ path, body: review(pod()).body });
      expect([reply.status, reply.json]).toEqual([404, fault('not_found')]);
      expect(reply.headers).toMatchObject(JSON_HEADERS);
    },
  );

  test.each(['GET', 'PUT', 'DELETE', 'OPTIONS', 'PATCH'])('of the method %s is 405 with Allow', async (method) => {
    const reply = await ask({ method });
    expect([reply.status, reply.json, reply.headers.allow]).toEqual([405, fault('method_not_allowed'), 'POST']);
    expect(reply.headers).toMatchObject(JSON_HEADERS);
  });

  test('of HEAD is 405 without a body', async () => {
    const reply = await ask({ method: 'HEAD' });
    expect([reply.status, reply.text, reply.headers.allow]).toEqual([405, '', 'POST']);
  });

  test.each([
    'text/plain',
    'application/yaml',
    'application/jsonp',
    'application/json-patch+json',
    '',
    'json',
    'text/plain; application/json',
  ])('of Content-Type %j is 415', async (type) => {
    const reply = await ask({ headers: { 'content-type': type }, body: review(pod()).body });
    expect([reply.status, reply.json]).toEqual([415, fault('unsupported_media_type')]);
    expect(reply.headers).toMatchObject(JSON_HEADERS);
  });

  test('of a compressed body is 415', async () => {
    expect((await ask({ headers: { 'content-encoding': 'gzip' }, body: review(pod()).body })).status).toBe(415);
    expect((await ask({ headers: { 'content-encoding': 'identity' }, body: review(pod()).body })).status).toBe(200);
  });

  const bad: [string, string | Buffer][] = [
    ['empty', ''],
    ['not JSON', `{"${SECRET}`],
    ['not UTF-8', Buffer.concat([Buffer.from('"'), Buffer.from([0xff, 0xfe]), Buffer.from('"')])],
    ['a v1beta1 review', review(pod(VAULT), {}, { apiVersion: 'admission.k8s.io/v1beta1' }).body],
    ['another kind', review(pod(VAULT), {}, { kind: SECRET }).body],
    ['a review with a null request', review(pod(VAULT), {}, { request: null }).body],
    ['a request without uid', review(pod(VAULT), { uid: undefined }).body],
    ['a creation without a Pod', review(null).body],
    ['a creation of a text', review(SECRET).body],
    ['a creation of another object', review({ kind: 'Pod', spec: SECRET }).body],
    ['a list', '[]'],
    ['null', 'null'],
  ];
  test.each(bad)('of a body that is %s is 400', async (_, body) => {
    const reply = await ask({ body });
    expect([reply.status, reply.json]).toEqual([400, fault('bad_request')]);
    expect(reply.headers).toMatchObject(JSON_HEADERS);
    expect(reply.text).not.toContain(SECRET);
    expect(await admissions('error')).toBe(1);
  });

  test.each([false, true])(
    'of a body over 20 MiB is 413, which its sender gets to see (chunked: %s)',
    async (chunked) => {
      const body = Buffer.alloc(20 * MiB + 1, ' ');
      const reply = await ask({ body, chunked });
      expect([reply.status, reply.json]).toEqual([413, fault('payload_too_large')]);
      expect((await ask({ body: review(pod()).body })).status).toBe(200);
    },
  );

  test('of a body of 20 MiB is for its content alone', async () => {
    const { body } = review(pod());
    expect((await ask({ body: `${body}${' '.repeat(20 * MiB - Buffer.byteLength(body))}` })).status).toBe(200);
  });

  test('under overload is 429 with Retry-After, and ends with it', async () => {
    const { body } = review(pod(VAULT));
    await restart(MiB, (body.length + PIECE) * 1.5);
    let release = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const entered = new Promise<void>((enter) => {
      source = {
        async get(namespace, name) {
          enter();
          await held;
          return { found: true, source: 'cache', serviceAccount: { namespace, name, annotations: {} } };
        },
      };
    });
    const first = ask({ body });
    await entered;
    const second = await ask({ body });
    expect([second.status, second.json, second.headers['retry-after']]).toEqual([429, fault('overloaded'), '1']);
    release();
    expect((await first).status).toBe(200);
    expect((await ask({ body })).status).toBe(200);
  });

  test('while nobody can tell the ServiceAccount is 503', async () => {
    source = {
      get: (namespace, name) =>
        Promise.reject(new ServiceAccountUnavailable(namespace, name, new Error('connect refused'))),
    };
    const reply = await ask({ body: review(pod(VAULT)).body });
    expect([reply.status, reply.json]).toEqual([503, fault('unavailable')]);
    expect(reply.text).not.toContain('refused');
    expect(logged.join('\n')).toContain('connect refused');
    expect(await admissions('error')).toBe(1);
  });

  test('for a fault of ours is 500, and says nothing of it', async () => {
    source = { get: () => Promise.reject(new Error('inner workings')) };
    const reply = await ask({ body: review(pod(VAULT)).body });
    expect([reply.status, reply.json]).toEqual([500, fault('internal')]);
    expect(reply.text).not.toContain('inner workings');
    expect(logged.join('\n')).toContain('inner workings');
  });
});

describe('a connection', () => {
  const head = (length: string) =>
    `POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n${length}\r\n\r\n`;
  const alive = async () => expect((await ask({ body: review(pod()).body })).status).toBe(200);

  test('that is cut within a body does no harm', async () => {
    await raw(`${head('Content-Length: 1000')}{"a": "${SECRET}`, (socket) => setTimeout(() => socket.destroy(), 50));
    await alive();
    await expect.poll(() => admissions('error')).toBe(1);
  });

  test('that ends within a body is answered 400 or closed', async () => {
    const answer = await raw(`${head('Content-Length: 1000')}{"a": "${SECRET}`, (socket) =>
      setTimeout(() => socket.end(), 50),
    );
    expect(answer === '' || answer.startsWith('HTTP/1.1 400 ')).toBe(true);
    await alive();
  });

  test('with a broken chunk is answered 400', async () => {
    const answer = await raw(`${head('Transfer-Encoding: chunked')}5\r\n{"a":\r\nnonsense\r\n`);
    expect(answer).toMatch(/^HTTP\/1\.1 400 /);
    expect(answer).toContain('"bad_request"');
    await alive();
  });

  test('that sends no HTTP is closed', async () => {
    expect(await raw('\0\0\0\0\r\n\r\n')).toMatch(/^(HTTP\/1\.1 400 |$)/);
    await alive();
  });

  test('is asked to close from the moment of drain on, while every request is still answered', async () => {
    const { body } = review(pod(VAULT));
    expect((await ask({ body })).headers.connection).toBe('keep-alive');
    service.drain();
    for (const each of [{ body }, { body: '' }, { method: 'GET' }]) {
      const reply = await ask(each);
      expect(reply.headers.connection).toBe('close');
      expect(reply.status).toBeLessThan(500);
    }
  });

  test('is asked to close by the answer to a request that came before the drain', async () => {
    const { get } = source;
    source = {
      get(...of) {
        service.drain();
        return get(...of);
      },
    };
    const reply = await ask({ body: review(pod(VAULT)).body });
    expect([reply.status, reply.headers.connection]).toEqual([200, 'close']);
  });

  test('is HTTP/1.1 over TLS 1.2 or newer, and is kept longer than the API server keeps it', async () => {
    const reply = await ask({ body: review(pod()).body });
    expect(reply.headers['keep-alive']).toBe('timeout=120');
    const protocol = await new Promise((resolve) => {
      const socket = connect(
        { host: '127.0.0.1', port: service.port, ca: ca.cert, ALPNProtocols: ['h2', 'http/1.1'] },
        () => {
          resolve([socket.alpnProtocol, socket.getProtocol()]);
          socket.destroy();
        },
      );
    });
    expect(protocol).toEqual(['http/1.1', 'TLSv1.3']);
    await expect(
      new Promise((resolve, reject) =>
        connect(
          {
            host: '127.0.0.1',
            port: service.port,
            ca: ca.cert,
            maxVersion: 'TLSv1.1',
            minVersion: 'TLSv1',
            ciphers: 'ALL@SECLEVEL=0',
          },
          () => resolve(true),
        ).on('error', reject),
      ),
    ).rejects.toThrow();
  });

  test('uses a new pair from its next handshake on', async () => {
    const next = testCa();
    await alive();
    service.usePair({ ...serverCertificate(next), notBefore: 1_900_000_000_000, notAfter: 2_000_000_000_000 });
    await alive();
    agent.destroy();
    agent = new Agent({ ca: next.cert });
    await alive();
    expect((await metrics.expose()).text).toContain('podpass_certificate_expiry_timestamp_seconds 2000000000');
  });
});

test('the log names uid and result of a denied Pod, and no body', async () => {
  const { uid, body } = review(pod({ 'podpass.dev/expiration': '5m' }));
  await ask({ body });
  expect(logged.join('\n')).toContain(uid);
  expect(logged.join('\n')).toContain('denied');
});
