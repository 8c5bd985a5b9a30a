import { describe, expect, test } from 'vitest';
import { createDocuments, type Documents } from '../../discovery/document.ts';
import { createRoutes } from '../../discovery/routes.ts';
import { ec, published } from './key-material.ts';

const KEY = published(ec());

/** The issuer that answers, by what its document says, or nothing. */
function routed(...issuers: string[]) {
  const routes = createRoutes(
    issuers.map((issuer, index) => {
      const documents = createDocuments(issuer, [KEY]);
      return { issuer, documents: (): Documents => documents, cacheMaxAgeSeconds: index };
    }),
  );
  return (path: string, host?: string) => {
    const route = routes(path, () => host);
    const bytes = route?.documents()?.metadata.bytes;
    return bytes && { issuer: (JSON.parse(bytes.toString()) as { issuer: string }).issuer, cache: route?.cacheControl };
  };
}

const METADATA = '/.well-known/openid-configuration';

test('one issuer is served under its path alone, whatever the host', () => {
  const route = routed('https://a.example/p/');
  for (const host of [
    'a.example',
    'b.example',
    'a.example:8443',
    '127.0.0.1',
    '[::1]:1',
    'not a host',
    '',
    undefined,
  ]) {
    expect(route(`/p${METADATA}`, host)?.issuer).toBe('https://a.example/p/');
    for (const path of [METADATA, `/p/${METADATA}`, '/p', '/', '', `/P${METADATA}`]) {
      expect(route(path, host)).toBeUndefined();
    }
  }
});

test('several with a path each are told apart by it, and each has its own max-age', () => {
  const route = routed('https://a.example', 'https://a.example/x', 'https://b.example/x/y');
  expect(route(METADATA, 'b.example')?.issuer).toBe('https://a.example');
  expect(route('/x/openid/v1/jwks', 'b.example')?.issuer).toBe('https://a.example/x');
  expect(route('/x/y/keys.json')).toMatchObject({
    issuer: 'https://b.example/x/y',
    cache: expect.stringContaining('max-age=2,'),
  });
  expect(route('/y/keys.json')).toBeUndefined();
});

describe('issuers with one path', () => {
  const route = routed('https://a.example', 'https://b.example:8443/', 'https://[::1]', 'https://c.example/c');

  test('are told apart by the host, in any case and with any port', () => {
    for (const host of ['a.example', 'A.Example', 'a.example:443', 'a.example:1234']) {
      expect(route(METADATA, host)?.issuer).toBe('https://a.example');
    }
    for (const host of ['b.example', 'b.example:8443']) {
      expect(route(METADATA, host)?.issuer).toBe('https://b.example:8443/');
    }
    expect(route(METADATA, '[::1]:8443')?.issuer).toBe('https://[::1]');
  });

  test('are told apart by the host with a dot at its end, too', () => {
    expect(route(METADATA, 'a.example.')?.issuer).toBe('https://a.example');
    expect(route(METADATA, 'A.example.:443')?.issuer).toBe('https://a.example');
    expect(routed('https://d.example.', 'https://e.example')(METADATA, 'd.example')?.issuer).toBe('https://d.example.');
  });

  test('are not served to what only has their host in it', () => {
    for (const host of [
      'a.example/',
      'a.example/b.example',
      'evil@a.example',
      'a.example?x',
      'a.example#x',
      'a.example\\x',
      'a.example,b.example:8443',
      'a.example..',
      '.a.example',
    ]) {
      expect([host, route(METADATA, host)]).toEqual([host, undefined]);
    }
  });

  test('are not served to another host, which the one beside them does not mind', () => {
    for (const host of ['c.example', 'x.a.example', '127.0.0.1', 'a b', '', undefined]) {
      expect(route(METADATA, host)).toBeUndefined();
      expect(route(`/c${METADATA}`, host)?.issuer).toBe('https://c.example/c');
    }
  });

  test('are told apart by the port where they have one host name', () => {
    const ports = routed('https://a.example:1', 'https://a.example:2', 'https://a.example');
    expect(ports(METADATA, 'a.example:2')?.issuer).toBe('https://a.example:2');
    expect(ports(METADATA, 'a.example')?.issuer).toBe('https://a.example');
    expect(ports(METADATA, 'a.example:443')?.issuer).toBe('https://a.example');
    expect(ports(METADATA, 'a.example:3')).toBeUndefined();
  });
});
