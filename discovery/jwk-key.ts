import { createPublicKey } from 'node:crypto';
import {
  CURVES,
  type Judged,
  judge,
  MAX_RSA_BITS,
  refusal,
  unsupportedCurve,
  unsupportedRsaSize,
  unsupportedType,
} from './public-key.ts';

/** The members that hold secrets: RFC 7518 sections 6.2.2, 6.3.2 and 6.4.1. */
export const PRIVATE_MEMBERS = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k'];
/** External signers may choose any ID of up to this length (k8s.io/externaljwt, PublicKey.key_id). */
const MAX_KID_LENGTH = 1024;

type Members = Readonly<Record<string, unknown>>;

/** The public key of one JWK (RFC 7517 section 4). Of its members only the allowed ones are read at all. */
export function jwkKey(value: unknown): Judged {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return refusal('malformed', 'is not a JSON object');
  }
  const jwk = value as Members;
  const { kid: given } = jwk;
  const kid = isKid(given) ? given : undefined;
  const secret = PRIVATE_MEMBERS.find((name) => Object.hasOwn(jwk, name));
  if (secret !== undefined) return refusal('private', `has the private member "${secret}"`, kid);
  if (given !== undefined && kid === undefined) {
    return refusal('kid', `has a "kid" that is not a string of 1 to ${MAX_KID_LENGTH} characters`);
  }
  if (jwk.use !== undefined && jwk.use !== 'sig') {
    return refusal('use', `has the "use" ${word(jwk.use)}; accepted: sig`, kid);
  }
  if (jwk.key_ops !== undefined && !(Array.isArray(jwk.key_ops) && jwk.key_ops.includes('verify'))) {
    return refusal('use', 'has "key_ops" without "verify"', kid);
  }
  const judged = material(jwk, kid);
  // A key is for one algorithm (RFC 7517 section 4.4), and API servers sign with the one computed here.
  if (judged.ok && jwk.alg !== undefined && jwk.alg !== judged.key.alg) {
    return refusal('algorithm', `has the "alg" ${word(jwk.alg)}; accepted for this key: ${judged.key.alg}`, kid);
  }
  return judged;
}

function material(jwk: Members, kid: string | undefined): Judged {
  if (jwk.kty === 'RSA') return rsa(jwk, kid);
  if (jwk.kty === 'EC') return ec(jwk, kid);
  if (jwk.kty === 'OKP') return unsupportedType(word(jwk.crv), kid);
  return unsupportedType(word(jwk.kty), kid);
}

/** RFC 7518 section 6.3.1: the fewest bytes. */
function rsa(jwk: Members, kid: string | undefined): Judged {
  const n = bytes(jwk.n);
  const e = bytes(jwk.e);
  if (n === undefined || e === undefined) return refusal('malformed', 'has no "n" or "e" in base64url', kid);
  if (n.length * 8 > MAX_RSA_BITS) return unsupportedRsaSize(n.length * 8, kid);
  if (e.length > 8) return refusal('rsa_exponent', 'has a public exponent of over 64 bits', kid);
  return imported({ kty: 'RSA', n: n.toString('base64url'), e: e.toString('base64url') }, kid);
}

/** RFC 7518 section 6.2.1.2: the full width of the curve. */
function ec(jwk: Members, kid: string | undefined): Judged {
  const row = CURVES.find(({ crv }) => crv === jwk.crv);
  if (row === undefined) return unsupportedCurve(word(jwk.crv), kid);
  const x = bytes(jwk.x);
  const y = bytes(jwk.y);
  if (x === undefined || y === undefined) return refusal('malformed', 'has no "x" or "y" in base64url', kid);
  if (x.length > row.width || y.length > row.width) {
    return refusal('malformed', `has a coordinate of over ${row.width} bytes`, kid);
  }
  const wide = (part: Buffer) => Buffer.concat([Buffer.alloc(row.width - part.length), part]).toString('base64url');
  return imported({ kty: 'EC', crv: row.crv, x: wide(x), y: wide(y) }, kid);
}

function imported(jwk: { kty: string; crv?: string; n?: string; e?: string; x?: string; y?: string }, kid?: string) {
  try {
    return judge(createPublicKey({ format: 'jwk', key: jwk }), kid);
  } catch {
    return refusal('malformed', jwk.kty === 'EC' ? `is not a point on ${jwk.crv}` : 'is not an RSA key', kid);
  }
}

/** The number without leading zero bytes; either alphabet of base64 and padding are understood. */
function bytes(value: unknown): Buffer | undefined {
  if (typeof value !== 'string' || !/^[A-Za-z0-9_+/-]+={0,2}$/.test(value)) return undefined;
  if (value.replace(/=+$/, '').length % 4 === 1) return undefined;
  const all = Buffer.from(value, 'base64url');
  const start = all.findIndex((byte) => byte !== 0);
  return start === -1 ? undefined : all.subarray(start);
}

function isKid(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && value.length <= MAX_KID_LENGTH;
}

/** A foreign value is repeated only where it looks like a name, so that nothing else can reach a log. */
function word(value: unknown): string {
  return typeof value === 'string' && /^[A-Za-z0-9][A-Za-z0-9._-]{0,23}$/.test(value) ? value : 'unknown';
}
