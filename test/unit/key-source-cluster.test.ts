import { describe, expect, test } from 'vitest';
import { discoveredIssuer } from '../../discovery/discovered-issuer.ts';
import { createClusterSource } from '../../discovery/key-source/cluster.ts';
import { KeySourceFailure } from '../../discovery/key-source/key-source.ts';
import type { KubeGet } from '../../src/cluster-issuer.ts';
import { ec, expectedKid, jwk, jwks, published, rsa } from './key-material.ts';

const RSA = rsa();
const P256 = ec();
const signal = new AbortController().signal;

/** An API server that answers everything alike, and the requests it saw. */
function server(status: number, body: string | Buffer) {
  const requests: Parameters<KubeGet>[] = [];
  const get: KubeGet = async (...request) => {
    requests.push(request);
    return { status, headers: {}, body: Buffer.from(body) };
  };
  return { get, requests, source: createClusterSource(get) };
}

describe('keys of a cluster', () => {
  test('are asked for in one GET, with limits and the one media type that is answered', async () => {
    const { source, requests } = server(200, jwks(jwk(RSA)));
    await source.read(signal);
    expect(requests).toEqual([
      ['/openid/v1/jwks', { timeoutMs: 10_000, maxBytes: 1_048_576, accept: 'application/jwk-set+json', signal }],
    ]);
  });

  test('keep their IDs, whatever those are', async () => {
    const set = jwks(jwk(RSA, { kid: 'signer/1', use: 'sig', alg: 'RS256' }), jwk(P256, { kid: '2' }));
    expect(await server(200, set).source.read(signal)).toEqual({
      keys: [published(RSA, 'signer/1'), published(P256, '2')],
      refused: [],
    });
  });

  test('that cannot be published are refused, and the good ones stay', async () => {
    const set = jwks(jwk(ec('secp256k1'), { crv: 'P-999' }), jwk(P256));
    const { keys, refused } = await server(200, set).source.read(signal);
    expect(keys.map(({ kid }) => kid)).toEqual([expectedKid(P256)]);
    expect(refused).toMatchObject([{ source: 'cluster', position: 1, reason: 'unsupported_curve' }]);
  });

  test.each([
    ['an error', 500, 'secret', 'GET /openid/v1/jwks: HTTP 500'],
    ['nothing there', 404, '', 'GET /openid/v1/jwks: HTTP 404'],
    ['created', 201, jwks(jwk(RSA)), 'GET /openid/v1/jwks: HTTP 201'],
    ['a redirect', 302, jwks(jwk(RSA)), 'GET /openid/v1/jwks: HTTP 302, a redirect, which is not followed'],
    [
      'forbidden',
      403,
      'secret',
      'GET /openid/v1/jwks: HTTP 403; the ClusterRole system:service-account-issuer-discovery allows it',
    ],
    ['no JSON', 200, 'secret', 'cluster: not a JWK Set, which is a JSON object with a list "keys"'],
    ['HTML', 200, '<html>secret</html>', 'cluster: not a JWK Set, which is a JSON object with a list "keys"'],
    ['no key', 200, jwks(), 'GET /openid/v1/jwks: no usable key'],
    ['no good key', 200, jwks({ kty: 'secret' }), 'GET /openid/v1/jwks: no usable key'],
    ['too much', 200, `${jwks(jwk(RSA))}${' '.repeat(1024 * 1024)}`, 'GET /openid/v1/jwks: the answer is over 1 MiB'],
  ])('are not there: %s', async (_, status, body, message) => {
    const error: unknown = await server(status, body)
      .source.read(signal)
      .catch((thrown) => thrown);
    expect(error).toBeInstanceOf(Error);
    expect((error as Error).message).toBe(message);
  });

  test('where none is good, the refused ones are named all the same', async () => {
    const error: unknown = await server(200, jwks({ ...jwk(RSA), d: 'secret', kid: 'leak' }))
      .source.read(signal)
      .catch((thrown) => thrown);
    expect(error).toBeInstanceOf(KeySourceFailure);
    expect((error as KeySourceFailure).partial.refused).toMatchObject([{ kid: 'leak', reason: 'private' }]);
  });

  test('an API server out of reach', async () => {
    const get: KubeGet = async () => {
      throw new Error('GET /openid/v1/jwks: connect ECONNREFUSED 127.0.0.1:6443');
    };
    await expect(createClusterSource(get).read(signal)).rejects.toThrow(
      new KeySourceFailure('GET /openid/v1/jwks: connect ECONNREFUSED 127.0.0.1:6443'),
    );
  });
});

describe('the issuer of a cluster', () => {
  const metadata = (issuer: unknown) => JSON.stringify({ issuer, jwks_uri: 'https://10.0.0.1:6443/openid/v1/jwks' });

  test.each(['https://kubernetes.default.svc.cluster.local', 'https://h/p/', 'https://H:8443'])(
    '%s',
    async (issuer) => {
      const { get, requests } = server(200, metadata(issuer));
      expect(await discoveredIssuer(get, false, signal)).toBe(issuer);
      expect(requests).toEqual([
        [
          '/.well-known/openid-configuration',
          { timeoutMs: 10_000, maxBytes: 1_048_576, accept: 'application/json', signal },
        ],
      ]);
    },
  );

  test.each([
    ['no JSON', 200, 'secret', 'no "issuer" in the answer'],
    ['none', 200, '{}', 'no "issuer" in the answer'],
    ['null', 200, 'null', 'no "issuer" in the answer'],
    ['another type', 200, metadata(1), 'no "issuer" in the answer'],
    ['forbidden', 403, 'secret', 'HTTP 403; the ClusterRole system:service-account-issuer-discovery allows it'],
    ['no URL', 200, metadata('kubernetes/serviceaccount'), 'issuer "kubernetes/serviceaccount" is not a URL'],
    ['plain http', 200, metadata('http://h'), 'issuer "http://h" is not https; name one with --issuer, or accept it'],
    ['a query', 200, metadata('https://h/?a'), 'issuer "https://h/?a" has a query or a fragment'],
  ])('%s', async (_, status, body, message) => {
    const error: unknown = await discoveredIssuer(server(status, body).get, false).catch((thrown) => thrown);
    expect((error as Error).message).toContain(message);
  });
});
