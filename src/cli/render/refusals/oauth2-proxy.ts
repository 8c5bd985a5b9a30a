import { trustedIssuers } from '../issuers.ts';
import type { Refusal } from '../refusal.ts';

/** What oauth2-proxy would read as something else. */
export const proxyRefusals: readonly Refusal[] = [
  {
    of: ['oauth2-proxy'],
    source: 'oauth2-proxy, --extra-jwt-issuers: cut at the first "="',
    severity: 'refused',
    find: ({ facts }) =>
      trustedIssuers(facts)
        .slice(1)
        .filter(({ issuer }) => issuer.includes('='))
        .map(({ issuer: value }) => ({
          ...{ key: '--other-caller', value, wrong: 'is an issuer with "=" in it, at which oauth2-proxy cuts it' },
          accepted: 'an issuer without "="',
        })),
  },
  {
    of: ['oauth2-proxy'],
    source: 'oauth2-proxy, pkg/upstream: an upstream is a scheme, a host and a path',
    severity: 'refused',
    find: ({ facts: { options } }) =>
      options.serviceUrl === undefined || new URL(options.serviceUrl).search === ''
        ? []
        : [
            {
              ...{ key: '--service-url', value: options.serviceUrl, wrong: 'has a query, which an upstream has not' },
              accepted: 'a URL without one',
            },
          ],
  },
];
