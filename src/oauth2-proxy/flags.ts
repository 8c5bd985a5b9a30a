import type { ProxyWishes } from './wishes.ts';

/**
 * The flags of oauth2-proxy, in a fixed order, for wishes without `brokenRules`. No secret is among them: with people,
 * OAUTH2_PROXY_CLIENT_ID, OAUTH2_PROXY_CLIENT_SECRET and OAUTH2_PROXY_COOKIE_SECRET are to be set; for machines alone a
 * cookie secret, which protects nothing then.
 */
export function oauth2ProxyFlags(wishes: ProxyWishes): string[] {
  const { people, callers, port, upstream, skipPaths, caFile } = wishes;
  return [
    '--provider=oidc',
    ...(people === undefined ? forMachines(wishes) : forPeople(wishes, people)),
    '--skip-jwt-bearer-tokens=true',
    // A bad token is a 403 then, and not a way to a login page.
    '--bearer-token-login-fallback=false',
    ...(callers === '*' ? ['--email-domain=*'] : [`--authenticated-emails-file=${callers.file}`]),
    // An absent host is all addresses, of both families where the node has both.
    `--http-address=:${port}`,
    `--upstream=${item(upstream)}`,
    ...skipPaths.map((path) => `--skip-auth-route=${item(`GET=^${escapeExpression(path)}$`)}`),
    ...(caFile === undefined ? [] : [`--provider-ca-file=${item(caFile)}`]),
  ];
}

/** The cluster's issuer is the main one: without it oauth2-proxy does not start, which is better than half a trust. */
function forMachines({ issuer, audiences }: ProxyWishes): string[] {
  const [first = '', ...others] = audiences;
  return [
    `--oidc-issuer-url=${issuer}`,
    `--client-id=${first}`,
    // There is no other issuer that this could widen, too.
    ...others.map((audience) => `--oidc-extra-audience=${item(audience)}`),
    // It has to be there. Nobody can log in: the issuer has no token endpoint, and no session is ever valid.
    '--client-secret=unused',
    ...NO_SESSIONS,
  ];
}

/**
 * A session in a cookie counts for as long as its time lies after now less the first (pkg/encryption/utils.go,
 * Validate): in the future, further than any clock may be wrong. The second must be less than the first.
 */
const NO_SESSIONS = ['--cookie-expire=-1h', '--cookie-refresh=-2h'];

/** Each audience has an entry of its own: `oidc-extra-audience` would count for the people's issuer as well. */
function forPeople({ issuer, audiences, caFile }: ProxyWishes, people: NonNullable<ProxyWishes['people']>): string[] {
  return [
    `--oidc-issuer-url=${people.issuer}`,
    `--redirect-url=${people.redirectUrl}`,
    ...people.emailDomains.map((domain) => `--email-domain=${item(domain)}`),
    '--skip-provider-button=true',
    ...audiences.map((audience) => `--extra-jwt-issuers=${item(`${issuer}=${audience}`)}`),
    // A CA counts for both issuers, and without this it would be the only one.
    ...(caFile === undefined ? [] : ['--use-system-trust-store=true']),
  ];
}

/** One item of a flag that takes a line of comma-separated values (RFC 4180). */
function item(value: string): string {
  return /[",\r\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value;
}

function escapeExpression(path: string): string {
  return path.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
}
