import { createServer, type IncomingHttpHeaders, request, type Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createDiscoveryApp, type DiscoveryAppOptions } from '../../discovery/app.ts';
import { createDocument, createDocuments, type Documents } from '../../discovery/document.ts';
import { createRoutes, type ServedIssuer } from '../../discovery/routes.ts';
import { ec, published, rsa } from '../unit/key-material.ts';

const ISSUER = 'https://issuer.example.com';
const KEYS = [published(rsa()), published(ec())];
const DOCUMENTS = createDocuments(ISSUER, KEYS);
const METADATA = '/.well-known/openid-configuration';
const JWKS_PATHS = ['/openid/v1/jwks', '/.well-known/jwks.json', '/keys.json'];
const CACHE = 'public, max-age=300, stale-while-revalidate=3600, stale-if-error=86400';
const EVERYWHERE = { 'access-control-allow-origin': '*', 'x-content-type-options': 'nosniff' };
const NOT_FOUND = '{"error":{"code":"not_found","message":"there is no such document"}}';

let server: Server | undefined;
let documents: Documents | undefined;
let counted: string[];
let logged: unknown[];
beforeEach(() => {
  documents = DOCUMENTS;
  counted = [];
  logged = [];
});
afterEach(async () => {
  server?.closeAllConnections();
  await new Promise((resolve) => server?.close(resolve));
  server = undefined;
});

async function listen(options: Partial<DiscoveryAppOptions & ServedIssuer> = {}): Promise<void> {
  const note = (fields: object, message: string) => logged.push([message, fields]);
  const routes = createRoutes([{ issuer: ISSUER, documents: () => documents, cacheMaxAgeSeconds: 300, ...options }]);
  const app = createDiscoveryApp({
    routes: () => routes,
    complete: () => true,
    log: { debug: note, info: note, warn: note, error: note },
    onRequest: (path, code) => counted.push(`${path} ${code}`),
    ...options,
  });
  server = createServer(app);
  await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve));
}

interface Reply {
  readonly status: number;
  /** Without those of the connection. */
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

function port(): number {
  const address = server?.address() as AddressInfo | null | undefined;
  if (!address) throw new Error('no server is listening');
  return address.port;
}

function ask(path: string, headers: Record<string, string> = {}, method = 'GET', body?: string): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ host: '127.0.0.1', port: port(), path, method, headers, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => {
        const { date, connection, 'keep-alive': _, ...rest } = response.headers;
        expect(date).toMatch(/ GMT$/);
        expect(connection).toMatch(/^(close|keep-alive)$/);
        resolve({ status: response.statusCode ?? 0, headers: rest, body: Buffer.concat(chunks) });
      });
    });
    outgoing.on('error', reject).end(body);
  });
}

/** What the server sends for these bytes, until it closes. */
function raw(lines: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port(), '127.0.0.1', () => socket.write(Buffer.from(lines, 'latin1')));
    let answer = '';
    socket.setEncoding('latin1').on('data', (chunk: string) => {
      answer += chunk;
    });
    socket.on('close', () => resolve(answer)).on('error', reject);
  });
}

const get = (target: string, method = 'GET') =>
  raw(`${method} ${target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
const statusOf = (answer: string) => Number(/^HTTP\/1\.1 (\d+)/.exec(answer)?.[1]);

describe('a document', () => {
  test('metadata: exactly these headers and bytes', async () => {
    await listen();
    expect(await ask(METADATA)).toEqual({
      status: 200,
      headers: {
        ...EVERYWHERE,
        'content-type': 'application/json',
        'content-length': String(DOCUMENTS.metadata.bytes.length),
        'cache-control': CACHE,
        etag: DOCUMENTS.metadata.etag,
      },
      body: DOCUMENTS.metadata.bytes,
    });
  });

  test.each(JWKS_PATHS)('the JWK Set at %s: exactly these headers and bytes', async (path) => {
    await listen();
    expect(await ask(path)).toEqual({
      status: 200,
      headers: {
        ...EVERYWHERE,
        'content-type': 'application/jwk-set+json',
        'content-length': String(DOCUMENTS.jwks.bytes.length),
        'cache-control': CACHE,
        etag: DOCUMENTS.jwks.etag,
      },
      body: DOCUMENTS.jwks.bytes,
    });
  });

  test.each([METADATA, ...JWKS_PATHS])('HEAD of %s: the headers of GET, no body', async (path) => {
    await listen();
    const { status, headers } = await ask(path);
    expect(await ask(path, {}, 'HEAD')).toEqual({ status, headers, body: Buffer.alloc(0) });
  });

  test.each([
    ['Accept', 'text/html, image/gif, image/jpeg, */*; q=0.2'],
    ['Accept', 'application/xml;q=1, */*;q=0'],
    ['Accept-Encoding', 'gzip, br, zstd'],
    ['Accept-Encoding', 'identity;q=0, gzip'],
    ['Accept-Language', 'de'],
    ['Host', 'evil.example'],
    ['X-Forwarded-Host', 'evil.example'],
    ['X-Forwarded-Proto', 'http'],
    ['X-Forwarded-Prefix', '/evil'],
    ['Forwarded', 'host=evil.example;proto=http'],
    ['X-Original-URL', '/evil'],
    ['X-HTTP-Method-Override', 'DELETE'],
    ['Cache-Control', 'no-cache'],
    ['Range', 'bytes=0-9'],
    ['If-Modified-Since', 'Fri, 01 Jan 2100 00:00:00 GMT'],
    ['Cookie', 'a=b'],
    ['Authorization', 'Bearer x'],
    ['Origin', 'https://app.example'],
  ])('the same answer whatever the request says: %s: %s', async (name, value) => {
    await listen();
    for (const path of [METADATA, '/openid/v1/jwks']) {
      expect(await ask(path, { [name]: value })).toEqual(await ask(path));
    }
  });

  test('a query says nothing', async () => {
    await listen();
    for (const query of ['?', '?format=yaml', '?a=%ZZ', '?/../x', '??', '?__proto__[a]=1']) {
      expect(await ask(METADATA + query)).toEqual(await ask(METADATA));
    }
  });

  test('the bytes are the document, whatever characters they are of', async () => {
    await listen();
    const { metadata } = DOCUMENTS;
    for (const kid of ['schlüssel €', '🔑', '\u0000\u007f\u0080\u00ff\u0100']) {
      documents = { metadata, jwks: createDocument({ keys: [{ kid }] }, 'application/jwk-set+json') };
      const { headers, body } = await ask('/keys.json');
      expect([headers['content-length'], body]).toEqual([String(body.length), documents.jwks.bytes]);
      expect(JSON.parse(body.toString()).keys[0].kid).toBe(kid);
      expect((await ask('/keys.json', {}, 'HEAD')).body).toHaveLength(0);
    }
  });

  test('another max-age', async () => {
    await listen({ cacheMaxAgeSeconds: 0 });
    expect((await ask(METADATA)).headers['cache-control']).toBe(CACHE.replace('300', '0'));
  });

  test('the next request gets the next documents, and the answer under way its own', async () => {
    await listen();
    documents = createDocuments(ISSUER, [published(ec('P-521'))]);
    expect((await ask('/keys.json')).body).toEqual(documents.jwks.bytes);
    expect((await ask('/keys.json', { 'If-None-Match': DOCUMENTS.jwks.etag })).status).toBe(200);
  });
});

describe('If-None-Match', () => {
  const own = DOCUMENTS.jwks.etag;

  test.each([
    ['the tag', own],
    ['the tag as a weak one', `W/${own}`],
    ['one of several', `"a", W/"b,c" ,${own},"d"`],
    ['any', '*'],
    ['any, with blanks', ' * '],
    ['empty items', `, ,${own},`],
    ['a tag with a comma and one with a star before it', `"a,b", W/"*", ${own}`],
    ['twice', `${own}, ${own}`],
    ['without blanks', `"a",W/${own},"b"`],
  ])('%s: 304 without a body and without what describes one', async (_, value) => {
    await listen();
    for (const method of ['GET', 'HEAD']) {
      expect(await ask('/openid/v1/jwks', { 'If-None-Match': value }, method)).toEqual({
        status: 304,
        headers: { ...EVERYWHERE, 'cache-control': CACHE, etag: own },
        body: Buffer.alloc(0),
      });
    }
  });

  test.each([
    ['another tag', '"a"'],
    ['the tag of the other document', DOCUMENTS.metadata.etag],
    ['the tag without its quotes', own.slice(1, -1)],
    ['a part of the tag', `${own.slice(0, -2)}"`],
    ['nothing', ''],
    ['a star among others', `"a", *`],
    ['a star in quotes', '"*"'],
    ['an open quote', '"'],
    ['an open quote before the tag', `"a, ${own}`],
    ['the tag in another one', `"${own.slice(1, -1)}-gzip"`],
    ['the tag in other letters', own.toUpperCase() === own ? own.toLowerCase() : own.toUpperCase()],
  ])('%s: 200', async (_, value) => {
    await listen();
    expect(await ask('/openid/v1/jwks', { 'If-None-Match': value })).toEqual(await ask('/openid/v1/jwks'));
  });

  test('in several fields', async () => {
    await listen();
    const answer = await raw(
      `GET /openid/v1/jwks HTTP/1.1\r\nHost: x\r\nConnection: close\r\nIf-None-Match: "a"\r\nIf-None-Match: ${own}\r\n\r\n`,
    );
    expect(statusOf(answer)).toBe(304);
    expect(answer.toLowerCase()).not.toMatch(/^(content-|transfer-encoding)/m);
    expect(answer.endsWith('\r\n\r\n')).toBe(true);
  });
});

describe('other methods', () => {
  test.each([METADATA, ...JWKS_PATHS])('OPTIONS of %s answers a preflight', async (path) => {
    await listen();
    const preflight = { Origin: 'https://app.example', 'Access-Control-Request-Method': 'GET' };
    for (const headers of [preflight, {}]) {
      expect(await ask(path, headers, 'OPTIONS')).toEqual({
        status: 204,
        headers: {
          ...EVERYWHERE,
          allow: 'GET, HEAD, OPTIONS',
          'access-control-allow-methods': 'GET, HEAD, OPTIONS',
          'access-control-allow-headers': '*, Authorization',
          'access-control-max-age': '86400',
        },
        body: Buffer.alloc(0),
      });
    }
  });

  test.each(['POST', 'PUT', 'PATCH', 'DELETE', 'TRACE', 'PROPFIND', 'QUERY'])('%s is not allowed', async (method) => {
    await listen();
    const body = '{"error":{"code":"method_not_allowed","message":"accepted: GET, HEAD, OPTIONS"}}';
    for (const path of [METADATA, '/keys.json']) {
      expect(await ask(path, { 'If-None-Match': '*' }, method)).toEqual({
        status: 405,
        headers: {
          ...EVERYWHERE,
          allow: 'GET, HEAD, OPTIONS',
          'cache-control': 'no-store',
          'content-type': 'application/json',
          'content-length': String(body.length),
        },
        body: Buffer.from(body),
      });
    }
  });

  test('a body is not looked at', async () => {
    await listen();
    expect((await ask(METADATA, { 'Content-Type': 'application/json' }, 'POST', '{"a":')).status).toBe(405);
    expect((await ask(METADATA, {}, 'GET', 'x'.repeat(100_000))).status).toBe(200);
  });

  test('on other paths there is nothing for any of them', async () => {
    await listen();
    for (const method of ['POST', 'OPTIONS', 'DELETE']) expect((await ask('/', {}, method)).status).toBe(404);
  });
});

describe('nothing else is there', () => {
  test('exactly these headers and bytes', async () => {
    await listen();
    expect(await ask('/')).toEqual({
      status: 404,
      headers: {
        ...EVERYWHERE,
        'cache-control': 'no-store',
        'content-type': 'application/json',
        'content-length': String(NOT_FOUND.length),
      },
      body: Buffer.from(NOT_FOUND),
    });
  });

  test.each([
    '/.well-known',
    '/.well-known/',
    '/openid',
    '/openid/v1/jwks/',
    '/openid/v1/jwks/foo',
    '/openid/v1/JWKS',
    '/.Well-Known/openid-configuration',
    '/.well-known/openid-configuration/',
    '//openid/v1/jwks',
    '/openid//v1/jwks',
    '/openid/./v1/jwks',
    '/x/../openid/v1/jwks',
    '/openid/v1/%6awks',
    '/openid%2fv1/jwks',
    '/openid/v1/jwks%00',
    '/openid/v1/jwks%3F',
    '/openid/v1/jwks;a=b',
    '/openid/v1/jwks#a',
    '/openid\\v1\\jwks',
    '/%',
    '/%ZZ',
    '/%C0%AF',
    '/jwks',
    '/keys',
    '/healthz',
    '/metrics',
    '/favicon.ico',
    '/__proto__',
    '/constructor',
    '*',
    'http://x',
    'http://x?/openid/v1/jwks',
    'http:///openid/v1/jwks',
    'http://x//openid/v1/jwks',
    'http://x/y/../openid/v1/jwks',
    'http://[/',
    'http://a:b:c/',
    'ftp://x/openid/v1/jwks',
  ])('%s', async (target) => {
    await listen();
    const answer = await get(target);
    expect(statusOf(answer)).toBe(404);
    expect(answer.endsWith(`\r\n\r\n${NOT_FOUND}`)).toBe(true);
    expect(counted).toEqual(['other 404']);
    expect(logged).toEqual([]);
  });

  test('a target that is none is never a fault of ours', async () => {
    await listen();
    for (const target of [
      'openid/v1/jwks',
      '?',
      '/\u0000',
      '/\u00e4',
      '/a b',
      '',
      'javascript:x',
      'x'.repeat(20_000),
    ]) {
      expect([400, 404, 431]).toContain(statusOf(await get(target)));
    }
    expect(logged).toEqual([]);
  });

  test('the absolute form is understood, and its host means nothing (RFC 9112 section 3.2.2)', async () => {
    await listen();
    for (const origin of ['http://issuer.example.com', 'https://other:1', 'HTTP://u@[::1]:80']) {
      const answer = await get(`${origin}/openid/v1/jwks?a`);
      expect(answer).toContain(DOCUMENTS.jwks.bytes.toString());
    }
  });

  test('OPTIONS *', async () => {
    await listen();
    expect(statusOf(await get('*', 'OPTIONS'))).toBe(404);
  });
});

describe('odd requests', () => {
  const send = (lines: string[], version = '1.1') =>
    raw([`GET /openid/v1/jwks HTTP/${version}`, ...lines, '', ''].join('\r\n'));
  const parts = (answer: string) => {
    const [head = '', body = ''] = answer.split('\r\n\r\n');
    return { status: statusOf(head), fields: head.toLowerCase().split('\r\n').slice(1), body };
  };
  const JWKS = DOCUMENTS.jwks.bytes.toString();

  test('HTTP/1.0, without a Host: the whole document with its length, and the end of the connection', async () => {
    await listen();
    const { status, fields, body } = parts(await send([], '1.0'));
    expect([status, body]).toEqual([200, JWKS]);
    expect(fields).toContain(`content-length: ${JWKS.length}`);
    expect(fields).toContain('connection: close');
    expect(fields.join()).not.toContain('transfer-encoding');
    const unchanged = parts(await send([`If-None-Match: ${DOCUMENTS.jwks.etag}`], '1.0'));
    expect([unchanged.status, unchanged.body]).toEqual([304, '']);
  });

  test('HTTP/1.1 without a Host is refused: RFC 9112 section 3.2', async () => {
    await listen();
    expect(parts(await send(['Connection: close'])).status).toBe(400);
    expect(counted).toEqual([]);
  });

  test.each([
    [
      'another protocol is offered',
      ['Upgrade: h2c', 'Connection: Upgrade, HTTP2-Settings, close', 'HTTP2-Settings: AA'],
    ],
    ['parts are asked for', ['Range: bytes=0-1,5-6', `If-Range: ${DOCUMENTS.jwks.etag}`]],
    ['a part beyond the end is asked for', ['Range: bytes=100000-']],
    ['it was changed by a date', ['If-Unmodified-Since: Thu, 01 Jan 1970 00:00:00 GMT']],
    ['only a cache is asked', ['Cache-Control: only-if-cached, no-store', 'Pragma: no-cache']],
    ['compression is accepted', ['TE: gzip, trailers', 'Accept-Encoding: *;q=1, identity;q=0']],
    ['the Host has a dot at its end', []],
  ])('the same document where %s', async (_, lines) => {
    await listen();
    const { status, fields, body } = parts(await send(['Host: issuer.example.com.', 'Connection: close', ...lines]));
    expect([status, body]).toEqual([200, JWKS]);
    expect(fields.join('\n')).not.toMatch(
      /^(content-range|content-encoding|accept-ranges|set-cookie|location|vary|upgrade):/m,
    );
  });

  test('100-continue is said where it is expected, and then the document', async () => {
    await listen();
    const answer = await send(['Host: x', 'Connection: close', 'Expect: 100-continue']);
    expect(answer.startsWith('HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n')).toBe(true);
    expect(answer.endsWith(JWKS)).toBe(true);
  });

  test('a query as long as a header may be changes nothing, and a longer one is refused', async () => {
    await listen();
    const whole = await ask(METADATA);
    expect(await ask(`${METADATA}?${'a=%2F..%00&'.repeat(1_400)}`)).toEqual(whole);
    expect(statusOf(await get(`${METADATA}?${'x'.repeat(20_000)}`))).toBe(431);
  });

  test('of several issuers with one path, the absolute form beats the Host, and of two Hosts none counts', async () => {
    const names = ['https://a.example', 'https://b.example'];
    const routes = createRoutes(
      names.map((issuer) => {
        const own = createDocuments(issuer, KEYS);
        return { issuer, documents: () => own, cacheMaxAgeSeconds: 300 };
      }),
    );
    await listen({ routes: () => routes });
    const from = async (target: string, ...hosts: string[]) => {
      const lines = hosts.map((host) => `Host: ${host}\r\n`).join('');
      const { status, body } = parts(await raw(`GET ${target} HTTP/1.1\r\n${lines}Connection: close\r\n\r\n`));
      return status === 200 ? (JSON.parse(body) as { issuer: string }).issuer : status;
    };
    expect(await from(METADATA, 'b.example')).toBe('https://b.example');
    expect(await from(METADATA, 'b.example.:443')).toBe('https://b.example');
    expect(await from(`http://a.example${METADATA}`, 'b.example')).toBe('https://a.example');
    expect(await from(`https://c.example${METADATA}`, 'b.example')).toBe(404);
    expect([400, 404]).toContain(await from(METADATA, 'a.example', 'b.example'));
    expect([400, 404]).toContain(await from(METADATA, 'b.example', 'b.example'));
    expect(await from(METADATA, '')).toBe(404);
    expect(statusOf(await raw(`GET ${METADATA} HTTP/1.0\r\n\r\n`))).toBe(404);
  });
});

describe('the path of the issuer', () => {
  test.each([
    ['https://h', ''],
    ['https://h/', ''],
    ['https://h/p', '/p'],
    ['https://h/p/', '/p'],
    ['https://h:8443/a/b', '/a/b'],
    ['https://h/p//', '/p/'],
    ['https://h/A.b-c_d~e!$&()*+,;=:@', '/A.b-c_d~e!$&()*+,;=:@'],
    ['https://h/a%20b', '/a%20b'],
    ['https://h/é', '/%C3%A9'],
  ])('%s serves under "%s" and nowhere else', async (issuer, base) => {
    await listen({ issuer });
    for (const path of [METADATA, ...JWKS_PATHS]) {
      expect((await ask(base + path)).status).toBe(200);
      if (base !== '') expect((await ask(path)).status).toBe(404);
    }
    expect((await ask(`/x${base}${METADATA}`)).status).toBe(404);
    expect((await ask(`${base}/`)).status).toBe(404);
  });

  test('its case matters', async () => {
    await listen({ issuer: 'https://h/Path' });
    expect((await ask(`/path${METADATA}`)).status).toBe(404);
  });

  test('the form of RFC 8414, with the path behind, is not served', async () => {
    await listen({ issuer: 'https://h/p' });
    expect((await ask('/.well-known/openid-configuration/p')).status).toBe(404);
  });
});

describe('without documents', () => {
  test('503, not to be kept, with a time to come back', async () => {
    documents = undefined;
    await listen();
    const body = '{"error":{"code":"unavailable","message":"there is no key to publish yet"}}';
    for (const path of [METADATA, ...JWKS_PATHS]) {
      expect(await ask(path, { 'If-None-Match': '*' })).toEqual({
        status: 503,
        headers: {
          ...EVERYWHERE,
          'cache-control': 'no-store',
          'retry-after': '5',
          'content-type': 'application/json',
          'content-length': String(body.length),
        },
        body: Buffer.from(body),
      });
    }
    expect((await ask(METADATA, {}, 'HEAD')).body).toHaveLength(0);
  });

  test('the other answers stay', async () => {
    documents = undefined;
    await listen();
    expect((await ask(METADATA, {}, 'OPTIONS')).status).toBe(204);
    expect((await ask(METADATA, {}, 'POST')).status).toBe(405);
    expect((await ask('/')).status).toBe(404);
  });
});

describe('what is told about requests', () => {
  test('path and code, from a closed set', async () => {
    await listen();
    await ask(METADATA);
    await ask('/keys.json?x', { 'If-None-Match': '*' }, 'HEAD');
    await ask('/openid/v1/jwks', {}, 'OPTIONS');
    await ask('/.well-known/jwks.json', {}, 'DELETE');
    await ask('/secret/path');
    documents = undefined;
    await ask(METADATA);
    expect(counted).toEqual([
      '/.well-known/openid-configuration 200',
      '/keys.json 304',
      '/openid/v1/jwks 204',
      '/.well-known/jwks.json 405',
      'other 404',
      '/.well-known/openid-configuration 503',
    ]);
    expect(logged).toEqual([]);
  });

  test('a fault of ours is 500 without its reason, which goes to the log', async () => {
    await listen({
      documents: () => {
        throw new Error('the reason');
      },
    });
    const { status, body, headers } = await ask(METADATA);
    expect(status).toBe(500);
    expect(headers).toMatchObject({ ...EVERYWHERE, 'cache-control': 'no-store' });
    expect(body.toString()).toBe('{"error":{"code":"internal","message":"internal error"}}');
    expect(logged).toEqual([['request failed', { err: new Error('the reason') }]]);
    expect(counted).toEqual(['/.well-known/openid-configuration 500']);
  });
});
