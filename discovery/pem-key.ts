import { createPrivateKey, createPublicKey, type KeyObject, X509Certificate } from 'node:crypto';
import type { PemBlock } from './pem-blocks.ts';
import { type Judged, judge, refusal } from './public-key.ts';

const INTEGER = 0x02;
const OCTET_STRING = 0x04;
const SEQUENCE = 0x30;

/**
 * The public key of one block. The API server looks at the bytes and not at the label (client-go/util/keyutil/key.go,
 * ParsePublicKeysPEM), and HyperShift relies on that; so it is here. node:crypto would turn a private key into its
 * public half without a word, hence the bytes are told apart before it sees them.
 */
export function pemKey(block: PemBlock, options: { readonly allowPrivateKeys: boolean }): Judged {
  const { label, der } = block;
  const isPrivate = /PRIVATE KEY$/.test(label) || (der !== undefined && privateForm(der) !== undefined);
  if (block.encrypted || label === 'ENCRYPTED PRIVATE KEY') {
    return refusal('private', 'is an encrypted private key; accepted: its public key');
  }
  if (der === undefined) return refusal('malformed', `is cut off or is not base64 (${shown(label)})`);
  try {
    const key = wholeElement(der) ? publicKey(der) : undefined;
    if (key !== undefined) return judge(key);
    if (!isPrivate) return refusal('malformed', `cannot be read as a public key or a certificate (${shown(label)})`);
    if (!options.allowPrivateKeys) {
      return refusal('private', 'is a private key; accepted: its public key, or --allow-private-keys');
    }
    return judge(publicHalf(der));
  } catch {
    // OpenSSL's errors say nothing that helps, and may hold bytes of the input.
    if (isPrivate) return refusal('private', 'is a private key that cannot be read; accepted: its public key');
    return refusal('malformed', `cannot be read as a public key or a certificate (${shown(label)})`);
  }
}

/** A public key by its form: PKCS#1 (RFC 8017 A.1.1), SubjectPublicKeyInfo (RFC 5280 4.1) or an X.509 certificate. */
function publicKey(der: Buffer): KeyObject | undefined {
  const inner = contentOffset(der);
  if (der[inner] === INTEGER) {
    return privateForm(der) === undefined ? createPublicKey({ key: der, format: 'der', type: 'pkcs1' }) : undefined;
  }
  if (der[inner] !== SEQUENCE) return undefined;
  try {
    return createPublicKey({ key: der, format: 'der', type: 'spki' });
  } catch {
    return new X509Certificate(der).publicKey;
  }
}

/**
 * The form of a private key: they all start with a version, 0 or 1, and differ in what follows. PKCS#1: the modulus
 * (RFC 8017 A.1.2); PKCS#8: the algorithm (RFC 5208 5, RFC 5958 2); SEC1: the key's bytes (RFC 5915 3).
 */
function privateForm(der: Buffer): 'pkcs1' | 'pkcs8' | 'sec1' | undefined {
  const at = contentOffset(der);
  const version = der[at + 2] ?? 255;
  if (der[0] !== SEQUENCE || der[at] !== INTEGER || der[at + 1] !== 1 || version > 1) return undefined;
  switch (der[at + 3]) {
    case INTEGER:
      return 'pkcs1';
    case SEQUENCE:
      return 'pkcs8';
    case OCTET_STRING:
      return 'sec1';
    default:
      return undefined;
  }
}

function publicHalf(der: Buffer): KeyObject {
  const type = privateForm(der);
  if (type === undefined || !wholeElement(der)) throw new TypeError('not a private key');
  const half = createPublicKey(createPrivateKey({ key: der, format: 'der', type }));
  try {
    // How the point was written in the private key does not matter: API servers compute it anew.
    return createPublicKey({ format: 'jwk', key: half.export({ format: 'jwk' }) });
  } catch {
    return half;
  }
}

/** True where the bytes are one DER element and nothing after it, as Go demands and OpenSSL does not. */
function wholeElement(der: Buffer): boolean {
  const start = contentOffset(der);
  const lengthBytes = start - 2;
  const length = lengthBytes === 0 ? (der[1] ?? 0) : lengthBytes <= 4 ? der.readUIntBE(2, lengthBytes) : -1;
  return der[0] === SEQUENCE && start + length === der.length;
}

/** Where the content of the outer element starts: ITU-T X.690 section 8.1.3. */
function contentOffset(der: Buffer): number {
  const first = der[1] ?? 0;
  return first < 0x80 ? 2 : 2 + (first & 0x7f);
}

/** A label is free text, so only those of the usual kind are repeated. */
function shown(label: string): string {
  return /^[A-Z0-9][A-Z0-9 ]{0,39}$/.test(label) ? `a block ${label}` : 'a block of another kind';
}
