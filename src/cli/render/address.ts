import { dnsLabel } from '../../codec.ts';
import { type Facts, needed, subjectsOf } from './facts.ts';

/** oauth2-proxy's question for one request, which lets in these callers and nobody else: 202, 401 or 403. */
export function authAddress(facts: Facts): string {
  const callers = subjectsOf(facts).map((subject) => encodeURIComponent(subject).replaceAll('%3A', ':'));
  return `${needed(facts, 'authUrl').replace(/\/+$/, '')}/oauth2/auth?allowed_emails=${callers.join(',')}`;
}

/**
 * The path before the one that is asked about, in questions of Envoy. Envoy takes 200 alone for a yes, and oauth2-proxy
 * answers /oauth2/auth with 202 (envoyproxy/gateway#4562), so the question goes to an upstream static://200. And under a
 * path of its own, as oauth2-proxy answers /ping, /ready and /robots.txt with 200 to everybody (oauth2-proxy#3083).
 */
export const CHECK_PATH = '/podpass-check';

/** What oauth2-proxy tells about the caller with --set-xauthrequest. */
export const CALLER_HEADERS = ['x-auth-request-user', 'x-auth-request-email'];

/** What must be so where Envoy asks oauth2-proxy. */
export const envoyChecks: readonly string[] = [
  'oauth2-proxy verifies the tokens: render it by podpass render oauth2-proxy without --service-url, so that it answers 200 itself. Envoy takes 200 alone for a yes, and /oauth2/auth answers 202.',
  'oauth2-proxy knows the callers, by --authenticated-emails-file: here nothing can name them.',
  `Questions come under ${CHECK_PATH}, as oauth2-proxy answers /ping, /ready and /robots.txt with 200 to everybody. Ask for /ping without a token: it must be refused.`,
  'oauth2-proxy has neither --skip-auth-route nor, without --trusted-proxy-ip, --reverse-proxy.',
];

export interface Endpoint {
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
  /** As in the URL, "/" at least, with the query. */
  readonly path: string;
}

export function endpointOf(url: string): Endpoint {
  const { protocol, hostname, port, pathname, search } = new URL(url);
  const tls = protocol === 'https:';
  const host = hostname.replace(/^\[(.*)\]$/, '$1');
  return { host, port: port === '' ? (tls ? 443 : 80) : Number(port), tls, path: pathname + search };
}

export interface ServiceRef {
  readonly name: string;
  readonly namespace: string;
  readonly port: number;
}

/** The Service that a URL names: `http://oauth2-proxy.auth.svc:4180`. Nothing where it is another name. */
export function serviceOf(url: string): ServiceRef | undefined {
  const { host, port } = endpointOf(url);
  const [name = '', namespace = '', svc, ...domain] = host.split('.');
  if (!dnsLabel.parse(name).ok || !dnsLabel.parse(namespace).ok) return undefined;
  if (svc !== 'svc' || (domain.length > 0 && domain.join('.') !== 'cluster.local')) return undefined;
  return { name, namespace, port };
}

/** The same where a rule has seen that it is one. */
export function serviceRef(url: string): ServiceRef {
  const found = serviceOf(url);
  if (found === undefined) throw new TypeError('the URL names no Service');
  return found;
}
