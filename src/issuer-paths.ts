/** The paths under an issuer and the document that each one is. Served, published and counted by these names. */
export const DOCUMENT_PATHS = {
  '/.well-known/openid-configuration': 'metadata',
  '/openid/v1/jwks': 'jwks',
  // Where oauth2-proxy looks when discovery failed.
  '/.well-known/jwks.json': 'jwks',
  // Where the guides for AWS put it.
  '/keys.json': 'jwks',
} as const;

export type DocumentPath = keyof typeof DOCUMENT_PATHS;

/** Where clients begin: OpenID Connect Discovery 1.0 section 4. */
export const METADATA_PATH: DocumentPath = '/.well-known/openid-configuration';

/** The API server's own path, and the one that metadata names. */
export const JWKS_PATH: DocumentPath = '/openid/v1/jwks';

/** What paths are appended to: the issuer without one trailing slash (OpenID Connect Discovery 1.0 section 4.1). */
export function issuerBase(issuer: string): string {
  return issuer.endsWith('/') ? issuer.slice(0, -1) : issuer;
}

/** Where an issuer is asked for, whatever its scheme and trailing slash: no two may have the same. */
export function issuerPlace(issuer: string): string {
  const { host, pathname } = new URL(issuer);
  return host + issuerBase(pathname);
}
