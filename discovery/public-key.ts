import { createHash, createPublicKey, type KeyObject } from 'node:crypto';
import { quote } from '../src/fault.ts';

type Curve = 'P-256' | 'P-384' | 'P-521';

/** A key that can be published; the members are those of RFC 7518 section 6, base64url in their one canonical form. */
interface RsaPublicKey {
  readonly kid: string;
  readonly kty: 'RSA';
  readonly alg: 'RS256';
  readonly n: string;
  readonly e: string;
}

interface EcPublicKey {
  readonly kid: string;
  readonly kty: 'EC';
  readonly crv: Curve;
  readonly alg: 'ES256' | 'ES384' | 'ES512';
  readonly x: string;
  readonly y: string;
}

export type PublicKey = RsaPublicKey | EcPublicKey;

/** Every reason for which a key is not published. */
export type RefusalReason =
  | 'private'
  | 'malformed'
  | 'unsupported_type'
  | 'unsupported_curve'
  | 'rsa_size'
  | 'rsa_exponent'
  | 'encoding'
  | 'kid'
  | 'use'
  | 'algorithm';

export interface Refusal {
  /** The key's ID where it is known. */
  readonly kid?: string;
  readonly reason: RefusalReason;
  /** What is wrong and what is accepted, after "the key …"; never key material. */
  readonly message: string;
}

/** A refusal with the place of the key. */
export interface RefusedKey extends Refusal {
  /** A file's path, or the name of the source. */
  readonly source: string;
  /** The PEM block or the member of `keys`, counted from 1; 0 stands for the whole file. */
  readonly position: number;
}

/** What a text or a source gives: the keys in its order, repeats included, and the ones that cannot be published. */
export interface KeyReading {
  readonly keys: readonly PublicKey[];
  readonly refused: readonly RefusedKey[];
}

export type Judged = { readonly ok: true; readonly key: PublicKey } | { readonly ok: false; readonly refusal: Refusal };

interface CurveRow {
  readonly crv: Curve;
  readonly alg: EcPublicKey['alg'];
  /** The curve's name in node:crypto. */
  readonly namedCurve: string;
  /** Bytes of a coordinate: RFC 7518 section 6.2.1.2. */
  readonly width: number;
}

/** Curve and algorithm belong together: RFC 7518 section 3.4. */
export const CURVES: readonly CurveRow[] = [
  { crv: 'P-256', alg: 'ES256', namedCurve: 'prime256v1', width: 32 },
  { crv: 'P-384', alg: 'ES384', namedCurve: 'secp384r1', width: 48 },
  { crv: 'P-521', alg: 'ES512', namedCurve: 'secp521r1', width: 66 },
];

/** RFC 7518 section 3.3. */
const MIN_RSA_BITS = 2048;
/** What OpenSSL verifies at most (OPENSSL_RSA_MAX_MODULUS_BITS). */
export const MAX_RSA_BITS = 16_384;
/** Go's crypto/rsa refuses larger ones, and with them many verifiers. */
const MAX_RSA_EXPONENT = 2n ** 31n - 1n;

const ACCEPTED = 'accepted: RSA from 2048 bits, EC on P-256, P-384 or P-521';
/** How people call what node:crypto names otherwise. */
const NAMES: Readonly<Record<string, string>> = {
  'rsa-pss': 'RSA-PSS',
  dsa: 'DSA',
  dh: 'Diffie-Hellman',
  ed25519: 'Ed25519',
  ed448: 'Ed448',
  x25519: 'X25519',
  x448: 'X448',
  secp224r1: 'P-224',
};

export function refusal(reason: RefusalReason, message: string, kid?: string): { ok: false; refusal: Refusal } {
  return { ok: false, refusal: { ...(kid === undefined ? {} : { kid }), reason, message } };
}

/** "is of type Ed25519; accepted: …" */
export function unsupportedType(name: string, kid?: string): Judged {
  return refusal('unsupported_type', `is of type ${NAMES[name] ?? name}; ${ACCEPTED}`, kid);
}

export function unsupportedCurve(name: string, kid?: string): Judged {
  return refusal('unsupported_curve', `is on the curve ${NAMES[name] ?? name}; ${ACCEPTED}`, kid);
}

export function unsupportedRsaSize(bits: number, kid?: string): Judged {
  return refusal('rsa_size', `has ${bits} bits; accepted: ${MIN_RSA_BITS} to ${MAX_RSA_BITS}`, kid);
}

/**
 * The key as it is published, or why it is not. Without a `kid` it gets base64url(SHA-256(SPKI DER)), as the API server
 * computes it (kubernetes/pkg/serviceaccount/jwt.go, keyIDFromPublicKey); so do the algorithms (openidmetadata.go there).
 */
export function judge(key: KeyObject, kid?: string): Judged {
  const type = key.asymmetricKeyType;
  if (type === 'rsa') return judgeRsa(key, kid);
  if (type === 'ec') return judgeEc(key, kid);
  return unsupportedType(type ?? 'unknown', kid);
}

function judgeRsa(key: KeyObject, given: string | undefined): Judged {
  const { modulusLength = 0, publicExponent = 0n } = key.asymmetricKeyDetails ?? {};
  const kid = given ?? keyId(key);
  if (modulusLength < MIN_RSA_BITS || modulusLength > MAX_RSA_BITS) return unsupportedRsaSize(modulusLength, kid);
  if (publicExponent < 3n || publicExponent % 2n === 0n || publicExponent > MAX_RSA_EXPONENT) {
    return refusal('rsa_exponent', 'has an unusable public exponent; accepted: an odd number from 3 to 2^31-1', kid);
  }
  const { n = '', e = '' } = key.export({ format: 'jwk' });
  const lowest = Buffer.from(n, 'base64url').at(-1) ?? 0;
  if (lowest % 2 === 0) return refusal('malformed', 'has an even modulus, which is no product of primes', kid);
  return { ok: true, key: { kid, kty: 'RSA', alg: 'RS256', n, e } };
}

function judgeEc(key: KeyObject, given: string | undefined): Judged {
  const namedCurve = key.asymmetricKeyDetails?.namedCurve ?? 'unknown';
  const row = CURVES.find((each) => each.namedCurve === namedCurve);
  if (row === undefined) return unsupportedCurve(namedCurve, given ?? keyId(key));
  const { x = '', y = '' } = key.export({ format: 'jwk' });
  const { crv, alg } = row;
  // Compressed points and spelled-out curves survive an export as they are, and would give another key ID.
  const canonical = createPublicKey({ format: 'jwk', key: { kty: 'EC', crv, x, y } });
  const kid = given ?? keyId(canonical);
  if (!spki(canonical).equals(spki(key))) {
    return refusal(
      'encoding',
      'has a compressed point or a curve by parameters, which API servers do not read; accepted: a named curve and an uncompressed point',
      kid,
    );
  }
  return { ok: true, key: { kid, kty: 'EC', crv, alg, x, y } };
}

/** True where both are the same key, whatever their IDs. */
export function sameMaterial(a: PublicKey, b: PublicKey): boolean {
  if (a.kty === 'RSA') return b.kty === 'RSA' && a.n === b.n && a.e === b.e;
  return b.kty === 'EC' && a.crv === b.crv && a.x === b.x && a.y === b.y;
}

/** `keys.pem, key 2 (kid "abc") is of type Ed25519; accepted: …` */
export function describeRefused({ source, position, kid, message }: RefusedKey): string {
  if (position === 0) return `${source} ${message}`;
  return `${source}, key ${position}${kid === undefined ? '' : ` (kid ${quote(kid)})`} ${message}`;
}

function keyId(key: KeyObject): string {
  return createHash('sha256').update(spki(key)).digest('base64url');
}

function spki(key: KeyObject): Buffer {
  return key.export({ type: 'spki', format: 'der' });
}
