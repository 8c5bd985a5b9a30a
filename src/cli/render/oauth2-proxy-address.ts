import { type Facts, needed, subjectsOf } from './facts.ts';

/** oauth2-proxy's question for one request, which lets in these callers and nobody else: 202, 401 or 403. */
export function authAddress(facts: Facts): string {
  const callers = subjectsOf(facts).map((subject) => encodeURIComponent(subject).replaceAll('%3A', ':'));
  return `${withoutSlash(needed(facts, 'authUrl'))}/oauth2/auth?allowed_emails=${callers.join(',')}`;
}

export function withoutSlash(url: string): string {
  return url.replace(/\/+$/, '');
}
