import { createECDH, createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { block, der, jwk, pem, spki } from '../unit/key-material.ts';

/** Keys that nobody can have: a point of a number that is written here, and a modulus without known factors. */

const SCALAR = Buffer.alloc(32, 1);

/** An EC key on P-256 with its private half, the same one in every run. */
export function ecPrivate(): KeyObject {
  const ecdh = createECDH('prime256v1');
  ecdh.setPrivateKey(SCALAR);
  const point = ecdh.getPublicKey();
  const [x, y] = [point.subarray(1, 33).toString('base64url'), point.subarray(33).toString('base64url')];
  return createPrivateKey({
    format: 'jwk',
    key: { kty: 'EC', crv: 'P-256', x, y, d: SCALAR.toString('base64url') },
  });
}

export const ecPublic = (): KeyObject => createPublicKey(ecPrivate().export({ type: 'pkcs8', format: 'pem' }));

export function rsaPublic(bytes = 256): KeyObject {
  const n = Buffer.alloc(bytes, 0xc5).toString('base64url');
  return createPublicKey({ format: 'jwk', key: { kty: 'RSA', n, e: 'AQAB' } });
}

/** An X.509 certificate whose signature nobody made, which does not matter for its key. */
function certificate(publicKey: KeyObject): Buffer {
  const algorithm = der(0x30, Buffer.from('06082a8648ce3d040302', 'hex'));
  const name = der(0x30);
  const time = der(0x17, Buffer.from('200101000000Z'));
  const serial = Buffer.from('a003020102020101', 'hex');
  const tbs = der(0x30, serial, algorithm, name, der(0x30, time, time), name, spki(publicKey));
  return der(0x30, tbs, algorithm, der(0x03, Buffer.from('0030060201010201', 'hex'), Buffer.from([1])));
}

/** PEM of every kind that is read or refused. */
export function pemSeeds(): string[] {
  const [rsa, ec] = [rsaPublic(), ecPublic()];
  const pkcs1 = rsa.export({ type: 'pkcs1', format: 'pem' }).toString();
  return [
    ...[pem({ publicKey: ec }), pem({ publicKey: rsa }), pkcs1, block('CERTIFICATE', certificate(ec))],
    `before\n${pem({ publicKey: ec })}between\r\n${pkcs1.replaceAll('\n', '\r\n')}after`,
    block('PUBLIC KEY', Buffer.from('302a300506032b6570032100'.padEnd(88, '11'), 'hex')),
    pem({ publicKey: rsaPublic(128) }),
    ecPrivate().export({ type: 'pkcs8', format: 'pem' }).toString(),
    ecPrivate().export({ type: 'sec1', format: 'pem' }).toString(),
    block('RSA PRIVATE KEY', Buffer.from('3006020100020103', 'hex')),
    '-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END RSA PRIVATE KEY-----\n',
    block('EC PARAMETERS', Buffer.from('06082a8648ce3d030107', 'hex')) + pem({ publicKey: ec }),
  ];
}

/** JWK Sets with public keys, and with members that a public one does not have. */
export function jwkSetSeeds(): object[] {
  const [rsa, ec] = [{ publicKey: rsaPublic() }, { publicKey: ecPublic() }];
  const secret = ecPrivate().export({ format: 'jwk' });
  return [
    { keys: [] },
    { keys: [jwk(rsa, { kid: 'a', use: 'sig', alg: 'RS256' }), jwk(ec, { kid: 'b', use: 'sig', alg: 'ES256' })] },
    { keys: [jwk(ec, { key_ops: ['verify'], x5c: ['AAAA'] }), jwk(rsa, { use: 'enc' })] },
    { keys: [secret, { kty: 'oct', k: 'AAAA', kid: 'c' }, { kty: 'OKP', crv: 'Ed25519', x: 'AAAA' }] },
    { keys: [jwk(ec, { kid: 'same' }), jwk(rsa, { kid: 'same' })] },
  ];
}
