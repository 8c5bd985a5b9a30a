import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { KeySourceFailure } from '../../discovery/key-source/key-source.ts';
import { createUrlSource } from '../../discovery/key-source/url.ts';
import type { KeyReading } from '../../discovery/public-key.ts';
import { ec, jwk, rsa } from './key-material.ts';

const servers: Server[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
});

async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/keys`;
}

const read = (url: string, signal = new AbortController().signal): Promise<KeyReading> =>
  createUrlSource(url).read(signal);
const failure = async (url: string): Promise<KeySourceFailure> => {
  const error = await read(url).catch((reason) => reason);
  if (error instanceof KeySourceFailure) return error;
  throw new Error(`not a KeySourceFailure: ${error}`);
};
const json = (value: unknown): RequestListener => {
  return (_request, response) => response.end(JSON.stringify(value));
};

test('the IDs of the keys are copied, and what cannot be published is refused by name', async () => {
  const secret = { ...jwk(rsa(), { kid: 'secret' }), d: 'AQAB' };
  const url = await serve(json({ keys: [jwk(ec(), { kid: 'chosen by a signer' }), secret] }));
  const reading = await read(url);
  expect(reading.keys.map(({ kid }) => kid)).toEqual(['chosen by a signer']);
  expect(reading.refused).toMatchObject([{ source: 'url', position: 2, kid: 'secret', reason: 'private' }]);
});

test('one request is sent for a reading, to the address of the setting with its query', async () => {
  const asked: unknown[] = [];
  const other = await serve((request, response) => {
    asked.push(request.url);
    response.end();
  });
  const set = { keys: [{ ...jwk(ec(), { kid: 'a' }), jku: other, x5u: other }], jwks_uri: other, next: other };
  const url = await serve((request, response) => {
    asked.push([request.method, request.url, request.headers.accept, request.headers['accept-encoding']]);
    response.end(JSON.stringify(set));
  });
  expect((await read(`${url}?p=blue`)).keys).toHaveLength(1);
  expect(asked).toEqual([['GET', '/keys?p=blue', 'application/jwk-set+json, application/json', 'identity']]);
});

describe('a failure says what was seen', () => {
  test('a redirect, which is not followed', async () => {
    let followed = 0;
    const other = await serve((_request, response) => {
      followed += 1;
      response.end();
    });
    for (const status of [301, 302, 303, 307, 308]) {
      const url = await serve((_request, response) => response.writeHead(status, { location: other }).end());
      expect((await failure(url)).message).toBe(
        `GET ${url}: the answer is ${status} (a redirect to ${other}, which is not followed), not 200`,
      );
    }
    expect(followed).toBe(0);
  });

  test('an error status, and a good one other than 200', async () => {
    for (const status of [204, 404, 500, 503]) {
      const url = await serve((_request, response) => response.writeHead(status).end());
      expect((await failure(url)).message).toBe(`GET ${url}: the answer is ${status}, not 200`);
    }
  });

  test('something else than a JWK Set, by its size and type, without a word of it', async () => {
    const url = await serve((_request, response) => {
      response.writeHead(200, { 'content-type': 'text/html' }).end('<p>password</p>');
    });
    expect((await failure(`${url}?token=password`)).message).toBe(
      `GET ${url}: the answer (15 bytes of "text/html") is not a JWK Set of at most 1000 keys`,
    );
    for (const value of [[], 'a', { keys: {} }, null]) {
      expect((await failure(await serve(json(value)))).message).toContain('of no type) is not a JWK Set');
    }
  });

  test('a set without a usable key, of which the refused ones are told', async () => {
    const url = await serve(json({ keys: [{ kty: 'oct', kid: 'a' }] }));
    const { message, partial } = await failure(url);
    expect(message).toBe(`GET ${url}: no usable key in the JWK Set`);
    expect(partial.refused).toHaveLength(1);
  });

  test('an answer over 1 MiB, of which no more is read', async () => {
    const line = Buffer.alloc(64 * 1024, ' ');
    const url = await serve((_request, response) => {
      const more = () => {
        while (response.write(line));
      };
      response.on('drain', more);
      more();
    });
    expect((await failure(url)).message).toBe(`GET ${url}: the answer is over 1 MiB`);
  });

  test('an answer that breaks off, and nobody there', async () => {
    const url = await serve((_request, response) => {
      response.writeHead(200, { 'content-length': '1000' });
      response.write('{"keys": [');
      setTimeout(() => response.destroy(), 20);
    });
    expect((await failure(url)).message).toBe(`GET ${url}: aborted`);
    expect((await failure('http://127.0.0.1:1/keys')).message).toContain('ECONNREFUSED 127.0.0.1:1');
  });

  test('an answer that drips: nothing whole within 10 s', async () => {
    const url = await serve((_request, response) => {
      const timer = setInterval(() => response.write(' '), 100);
      response.on('close', () => clearInterval(timer));
    });
    const began = performance.now();
    expect((await failure(url)).message).toBe(`GET ${url}: no answer within 10 s`);
    expect(performance.now() - began).toBeLessThan(13_000);
  }, 20_000);
});

describe('a set that has not changed', () => {
  /** Answers in turn, the last one for ever, and notes the condition of each request. */
  async function serveInTurn(...answers: RequestListener[]) {
    const conditions: (string | undefined)[] = [];
    const url = await serve((request, response) => {
      conditions.push(request.headers['if-none-match']);
      const answer = answers.length > 1 ? answers.shift() : answers[0];
      answer?.(request, response);
    });
    return { conditions, source: createUrlSource(url), url };
  }
  const tagged = (etag: string, ...names: string[]): RequestListener => {
    const keys = names.map((kid) => jwk(ec(), { kid }));
    return (_request, response) => response.writeHead(200, { etag }).end(JSON.stringify({ keys }));
  };
  const unchanged: RequestListener = (_request, response) => response.writeHead(304).end();
  const signal = new AbortController().signal;
  const kids = async (source: { read(signal: AbortSignal): Promise<KeyReading> }) =>
    (await source.read(signal)).keys.map(({ kid }) => kid);

  test('is not sent again, and is a good reading with the keys from before', async () => {
    const { conditions, source } = await serveInTurn(tagged('"1"', 'a'), unchanged, tagged('W/"2"', 'b'), unchanged);
    expect(await kids(source)).toEqual(['a']);
    expect(await kids(source)).toEqual(['a']);
    expect(await kids(source)).toEqual(['b']);
    expect(await kids(source)).toEqual(['b']);
    expect(await kids(source)).toEqual(['b']);
    expect(conditions).toEqual([undefined, '"1"', '"1"', 'W/"2"', 'W/"2"']);
  });

  test('names the refused keys again', async () => {
    const keys = [jwk(ec(), { kid: 'a' }), { kty: 'oct', kid: 'bad' }];
    const first: RequestListener = (_request, response) =>
      response.writeHead(200, { etag: '"1"' }).end(JSON.stringify({ keys }));
    const { source } = await serveInTurn(first, unchanged);
    await source.read(signal);
    expect((await source.read(signal)).refused).toMatchObject([{ kid: 'bad' }]);
  });

  test('where nothing was read before, 304 is a failure', async () => {
    const { conditions, source, url } = await serveInTurn(unchanged);
    await expect(source.read(signal)).rejects.toThrow(`GET ${url}: the answer is 304, not 200`);
    expect(conditions).toEqual([undefined]);
  });

  test('failures between do not count: the last good set is the one to compare with', async () => {
    const bad: RequestListener = (_request, response) => response.writeHead(200, { etag: '"bad"' }).end('{}');
    const none: RequestListener = (_request, response) =>
      response.writeHead(200, { etag: '"none"' }).end(JSON.stringify({ keys: [] }));
    const away: RequestListener = (_request, response) => response.writeHead(503).end();
    const { conditions, source } = await serveInTurn(tagged('"1"', 'a'), bad, none, away, unchanged);
    expect(await kids(source)).toEqual(['a']);
    for (let failures = 0; failures < 3; failures++) {
      await expect(source.read(signal)).rejects.toBeInstanceOf(KeySourceFailure);
    }
    expect(await kids(source)).toEqual(['a']);
    expect(conditions).toEqual([undefined, '"1"', '"1"', '"1"', '"1"']);
  });

  test('what is no entity tag is not sent back, nor is one of an older set', async () => {
    const { conditions, source } = await serveInTurn(tagged('"1"', 'a'), tagged('unquoted', 'b'), tagged('', 'c'));
    for (const kid of ['a', 'b', 'c', 'c']) expect(await kids(source)).toEqual([kid]);
    expect(conditions).toEqual([undefined, '"1"', undefined, undefined]);
  });
});

test('a reading that is given up ends its request', async () => {
  let closed: () => void = () => {};
  const gone = new Promise<void>((resolve) => {
    closed = resolve;
  });
  const url = await serve((_request, response) => void response.on('close', closed));
  const stop = new AbortController();
  const reading = read(url, stop.signal).catch((error) => error);
  setTimeout(() => stop.abort(), 50);
  expect(await reading).toBeInstanceOf(KeySourceFailure);
  await gone;
});
