/** Verifiers whose own rules `podpass doctor` knows, by the name that `--target` takes. */
export const targetNames = [
  ...(['aws', 'azure', 'gcp', 'vault', 'oauth2-proxy', 'istio', 'envoy', 'keycloak', 'authentik', 'minio'] as const),
  ...(['kafka', 'jose', 'pyjwt', 'nimbus', 'go-oidc'] as const),
] as const;

export type Target = (typeof targetNames)[number];
