import { createPublicKey } from 'node:crypto';
import { CURVES } from '../../../discovery/public-key.ts';
import { quote } from '../../fault.ts';
import type { Fetched, Jwk } from './observation.ts';

/** The keys of a JWK Set as they are written; absent where it is none. */
export function keysOf(jwks: Pick<Fetched, 'json'> | undefined): readonly Jwk[] | undefined {
  const keys = jwks?.json?.keys;
  return Array.isArray(keys) ? keys.filter((key) => typeof key === 'object' && key !== null) : undefined;
}

/** `the key "abc"`, or its place in the list, counted from 1. */
export function nameOfKey(key: Jwk, index: number): string {
  return typeof key.kid === 'string' && key.kid !== '' ? `the key ${quote(key.kid)}` : `key ${index + 1} of the set`;
}

/** The algorithm that a key is for: what it says, else what its type tells (RFC 7518 section 3.4). */
export function algorithmOf(key: Jwk): string | undefined {
  if (typeof key.alg === 'string') return key.alg;
  if (key.kty === 'RSA') return 'RS256';
  return CURVES.find(({ crv }) => crv === key.crv)?.alg;
}

/** Whether the type and the curve are ones that API servers sign with. */
export function isKnown(key: Jwk): boolean {
  return key.kty === 'RSA' || (key.kty === 'EC' && CURVES.some(({ crv }) => crv === key.crv));
}

/** Bits of an RSA key's modulus, without leading zeros; absent for others. */
export function rsaBits(key: Jwk): number | undefined {
  if (key.kty !== 'RSA' || typeof key.n !== 'string') return undefined;
  const digits = Buffer.from(key.n, 'base64url').toString('hex').replace(/^0+/, '');
  return digits === '' ? 0 : BigInt(`0x${digits}`).toString(2).length;
}

/** Whether a key of a known type can be loaded, and is for the algorithm that it says. */
export function isUsable(key: Jwk): boolean {
  const expected = key.kty === 'RSA' ? /^(RS|PS)(256|384|512)$/ : CURVES.find(({ crv }) => crv === key.crv)?.alg;
  if (key.alg !== undefined && !(typeof key.alg === 'string' && matches(key.alg, expected))) return false;
  const { kty, crv, n, e, x, y } = key as Readonly<Record<string, string>>;
  try {
    createPublicKey({ format: 'jwk', key: JSON.parse(JSON.stringify({ kty, crv, n, e, x, y })) });
    return true;
  } catch {
    return false;
  }
}

function matches(alg: string, expected: RegExp | string | undefined): boolean {
  return expected instanceof RegExp ? expected.test(alg) : alg === expected;
}

/** What makes two keys the same, whatever else is written beside it. */
export function materialOf({ kty, crv, n, e, x, y }: Jwk): string {
  return JSON.stringify([kty, crv, n, e, x, y]);
}
