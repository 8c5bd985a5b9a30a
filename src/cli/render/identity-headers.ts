/** The headers by which oauth2-proxy tells who calls, and in which a client may therefore try to be somebody else. */
export const IDENTITY_HEADERS = [
  ...['X-Forwarded-User', 'X-Forwarded-Email', 'X-Forwarded-Groups', 'X-Forwarded-Preferred-Username'],
  ...['X-Forwarded-Access-Token', 'X-Auth-Request-User', 'X-Auth-Request-Email', 'X-Auth-Request-Groups'],
  ...['X-Auth-Request-Preferred-Username', 'X-Auth-Request-Access-Token'],
] as const;

/**
 * For proxies that take each header of a list out of the request and write what oauth2-proxy answers, if that is anything:
 * the service gets the caller in X-Auth-Request-User, and neither the token nor what a client says of itself.
 */
export const REPLACED_HEADERS = [...IDENTITY_HEADERS, 'Authorization'] as const;
