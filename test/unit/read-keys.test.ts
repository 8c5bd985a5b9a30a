import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { describeRefused, type KeyReading } from '../../discovery/public-key.ts';
import { publicKeysFromJwkSet, publicKeysFromPem, publicKeysFromText } from '../../discovery/read-keys.ts';
import {
  block,
  certificate,
  compressed,
  ec,
  ed25519,
  expectedKid,
  jwk,
  jwks,
  pem,
  published,
  rsa,
  spki,
} from './key-material.ts';

const RSA = rsa();
const P256 = ec('P-256');
const P384 = ec('P-384');
const P521 = ec('P-521');

const kids = ({ keys }: KeyReading) => keys.map(({ kid }) => kid);
const reasons = ({ refused }: KeyReading) => refused.map(({ position, reason }) => [position, reason]);
const pkcs1 = (pair = RSA) => pair.publicKey.export({ type: 'pkcs1', format: 'der' });
const fromPem = (text: string, allowPrivateKeys = false) => publicKeysFromPem(text, 'keys.pem', { allowPrivateKeys });
const fromSet = (...keys: readonly unknown[]) => publicKeysFromJwkSet(jwks(...keys), 'cluster');

// The public keys of Kubernetes' own tests, with the IDs that they must keep for ever:
// kubernetes/pkg/serviceaccount/keyid_test.go and jwt_test.go.
const KUBERNETES_RSA = `-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA249XwEo9k4tM8fMxV7zx
OhcrP+WvXn917koM5Qr2ZXs4vo26e4ytdlrV0bQ9SlcLpQVSYjIxNfhTZdDt+ecI
zshKuv1gKIxbbLQMOuK1eA/4HALyEkFgmS/tleLJrhc65tKPMGD+pKQ/xhmzRuCG
51RoiMgbQxaCyYxGfNLpLAZK9L0Tctv9a0mJmGIYnIOQM4kC1A1I1n3EsXMWmeJU
j7OTh/AjjCnMnkgvKT2tpKxYQ59PgDgU8Ssc7RDSmSkLxnrv+OrN80j6xrw0OjEi
B4Ycr0PqfzZcvy8efTtFQ/Jnc4Bp1zUtFXt7+QeevePtQ2EcyELXE0i63T1CujRM
WwIDAQAB
-----END PUBLIC KEY-----
`;
const KUBERNETES_EC = `-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEH6cuzP8XuD5wal6wf9M6xDljTOPL
X2i8uIp/C/ASqiIGUeeKQtX0/IR3qCXyThP/dbCiHrF3v1cuhBOHY8CLVg==
-----END PUBLIC KEY-----
`;

describe('PEM: what is taken', () => {
  test("Kubernetes' own keys have Kubernetes' own IDs", () => {
    expect(kids(fromPem(KUBERNETES_RSA + KUBERNETES_EC))).toEqual([
      'JHJehTTTZlsspKHT-GaJxK7Kd1NQgZJu3fyK6K_QDYU',
      'SoABiieYuNx4UdqYvZRVeuC6SihxgLrhLy9peHMHpTc',
    ]);
  });

  test.each([
    ['RSA', RSA, 'RS256'],
    ['P-256', P256, 'ES256'],
    ['P-384', P384, 'ES384'],
    ['P-521', P521, 'ES512'],
  ])('SPKI of %s, with the members that node exports, the computed ID and algorithm', (_, pair, alg) => {
    expect(fromPem(pem(pair))).toEqual({ keys: [{ ...jwk(pair), alg, kid: expectedKid(pair) }], refused: [] });
  });

  test.each([
    ['PKCS#1', block('RSA PUBLIC KEY', pkcs1()), RSA],
    ['PKIX in a block RSA PUBLIC KEY, as HyperShift writes it', block('RSA PUBLIC KEY', spki(RSA.publicKey)), RSA],
    ['PKCS#1 in a block PUBLIC KEY', block('PUBLIC KEY', pkcs1()), RSA],
    ['PKIX in a block PRIVATE KEY, for the bytes decide', block('PRIVATE KEY', spki(P256.publicKey)), P256],
    ['a certificate with an RSA key', block('CERTIFICATE', certificate(RSA)), RSA],
    ['a certificate with an EC key', block('CERTIFICATE', certificate(P384)), P384],
    ['a certificate in a block TRUSTED CERTIFICATE', block('TRUSTED CERTIFICATE', certificate(RSA)), RSA],
  ])('%s', (_, text, pair) => {
    expect(fromPem(text)).toEqual({ keys: [published(pair)], refused: [] });
  });

  test.each([
    ['CRLF', pem(P256).replaceAll('\n', '\r\n')],
    ['CR alone', pem(P256).replaceAll('\n', '\r')],
    ['indentation, as copied from YAML', pem(P256).replaceAll(/^/gm, '    ')],
    ['trailing blanks', pem(P256).replaceAll('\n', '  \t\n')],
    ['no line break at the end', pem(P256).trimEnd()],
    ['blank lines before and inside', `\n\n${pem(P256).replaceAll('\n', '\n\n')}`],
    ['the base64 in one line', pem(P256).replace(/(?<=[A-Za-z0-9+/=])\n(?=[A-Za-z0-9+/=])/g, '')],
    ['a byte order mark', `\ufeff${pem(P256)}`],
    ['headers of the old kind', pem(P256).replace('KEY-----\n', 'KEY-----\nComment: mine\n\n')],
  ])('%s', (_, text) => {
    expect(publicKeysFromText(text, 'f').keys).toEqual([published(P256)]);
  });

  test('many blocks in one text, with junk between them, in their order', () => {
    const text = `Bag Attributes\n  friendlyName: x\n${pem(P521)}---- junk ----\n-----END NOTHING-----\n${pem(RSA)}\0\n${pem(P256)}`;
    expect(kids(fromPem(text))).toEqual([P521, RSA, P256].map(expectedKid));
  });

  test('the same key twice is given twice, for the source does not decide', () => {
    expect(kids(fromPem(pem(P256) + pem(P256)))).toHaveLength(2);
  });

  test('exponent 3 and 4096 bits', () => {
    expect(fromPem(pem(rsa(2048, 3))).refused).toEqual([]);
    expect(fromPem(pem(rsa(4096))).refused).toEqual([]);
  });

  test('nothing at all gives nothing', () => {
    for (const text of ['', '\n', 'no key', '-----BEGIN PUBLIC KEY----', 'x -----BEGIN PUBLIC KEY-----']) {
      expect(fromPem(text)).toEqual({ keys: [], refused: [] });
    }
  });
});

describe('PEM: what is refused, by name, without hiding the good ones', () => {
  const other = (type: string, options: object = {}) =>
    pem((generateKeyPairSync as unknown as (t: string, o: object) => typeof RSA)(type, options));

  test.each([
    ['Ed25519', () => other('ed25519'), 'unsupported_type', 'is of type Ed25519'],
    ['Ed448', () => other('ed448'), 'unsupported_type', 'is of type Ed448'],
    ['X25519', () => other('x25519'), 'unsupported_type', 'is of type X25519'],
    ['DSA', () => other('dsa', { modulusLength: 2048, divisorLength: 256 }), 'unsupported_type', 'is of type DSA'],
    ['RSA-PSS', () => other('rsa-pss', { modulusLength: 2048 }), 'unsupported_type', 'is of type RSA-PSS'],
    ['P-224', () => pem(ec('secp224r1')), 'unsupported_curve', 'is on the curve P-224'],
    ['secp256k1', () => pem(ec('secp256k1')), 'unsupported_curve', 'is on the curve secp256k1'],
    ['brainpool', () => pem(ec('brainpoolP256r1')), 'unsupported_curve', 'is on the curve brainpoolP256r1'],
    ['RSA of 1024 bits', () => pem(rsa(1024)), 'rsa_size', 'has 1024 bits'],
    ['RSA of 2040 bits', () => pem(rsa(2040)), 'rsa_size', 'has 2040 bits'],
    ['a compressed point', () => block('PUBLIC KEY', compressed(P256)), 'encoding', 'has a compressed point'],
    ['a curve by parameters', () => explicit(), 'encoding', 'has a compressed point or a curve by parameters'],
    [
      'bytes after the key',
      () => block('PUBLIC KEY', Buffer.concat([spki(P256.publicKey), Buffer.of(0)])),
      'malformed',
      '',
    ],
    ['a key cut off', () => block('PUBLIC KEY', spki(P256.publicKey).subarray(0, 60)), 'malformed', ''],
    ['no bytes', () => block('PUBLIC KEY', Buffer.of()), 'malformed', ''],
    ['three bytes', () => block('PUBLIC KEY', Buffer.of(0x30, 0x82, 1)), 'malformed', ''],
    ['a length of 127 bytes', () => block('PUBLIC KEY', Buffer.of(0x30, 0xff, 1)), 'malformed', ''],
    ['another kind of block', () => block('X509 CRL', Buffer.of(0x30, 0)), 'malformed', '(a block X509 CRL)'],
    ['no base64', () => '-----BEGIN PUBLIC KEY-----\n!!!!\n-----END PUBLIC KEY-----\n', 'malformed', 'is not base64'],
    ['no END', () => pem(P256).replace(/-----END.*/s, ''), 'malformed', 'is cut off'],
    ['another END', () => pem(P256).replace('END PUBLIC', 'END RSA PUBLIC'), 'malformed', 'is cut off'],
  ])('%s', (_, text, reason, message) => {
    const reading = fromPem(`${text()}${pem(RSA)}`);
    expect(kids(reading)).toEqual([expectedKid(RSA)]);
    expect(reasons(reading)).toEqual([[1, reason]]);
    expect(reading.refused[0]?.source).toBe('keys.pem');
    expect(reading.refused[0]?.message).toContain(message);
  });

  function explicit(): string {
    const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256', paramEncoding: 'explicit' });
    return pem({ publicKey });
  }

  test('the refusal has the ID under which the key would be known', () => {
    const weak = rsa(1024);
    expect(fromPem(pem(P256) + pem(weak)).refused).toEqual([
      {
        source: 'keys.pem',
        position: 2,
        kid: expectedKid(weak),
        reason: 'rsa_size',
        message: 'has 1024 bits; accepted: 2048 to 16384',
      },
    ]);
  });

  test('a refusal as one line', () => {
    const refused = { source: 'a.pem', position: 2, reason: 'malformed', message: 'is cut off' } as const;
    expect(describeRefused(refused)).toBe('a.pem, key 2 is cut off');
    expect(describeRefused({ ...refused, kid: 'k\n' })).toBe('a.pem, key 2 (kid "k\\n") is cut off');
    expect(describeRefused({ ...refused, position: 0 })).toBe('a.pem is cut off');
  });

  test('a label is not repeated where it may be anything', () => {
    const [refused] = fromPem(block('SECRET=hunter2', Buffer.of(1))).refused;
    expect(refused?.message).not.toContain('hunter2');
  });

  test('more than 1000 blocks are an error', () => {
    expect(() => fromPem('-----BEGIN X-----\n'.repeat(1001))).toThrow(
      'keys.pem: has 1001 keys; accepted: at most 1000',
    );
  });
});

describe('private PEM', () => {
  const cipher = { cipher: 'aes-256-cbc', passphrase: 'x' };
  const forms = [
    ['RSA PKCS#1', RSA.privateKey.export({ type: 'pkcs1', format: 'pem' }), RSA],
    ['RSA PKCS#8', RSA.privateKey.export({ type: 'pkcs8', format: 'pem' }), RSA],
    ['EC SEC1', P256.privateKey.export({ type: 'sec1', format: 'pem' }), P256],
    ['EC PKCS#8', P521.privateKey.export({ type: 'pkcs8', format: 'pem' }), P521],
    [
      'PKCS#8 in a block PUBLIC KEY',
      block('PUBLIC KEY', P256.privateKey.export({ type: 'pkcs8', format: 'der' })),
      P256,
    ],
    [
      'PKCS#1 in a block RSA PUBLIC KEY',
      block('RSA PUBLIC KEY', RSA.privateKey.export({ type: 'pkcs1', format: 'der' })),
      RSA,
    ],
  ] as const;

  test.each(forms)('%s is refused, and the good ones stay', (_, text) => {
    const reading = fromPem(`${text.toString()}\n${pem(P384)}`);
    expect(kids(reading)).toEqual([expectedKid(P384)]);
    expect(reading.refused).toEqual([
      {
        source: 'keys.pem',
        position: 1,
        reason: 'private',
        message: 'is a private key; accepted: its public key, or --allow-private-keys',
      },
    ]);
  });

  test.each(forms)('%s gives its public half where that is allowed', (_, text, pair) => {
    expect(fromPem(text.toString(), true)).toEqual({ keys: [published(pair)], refused: [] });
  });

  test.each([
    ['PKCS#8', RSA.privateKey.export({ type: 'pkcs8', format: 'pem', ...cipher })],
    ['PKCS#1', RSA.privateKey.export({ type: 'pkcs1', format: 'pem', ...cipher })],
    ['SEC1', P256.privateKey.export({ type: 'sec1', format: 'pem', ...cipher })],
  ])('an encrypted one (%s) is refused even then', (_, text) => {
    for (const allowed of [false, true]) {
      const reading = fromPem(text.toString(), allowed);
      expect(reading.keys).toEqual([]);
      expect(reading.refused).toMatchObject([
        { reason: 'private', message: 'is an encrypted private key; accepted: its public key' },
      ]);
    }
  });

  test('one that is allowed must still be fit to publish', () => {
    const privatePem = (pair: typeof RSA) => pair.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
    const text = privatePem(rsa(1024)) + privatePem(ec('secp256k1')) + privatePem(ec('secp224r1'));
    expect(reasons(fromPem(text, true))).toEqual([
      [1, 'rsa_size'],
      [2, 'unsupported_curve'],
      [3, 'unsupported_curve'],
    ]);
  });

  test('one that cannot be read is called private by its label', () => {
    const text = block('OPENSSH PRIVATE KEY', Buffer.from('openssh-key-v1'));
    for (const allowed of [false, true]) expect(reasons(fromPem(text, allowed))).toEqual([[1, 'private']]);
  });

  test('the curve in front of an EC key is no key', () => {
    const parameters = block('EC PARAMETERS', Buffer.from('06082a8648ce3d030107', 'hex'));
    const text = parameters + P256.privateKey.export({ type: 'sec1', format: 'pem' }).toString();
    expect(fromPem(text, true)).toEqual({ keys: [published(P256)], refused: [] });
  });
});

describe('JWK Set: what is taken', () => {
  test('the ID is copied and the algorithm computed', () => {
    expect(fromSet(jwk(RSA, { kid: 'mine', use: 'sig', alg: 'RS256' }), jwk(P521, { kid: 'also mine' }))).toEqual({
      keys: [published(RSA, 'mine'), published(P521, 'also mine')],
      refused: [],
    });
  });

  test.each(['x', 'x'.repeat(1024), 'ключ', '../../etc', '"\u0000', '__proto__'])('any ID: %j', (kid) => {
    expect(kids(fromSet(jwk(P256, { kid })))).toEqual([kid]);
  });

  test('without an ID there is the computed one', () => {
    expect(kids(fromSet(jwk(RSA), jwk(P384)))).toEqual([expectedKid(RSA), expectedKid(P384)]);
  });

  test('only the allowed members are taken', () => {
    const more = {
      x5c: ['MII…'],
      x5t: 'a',
      x5u: 'https://x',
      key_ops: ['verify'],
      ext: true,
      nbf: 1,
      foo: { d: 'secret' },
    };
    expect(fromSet(jwk(RSA, more)).keys).toEqual([published(RSA)]);
  });

  test('coordinates get the full width of their curve (RFC 7518 section 6.2.1.2)', () => {
    const withZero = () => {
      for (;;) {
        const pair = ec('P-256');
        if (String(jwk(pair).x).startsWith('AA')) return pair;
      }
    };
    const pair = withZero();
    const x = Buffer.from(String(jwk(pair).x), 'base64url');
    for (const form of [x.subarray(1), x, Buffer.concat([Buffer.alloc(7), x])]) {
      expect(fromSet(jwk(pair, { x: form.toString('base64url') }))).toEqual({ keys: [published(pair)], refused: [] });
    }
  });

  test('the modulus and the exponent get the fewest bytes (RFC 7518 section 6.3.1)', () => {
    const wide = (member: unknown) => Buffer.concat([Buffer.alloc(3), Buffer.from(String(member), 'base64url')]);
    const { n, e } = jwk(RSA);
    const odd = jwk(RSA, { n: wide(n).toString('base64'), e: wide(e).toString('base64') });
    expect(fromSet(odd)).toEqual({ keys: [published(RSA)], refused: [] });
  });

  test('the text may start with blanks or a byte order mark', () => {
    for (const start of ['\n ', '\ufeff', '\ufeff\r\n']) {
      expect(publicKeysFromText(start + jwks(jwk(P256)), 'f').keys).toEqual([published(P256)]);
    }
  });
});

describe('JWK Set: what is refused, by name, without hiding the good ones', () => {
  const { x, y } = jwk(P256);

  test.each(['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k'])('the private member %s, whatever its value', (name) => {
    for (const value of ['secret', '', null, 0, [{ r: 'secret' }]]) {
      const reading = fromSet(jwk(RSA, { [name]: value, kid: 'leak' }), jwk(P256));
      expect(kids(reading)).toEqual([expectedKid(P256)]);
      expect(reading.refused).toEqual([
        { source: 'cluster', position: 1, kid: 'leak', reason: 'private', message: `has the private member "${name}"` },
      ]);
      expect(JSON.stringify(reading)).not.toContain('secret');
    }
  });

  test('a private JWK as node exports it', () => {
    const pairs = [RSA, P256, ed25519()];
    const reading = fromSet(...pairs.map(({ privateKey }) => privateKey.export({ format: 'jwk' })));
    expect(reading.keys).toEqual([]);
    expect(reasons(reading)).toEqual([
      [1, 'private'],
      [2, 'private'],
      [3, 'private'],
    ]);
  });

  test.each([
    ['use enc', { use: 'enc' }, 'use', 'has the "use" enc; accepted: sig'],
    ['use in capitals', { use: 'SIG' }, 'use', 'has the "use" SIG'],
    ['use of another type', { use: 1 }, 'use', 'has the "use" unknown'],
    ['key_ops without verify', { key_ops: ['encrypt'] }, 'use', 'has "key_ops" without "verify"'],
    ['key_ops of another type', { key_ops: 'verify' }, 'use', 'has "key_ops" without "verify"'],
    [
      'an algorithm of another curve',
      { alg: 'ES384' },
      'algorithm',
      'has the "alg" ES384; accepted for this key: ES256',
    ],
    ['an algorithm that is none', { alg: 'none' }, 'algorithm', 'has the "alg" none'],
    ['an empty ID', { kid: '' }, 'kid', 'has a "kid" that is not a string of 1 to 1024 characters'],
    ['an ID that is too long', { kid: 'x'.repeat(1025) }, 'kid', 'has a "kid"'],
    ['an ID of another type', { kid: 7 }, 'kid', 'has a "kid"'],
    ['another curve', { crv: 'secp256k1' }, 'unsupported_curve', 'is on the curve secp256k1'],
    ['P-224', { crv: 'P-224' }, 'unsupported_curve', 'is on the curve P-224'],
    ['no curve', { crv: undefined }, 'unsupported_curve', 'is on the curve unknown'],
    ['the wrong curve', { crv: 'P-384' }, 'malformed', 'is not a point on P-384'],
    ['another type', { kty: 'LMS' }, 'unsupported_type', 'is of type LMS'],
    ['no type', { kty: undefined }, 'unsupported_type', 'is of type unknown'],
    ['a type of an object', { kty: '__proto__' }, 'unsupported_type', 'is of type unknown'],
    ['Ed25519', { kty: 'OKP', crv: 'Ed25519' }, 'unsupported_type', 'is of type Ed25519'],
    ['a point beside the curve', { x: y, y: x }, 'malformed', 'is not a point on P-256'],
    ['the point at infinity', { x: 'AA', y: 'AA' }, 'malformed', 'has no "x" or "y" in base64url'],
    ['no coordinate', { y: undefined }, 'malformed', 'has no "x" or "y" in base64url'],
    [
      'a coordinate that is too wide',
      { x: Buffer.alloc(33, 1).toString('base64url') },
      'malformed',
      'of over 32 bytes',
    ],
    ['blanks in base64url', { x: `${x} ` }, 'malformed', 'has no "x" or "y" in base64url'],
    ['a length that base64 does not have', { x: 'AAAAA' }, 'malformed', 'has no "x" or "y" in base64url'],
  ])('%s', (_, members, reason, message) => {
    const reading = fromSet(jwk(P256, members), jwk(RSA));
    expect(kids(reading)).toEqual([expectedKid(RSA)]);
    expect(reasons(reading)).toEqual([[1, reason]]);
    expect(reading.refused[0]?.message).toContain(message);
  });

  test.each([
    ['1024 bits', { ...jwk(rsa(1024)) }, 'rsa_size'],
    ['16392 bits', { n: Buffer.alloc(2049, 0xff).toString('base64url') }, 'rsa_size'],
    ['an even modulus', { n: Buffer.alloc(256, 0xfe).toString('base64url') }, 'malformed'],
    ['exponent 1', { e: 'AQ' }, 'rsa_exponent'],
    ['an even exponent', { e: 'BA' }, 'rsa_exponent'],
    ['an exponent over 2^31', { e: 'gAAAAQ' }, 'rsa_exponent'],
    ['an exponent over 64 bits', { e: Buffer.alloc(9, 1).toString('base64url') }, 'rsa_exponent'],
    ['exponent 0', { e: 'AA' }, 'malformed'],
    ['a modulus of another type', { n: 5 }, 'malformed'],
    ['RS512', { alg: 'RS512' }, 'algorithm'],
    ['RSA-OAEP', { alg: 'RSA-OAEP-256' }, 'algorithm'],
  ])('RSA with %s', (_, members, reason) => {
    const reading = fromSet(jwk(P256), jwk(RSA, members));
    expect(kids(reading)).toEqual([expectedKid(P256)]);
    expect(reasons(reading)).toEqual([[2, reason]]);
  });

  test.each([[null], [[]], ['x'], [1]])('a member of "keys" that is no object: %j', (value) => {
    expect(reasons(fromSet(value, jwk(P256)))).toEqual([[1, 'malformed']]);
  });

  test('a foreign value is not repeated where it may be a secret', () => {
    const secret = 'c2VjcmV0IGtleSBtYXRlcmlhbCBvZiBzb21lYm9keQ';
    const places = [{ kty: secret }, { crv: secret }, { use: secret }, { alg: secret }, { kty: 'OKP', crv: secret }];
    const reading = fromSet(...places.map((members) => jwk(P256, members)));
    expect(reading.refused).toHaveLength(places.length);
    expect(JSON.stringify(reading)).not.toContain(secret);
  });
});

describe('JWK Set: what is none', () => {
  test.each(['', '{', '[]', 'null', '"x"', '{}', '{"keys":{}}', '{"keys":null}', `${'['.repeat(100_000)}`])(
    '%.20s',
    (text) => {
      expect(() => publicKeysFromJwkSet(text, 'cluster')).toThrow(
        'cluster: not a JWK Set, which is a JSON object with a list "keys"',
      );
    },
  );

  test('the error does not quote the text', () => {
    expect(() => publicKeysFromText('{"keys": hunter2}', 'f')).toThrow(/^(?!.*hunter2)/);
  });

  test('more than 1000 keys', () => {
    expect(() => fromSet(...Array(1001).fill(null))).toThrow('has 1001 keys; accepted: at most 1000');
  });

  test('an empty set has no keys', () => {
    expect(fromSet()).toEqual({ keys: [], refused: [] });
  });
});
