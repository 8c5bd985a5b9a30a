import { mergeKeys } from './merge-keys.ts';
import type { PublicKey } from './public-key.ts';

/** A public JWK (RFC 7517 section 4), its members in the API server's order. */
type Jwk =
  | { readonly use: 'sig'; readonly kty: 'RSA'; kid: string; alg: string; n: string; e: string }
  | { readonly use: 'sig'; readonly kty: 'EC'; kid: string; crv: string; alg: string; x: string; y: string };

export interface JwkSet {
  readonly keys: readonly Jwk[];
}

/** The set in which every replica lists the same keys alike: each kid once, in the order of UTF-16 code units. */
export function jwkSet(given: Iterable<PublicKey>): JwkSet {
  const keys = [...mergeKeys(given).keys.values()].sort((a, b) => (a.kid < b.kid ? -1 : 1));
  return { keys: keys.map(toJwk) };
}

function toJwk(key: PublicKey): Jwk {
  const { kid } = key;
  if (key.kty === 'RSA') return { use: 'sig', kty: 'RSA', kid, alg: key.alg, n: key.n, e: key.e };
  return { use: 'sig', kty: 'EC', kid, crv: key.crv, alg: key.alg, x: key.x, y: key.y };
}
