import { issuerBase, JWKS_PATH } from '../src/issuer-paths.ts';
import type { PublicKey } from './public-key.ts';

/** OpenID Provider Metadata (OpenID Connect Discovery 1.0 section 3), as far as an issuer without logins has any. */
export interface ProviderMetadata {
  readonly issuer: string;
  readonly jwks_uri: string;
  readonly response_types_supported: readonly string[];
  readonly subject_types_supported: readonly string[];
  readonly id_token_signing_alg_values_supported: readonly string[];
  readonly claims_supported: readonly string[];
}

/** What every token of a ServiceAccount holds: kubernetes/pkg/serviceaccount/claims.go. */
const CLAIMS = ['iss', 'sub', 'aud', 'exp', 'iat', 'nbf', 'jti', 'kubernetes.io'];

/**
 * The issuer byte for byte as given. The algorithms are those of the keys, for verifiers take them as an allow-list.
 * There is no authorization_endpoint, not even an empty one: some consumers copy it into their own configuration.
 */
export function providerMetadata(issuer: string, keys: Iterable<PublicKey>): ProviderMetadata {
  const algorithms = new Set<string>();
  for (const { alg } of keys) algorithms.add(alg);
  return {
    issuer,
    jwks_uri: issuerBase(issuer) + JWKS_PATH,
    response_types_supported: ['id_token'],
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: [...algorithms].sort(),
    claims_supported: CLAIMS,
  };
}
