import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import type { PublicKey } from '../../discovery/public-key.ts';
import { publicKeysFromPem } from '../../discovery/read-keys.ts';

/** Keys and encodings for the tests of discovery. Every key is made when it is asked for. */

export interface KeyPair {
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
}

/**
 * By way of PEM: Node 20 stands still for ever when it collects the leftovers of a key's generation while it exports
 * that very key as a JWK, as both take the same lock.
 */
const read = ({ publicKey, privateKey }: KeyPair): KeyPair => ({
  publicKey: createPublicKey(pem({ publicKey })),
  privateKey: createPrivateKey(privateKey.export({ type: 'pkcs8', format: 'pem' })),
});

export function rsa(modulusLength = 2048, publicExponent = 65_537): KeyPair {
  return read(generateKeyPairSync('rsa', { modulusLength, publicExponent }));
}

export function ec(namedCurve = 'P-256'): KeyPair {
  return read(generateKeyPairSync('ec', { namedCurve }));
}

export function ed25519(): KeyPair {
  return read(generateKeyPairSync('ed25519'));
}

export function spki(key: KeyObject): Buffer {
  return key.export({ type: 'spki', format: 'der' });
}

/** PEM of SubjectPublicKeyInfo. */
export function pem({ publicKey }: { readonly publicKey: KeyObject }): string {
  return publicKey.export({ type: 'spki', format: 'pem' }).toString();
}

export function block(label: string, der: Buffer): string {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? [];
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ''].join('\n');
}

/** As the API server computes it, from node's own export. */
export function expectedKid({ publicKey }: { readonly publicKey: KeyObject }): string {
  return createHash('sha256').update(spki(publicKey)).digest('base64url');
}

/** The key as podpass publishes it, perhaps under another ID. */
export function published(pair: { readonly publicKey: KeyObject }, kid?: string): PublicKey {
  const [key] = publicKeysFromPem(pem(pair), 'test').keys;
  if (key === undefined) throw new Error('not a key that can be published');
  return kid === undefined ? key : { ...key, kid };
}

/** The public JWK with other members beside it. */
export function jwk(
  { publicKey }: { readonly publicKey: KeyObject },
  more: Record<string, unknown> = {},
): Record<string, unknown> {
  return { ...publicKey.export({ format: 'jwk' }), ...more };
}

export function jwks(...keys: readonly unknown[]): string {
  return JSON.stringify({ keys });
}

/** One DER element. */
export function der(tag: number, ...parts: readonly Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  const { length } = content;
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...size]), content]);
}

/** A self-signed X.509 certificate that has long expired, which does not matter for its key. */
export function certificate({ publicKey, privateKey }: KeyPair): Buffer {
  const oid = publicKey.asymmetricKeyType === 'ec' ? '06082a8648ce3d040302' : '06092a864886f70d01010b0500';
  const algorithm = der(0x30, Buffer.from(oid, 'hex'));
  const name = der(0x30);
  const validity = der(0x30, der(0x17, Buffer.from('200101000000Z')), der(0x17, Buffer.from('200102000000Z')));
  const version = der(0xa0, Buffer.from('020102', 'hex'));
  const serial = Buffer.from('020101', 'hex');
  const tbs = der(0x30, version, serial, algorithm, name, validity, name, spki(publicKey));
  return der(0x30, tbs, algorithm, der(0x03, Buffer.from([0]), sign('sha256', tbs, privateKey)));
}

/** SubjectPublicKeyInfo of a P-256 key with its point in the compressed form (SEC 1 section 2.3.3). */
export function compressed({ publicKey }: { readonly publicKey: KeyObject }): Buffer {
  const point = spki(publicKey).subarray(-65);
  const sign = 2 + ((point.at(-1) ?? 0) & 1);
  const head = Buffer.from('3039301306072a8648ce3d020106082a8648ce3d030107032200', 'hex');
  return Buffer.concat([head, Buffer.from([sign]), point.subarray(1, 33)]);
}
