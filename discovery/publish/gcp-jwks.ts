import { jwkSet } from '../jwk-set.ts';
import type { PublicKey } from '../public-key.ts';

/** What a workload identity provider of Google Cloud verifies: cloud.google.com/iam/docs/workload-identity-federation. */
const ALGORITHMS: ReadonlySet<string> = new Set(['RS256', 'ES256']);

/**
 * The JWK Set to upload to a workload identity provider, with no other member than it accepts (kty, alg, use, kid, n, e,
 * x, y, crv), and the keys that it cannot use.
 */
export function gcpJwks(keys: readonly PublicKey[]): { readonly text: string; readonly unusable: PublicKey[] } {
  const usable = keys.filter(({ alg }) => ALGORITHMS.has(alg));
  const unusable = keys.filter(({ alg }) => !ALGORITHMS.has(alg));
  return { text: `${JSON.stringify(jwkSet(usable), undefined, 2)}\n`, unusable };
}
