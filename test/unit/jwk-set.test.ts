import { createPublicKey } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { createDocument, createDocuments } from '../../discovery/document.ts';
import { jwkSet } from '../../discovery/jwk-set.ts';
import { publicKeysFromJwkSet } from '../../discovery/read-keys.ts';
import { ec, jwk, jwks, published, rsa } from './key-material.ts';

const RSA = published(rsa());
const P256 = published(ec('P-256'));
const P521 = published(ec('P-521'));

describe('jwkSet', () => {
  test("the members are in the API server's order", () => {
    const [rsaJwk] = jwkSet([RSA]).keys;
    const [ecJwk] = jwkSet([P521]).keys;
    expect(Object.keys(rsaJwk ?? {})).toEqual(['use', 'kty', 'kid', 'alg', 'n', 'e']);
    expect(Object.keys(ecJwk ?? {})).toEqual(['use', 'kty', 'kid', 'crv', 'alg', 'x', 'y']);
    expect(rsaJwk).toMatchObject({ use: 'sig', kty: 'RSA', alg: 'RS256', e: 'AQAB' });
    expect(ecJwk).toMatchObject({ use: 'sig', kty: 'EC', alg: 'ES512', crv: 'P-521' });
  });

  test('only allowed members get in, whatever an object holds', () => {
    const poisoned = { ...RSA, d: 'secret', x5c: ['secret'] };
    expect(JSON.stringify(jwkSet([poisoned]))).toBe(JSON.stringify(jwkSet([RSA])));
  });

  test('node reads every key of it', () => {
    for (const key of jwkSet([RSA, P256, P521]).keys) {
      expect(createPublicKey({ format: 'jwk', key: { ...key } }).type).toBe('public');
    }
  });

  test('sorted by kid in the order of code units, whatever the order given', () => {
    const ids = ['a', 'B', '10', '9', 'é', '-', '_', '\u{1f511}', '\uffff'];
    const set = jwkSet(ids.map((kid) => ({ ...P256, kid })));
    expect(set.keys.map(({ kid }) => kid)).toEqual([...ids].sort());
    expect(JSON.stringify(jwkSet(ids.toReversed().map((kid) => ({ ...P256, kid }))))).toBe(JSON.stringify(set));
  });

  test('one kid once: the same key is one, of two keys the later stays', () => {
    expect(jwkSet([RSA, RSA]).keys).toHaveLength(1);
    const other = { ...P256, kid: RSA.kid };
    expect(jwkSet([RSA, other])).toEqual(jwkSet([other]));
  });

  test('its text read again gives the same keys', () => {
    const set = jwkSet([P256, RSA, P521]);
    expect(publicKeysFromJwkSet(JSON.stringify(set), 'x').refused).toEqual([]);
    expect(jwkSet(publicKeysFromJwkSet(JSON.stringify(set), 'x').keys)).toEqual(set);
  });
});

describe('documents', () => {
  test('compact JSON without a line break at the end, the same bytes and tags each time', () => {
    const one = createDocuments('https://issuer.example.com', [RSA, P256]);
    const two = createDocuments('https://issuer.example.com', [P256, RSA]);
    expect(one.jwks.bytes.toString()).toBe(JSON.stringify(jwkSet([RSA, P256])));
    expect(two).toEqual(one);
    expect(one.jwks.etag).toMatch(/^"[A-Za-z0-9_-]{43}"$/);
    expect(one.jwks.contentType).toBe('application/jwk-set+json');
    expect(one.metadata.contentType).toBe('application/json');
    expect(one.jwks.etag).not.toBe(one.metadata.etag);
  });

  test('other bytes have another tag', () => {
    expect(createDocument({ a: 1 }, 'application/json').etag).not.toBe(
      createDocument({ a: 2 }, 'application/json').etag,
    );
  });

  test('an empty set is never made', () => {
    expect(() => createDocuments('https://issuer.example.com', [])).toThrow(TypeError);
  });

  test('cannot be changed', () => {
    const documents = createDocuments('https://issuer.example.com', [RSA]);
    expect(Object.isFrozen(documents)).toBe(true);
    expect(Object.isFrozen(documents.jwks)).toBe(true);
  });

  test("are the API server's own for the keys of its tests", () => {
    // kubernetes/pkg/serviceaccount/openidmetadata_test.go, TestNewOpenIDMetadata: the values of the expected JWK Set.
    const x = 'H6cuzP8XuD5wal6wf9M6xDljTOPLX2i8uIp_C_ASqiI';
    const y = 'BlHnikLV9PyEd6gl8k4T_3Wwoh6xd79XLoQTh2PAi1Y';
    const { keys } = publicKeysFromJwkSet(jwks({ kty: 'EC', crv: 'P-256', x, y }), 'x');
    expect(createDocuments('https://issuer.example.com', keys).jwks.bytes.toString()).toBe(
      `{"keys":[{"use":"sig","kty":"EC","kid":"SoABiieYuNx4UdqYvZRVeuC6SihxgLrhLy9peHMHpTc","crv":"P-256","alg":"ES256","x":"${x}","y":"${y}"}]}`,
    );
  });

  test('a poisoned set never reaches the bytes', () => {
    const pair = rsa();
    const secrets = pair.privateKey.export({ format: 'jwk' });
    const text = jwks({ ...secrets, kid: 'a' }, jwk(pair, { kid: 'b', x5c: [secrets.d], nested: secrets }));
    const { keys } = publicKeysFromJwkSet(text, 'x');
    const { metadata, jwks: set } = createDocuments('https://issuer.example.com', keys);
    const served = metadata.bytes.toString() + set.bytes.toString();
    for (const name of ['d', 'p', 'q', 'dp', 'dq', 'qi'] as const) expect(served).not.toContain(secrets[name]);
    expect(JSON.parse(set.bytes.toString()).keys).toHaveLength(1);
  });
});
