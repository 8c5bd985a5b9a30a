/** Who asks the oauth2-proxy of oauth2-proxy-double.ts, and what is refused at every proxy before it. */

export const CALLER = 'system:serviceaccount:shop:web';
/** The tokens that it takes; the second one's ServiceAccount is not let in. */
export const TOKENS = { good: CALLER, other: 'system:serviceaccount:shop:other' };
export const GOOD = { Authorization: 'Bearer good' };

/** Headers by which a client may try to be somebody else; written here again, so that those of render are judged. */
export const CLAIMED = Object.fromEntries(
  ['User', 'Email', 'Groups', 'Preferred-Username', 'Access-Token']
    .flatMap((name) => [`X-Forwarded-${name}`, `X-Auth-Request-${name}`])
    .map((name) => [name, 'root']),
);

/** Those of these that arrived somewhere. */
export const rootsIn = (headers: object = {}) => Object.entries(headers).filter(([, value]) => value === 'root');

/** What a request has, its headers, and the status of the answer. */
export const REFUSED = [
  ['no token', {}, 401],
  ['a token that is not good', { Authorization: 'Bearer expired' }, 403],
  ['the token of another ServiceAccount', { Authorization: 'Bearer other' }, 403],
  ['another scheme', { Authorization: 'Basic good' }, 403],
  ['nothing but headers that claim a caller', CLAIMED, 401],
  ['a cookie', { Cookie: '_oauth2_proxy=good' }, 401],
] as const;

/** Some of them are let through by careless settings. */
export const REFUSED_AT = ['/', '/ping', '/ready', '/robots.txt', '/oauth2/auth', '/?allowed_emails=x'];
