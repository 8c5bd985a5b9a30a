import { type Codec, dnsLabel, issuerUrl, isUnsafeIssuer, objectName, port } from '../codec.ts';
import type { ProxyWishes } from './wishes.ts';

/** Something that wishes must not ask for, and the member that asks. */
export interface BrokenRule {
  readonly of: keyof ProxyWishes | `people.${keyof NonNullable<ProxyWishes['people']>}`;
  /** Absent where nothing is written. */
  readonly value?: string;
  /** Continues the value: `"*" would let every ServiceAccount in`. */
  readonly wrong: string;
  readonly accepted: string;
}

/** Everything that would open what is to be protected, or could not work; empty where `oauth2ProxyFlags` may be used. */
export function brokenRules(wishes: ProxyWishes): BrokenRule[] {
  const { issuer, audiences, callers, people } = wishes;
  const broken: BrokenRule[] = [];
  const refuse = (of: BrokenRule['of'], value: string, wrong: string, accepted: string) =>
    broken.push({ of, value, wrong, accepted });
  const miss = (of: BrokenRule['of'], accepted: string, why = '') =>
    broken.push({ of, wrong: `is not written${why}`, accepted });

  // What a cluster calls itself need not be a URL, and then it has no documents to read.
  const parsedIssuer = issuerUrl.parse(issuer);
  if (!parsedIssuer.ok) refuse('issuer', issuer, parsedIssuer.wrong, issuerUrl.accepted);
  if (isUnsafe(issuer)) refuse('issuer', issuer, 'proves nothing, as anyone on the way can change its keys', 'https');
  if (audiences.length === 0)
    miss('audiences', 'the audiences of tokens for this application', ', so that no token would do');
  if (wishes.port === 0) refuse('port', '0', 'is a port that nobody knows beforehand', 'a port from 1 to 65535');
  for (const path of wishes.skipPaths) {
    const parsed = openPath.parse(path);
    if (!parsed.ok) refuse('skipPaths', path, parsed.wrong, openPath.accepted);
  }
  if (people === undefined) return broken;

  if (people.issuer === '') miss('people.issuer', issuerUrl.accepted);
  else if (people.issuer === issuer)
    refuse('people.issuer', issuer, "is the cluster's own, where no person can log in", "your people's issuer");
  if (isUnsafe(people.issuer))
    refuse('people.issuer', people.issuer, 'proves nothing, as anyone on the way can change its keys', 'https');
  if (issuer.includes('='))
    refuse('issuer', issuer, 'has "=" in it, at which oauth2-proxy cuts it', 'machines alone for such an issuer');
  if (people.emailDomains.includes('*') && callers !== '*')
    refuse(
      'people.emailDomains',
      '*',
      'would let every ServiceAccount in, whatever the callers',
      "your people's domains",
    );
  if (callers === '*' && !people.emailDomains.includes('*'))
    refuse('callers', '*', 'would let every person in, whatever the domains', 'ServiceAccounts, or "*" for both');
  if (people.emailDomains.length === 0 && callers !== '*' && !callers.hasPeople)
    miss('people.emailDomains', "your people's domains", ', so that no person could come in');
  for (const domain of people.emailDomains)
    if (domain !== '*' && !emailDomain.test(domain))
      refuse('people.emailDomains', domain, 'is no domain', 'a domain, such as example.com or .example.com');
  const { redirectUrl } = people;
  if (redirectUrl === '') miss('people.redirectUrl', REDIRECT_URL);
  else if (!URL.canParse(redirectUrl) || !/^https?:$/.test(new URL(redirectUrl).protocol))
    refuse('people.redirectUrl', redirectUrl, 'is no URL', REDIRECT_URL);
  else if (isUnsafeIssuer(redirectUrl))
    refuse('people.redirectUrl', redirectUrl, 'is not https, so that browsers keep no session', REDIRECT_URL);
  else if (new URL(redirectUrl).pathname !== '/oauth2/callback')
    refuse('people.redirectUrl', redirectUrl, 'is not where oauth2-proxy takes the answer', REDIRECT_URL);
  return broken;
}

const REDIRECT_URL = 'https://<host of the application>/oauth2/callback';

const emailDomain = /^(\*?\.)?[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*$/;

function isUnsafe(issuer: string): boolean {
  return issuerUrl.parse(issuer).ok && isUnsafeIssuer(issuer);
}

/**
 * A path that is open to all, compared as a whole. No patterns: what stands behind a prefix is another path for the
 * application where it has `..` or a second slash, encoded in a way that oauth2-proxy leaves as it is.
 */
export const openPath: Codec<string> = {
  metavar: 'PATH',
  accepted: 'one whole path of letters, digits and - . _ ~ /, such as /healthz, without patterns, "." or ".."',
  parse(path) {
    const bad = (wrong: string) => ({ ok: false, wrong }) as const;
    if (!path.startsWith('/')) return bad('does not begin with "/"');
    if (!/^[A-Za-z0-9._~/-]+$/.test(path)) return bad('has other characters in it');
    const parts = path.slice(1).split('/');
    const isOdd = (part: string, index: number) =>
      part === '.' || part === '..' || (part === '' && index < parts.length - 1);
    if (parts.some(isOdd)) return bad('has empty parts, "." or ".."');
    if (path.startsWith('/oauth2/') || path === '/oauth2') return bad("is one of oauth2-proxy's own");
    return { ok: true, value: path };
  },
};

/** The subject of a ServiceAccount's tokens: apiserver/pkg/authentication/serviceaccount/util.go, MakeUsername. */
export const callerName: Codec<string> = {
  metavar: 'CALLER',
  accepted: 'system:serviceaccount:<namespace>:<name>',
  parse(text) {
    const [, namespace = '', name = ''] = /^system:serviceaccount:([^:]*):([^:]*)$/.exec(text) ?? [];
    const valid = dnsLabel.parse(namespace).ok && objectName.parse(name).ok;
    return valid ? { ok: true, value: text } : { ok: false, wrong: 'is no ServiceAccount' };
  },
};

/** v7.15.3: everything before v7.15.2 lets requests in that are not authenticated (GHSA-7x63-xv5r-3p2x). */
const OLDEST = [7, 15, 3] as const;

export const DEFAULT_IMAGE = `quay.io/oauth2-proxy/oauth2-proxy:v${OLDEST.join('.')}`;

/** An image whose tag says a version that is safe; a digest may follow. */
export const oauth2ProxyImage: Codec<string> = {
  metavar: 'IMAGE',
  accepted: `an image of oauth2-proxy with its version as the tag, v${OLDEST.join('.')} or later, and a digest if you like: ${DEFAULT_IMAGE}`,
  parse(name) {
    const [, tag] = /^[A-Za-z0-9](?:[\w.:/-]*[\w])?:([\w.-]+)(?:@sha256:[0-9a-f]{64})?$/.exec(name) ?? [];
    if (tag === undefined) return { ok: false, wrong: 'has no tag' };
    const version = /^v?(\d{1,5})\.(\d{1,5})\.(\d{1,5})(?:-[a-z]+)?$/.exec(tag)?.slice(1).map(Number);
    if (version === undefined) return { ok: false, wrong: 'has a tag that is no version' };
    const at = version.findIndex((part, index) => part !== OLDEST[index]);
    const isOlder = at >= 0 && (version[at] ?? 0) < (OLDEST[at] ?? 0);
    return isOlder ? { ok: false, wrong: 'is too old, as its errors are known' } : { ok: true, value: name };
  },
};

/** The port that oauth2-proxy listens on; none that is chosen by chance. */
export const proxyPort: Codec<number> = {
  metavar: 'PORT',
  accepted: 'a port from 1 to 65535',
  parse(text) {
    const parsed = port.parse(text);
    return parsed.ok && parsed.value === 0 ? { ok: false, wrong: 'is not a port' } : parsed;
  },
};
