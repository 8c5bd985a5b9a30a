import { serviceOf } from '../address.ts';
import { audiencesOf, subjectsOf } from '../facts.ts';
import { trustedIssuers } from '../issuers.ts';
import { realmOf } from '../realm.ts';
import type { Found, Refusal } from '../refusal.ts';

/** What one consumer cannot do, and what is a risk with it. */

const tooMany = (key: string, items: readonly string[], most: number): readonly Found[] =>
  items.length > most ? [{ key, value: String(items.length), wrong: 'are too many', accepted: `at most ${most}` }] : [];
const tooLong = (key: string, items: readonly string[], most: number): readonly Found[] =>
  items
    .filter((item) => Buffer.byteLength(item) > most)
    .map((value) => ({ key, value, wrong: `has ${Buffer.byteLength(value)} bytes`, accepted: `at most ${most}` }));

/** Who asks adds a path and the callers behind it: in a query or a fragment they would be lost, and all of them come in. */
const addressedOtherwise = (key: string, url: string): readonly Found[] => {
  const { search, hash, username, password } = new URL(url);
  const accepted = 'an address such as http://oauth2-proxy.auth.svc:4180';
  if (username !== '' || password !== '') return [{ key, wrong: 'has a user in it', accepted }];
  // An empty one ends the path as well.
  if (search === '' && hash === '' && !/[?#]/.test(url)) return [];
  return [{ key, value: url, wrong: 'has a query or a fragment, in which the question would be lost', accepted }];
};

const notAService = (key: string, url: string | undefined): readonly Found[] =>
  url === undefined || serviceOf(url) !== undefined
    ? []
    : [
        {
          ...{ key, value: url, wrong: 'names no Service, and the API has a place for nothing else' },
          accepted: 'an address such as http://oauth2-proxy.auth.svc:4180',
        },
      ];

export const limitRefusals: readonly Refusal[] = [
  {
    of: ['aws'],
    source: 'AWS API Reference, CreateOpenIDConnectProvider',
    severity: 'refused',
    find: ({ facts }) => [
      ...tooMany('--audience', audiencesOf(facts), 100),
      ...tooLong('--audience', audiencesOf(facts), 255),
    ],
  },
  {
    of: ['azure'],
    source: 'learn.microsoft.com, "Important considerations and restrictions for federated identity credentials"',
    severity: 'refused',
    find: ({ facts }) => tooMany('--service-account', subjectsOf(facts), 20),
  },
  {
    of: ['gcp'],
    source: 'cloud.google.com/iam/quotas, and the mapping of google.subject',
    severity: 'refused',
    find: ({ facts }) => [
      ...tooMany('--audience', audiencesOf(facts), 10),
      ...tooLong('--audience', audiencesOf(facts), 256),
      ...tooLong('--service-account', subjectsOf(facts), 127),
    ],
  },
  {
    of: ['azure', 'gcp'],
    source: 'the identity providers of the clouds fetch the documents from the internet',
    severity: 'refused',
    find: ({ facts: { ca, inlineKeys } }) =>
      ca === undefined || inlineKeys
        ? []
        : [
            {
              ...{ key: '--ca', wrong: 'is a CA that the cloud does not know' },
              accepted: 'an issuer with a certificate that everybody trusts; for gcp also --inline-keys',
            },
          ],
  },
  {
    of: ['istio/jwt'],
    source: 'github.com/istio/istio#26984',
    severity: 'warning',
    find: ({ facts: { ca, inlineKeys } }) =>
      ca === undefined || inlineKeys
        ? []
        : [
            {
              ...{ key: '--ca', wrong: 'is a CA that istiod does not know' },
              accepted: '--inline-keys, or the CA as another root of istiod',
            },
          ],
  },
  {
    of: ['envoy', 'envoy-gateway'],
    source: 'envoy/config/filter/http/jwt_authn: an address of keys, and no discovery',
    severity: 'refused',
    find: ({ facts }) =>
      trustedIssuers(facts)
        .filter(({ jwksUrl, jwks }) => jwksUrl === undefined && jwks === undefined)
        .map(({ issuer: value }) => ({
          ...{
            key: '--other-caller',
            value,
            wrong: 'is an issuer whose keys are not known here, and Envoy reads no document',
          },
          accepted: 'GitHub Actions or gitlab.com; others by hand',
        })),
  },
  {
    of: ['envoy-gateway'],
    source: 'github.com/envoyproxy/gateway v1.9.1, api/v1alpha1/jwt_types.go',
    severity: 'refused',
    find: ({ facts }) => [
      ...tooMany('--audience', audiencesOf(facts), 8),
      ...tooMany(
        '--other-caller',
        trustedIssuers(facts).map(({ id }) => id),
        16,
      ),
    ],
  },
  {
    source: 'RFC 3986, section 3: a path ends at "?" or "#"',
    severity: 'refused',
    find: ({ facts: { options } }) =>
      options.authUrl === undefined ? [] : addressedOtherwise('--auth-url', options.authUrl),
  },
  {
    of: ['istio/jwt'],
    source: 'istio.io, "Authorization Policy", requestPrincipals: the "iss", "/" and the "sub" in one text',
    severity: 'refused',
    find: ({ facts }) => {
      const issuers = trustedIssuers(facts).map(({ issuer }) => issuer);
      return issuers
        .filter((issuer) => issuers.some((other) => other.startsWith(`${issuer}/`)))
        .map((value) => ({
          ...{ key: value === facts.issuer ? '--issuer' : '--other-caller', value },
          wrong: 'is the beginning of another trusted issuer, for whose callers a "sub" of its own could pass',
          accepted: 'issuers of which none begins with another one and "/"',
        }));
    },
  },
  {
    of: ['envoy-gateway/ext-authz', 'gateway-api'],
    source: 'sigs.k8s.io/gateway-api, BackendObjectReference',
    severity: 'refused',
    find: ({ facts: { options } }) => notAService('--auth-url', options.authUrl),
  },
  {
    of: ['gateway-api'],
    source: 'sigs.k8s.io/gateway-api, BackendObjectReference',
    severity: 'refused',
    find: ({ facts: { options } }) => notAService('--service-url', options.serviceUrl),
  },
  {
    of: ['keycloak'],
    source: 'measured with Keycloak 26.7.3: the token endpoint as audience is "Invalid token audience"',
    severity: 'refused',
    find: ({ facts }) =>
      realmOf(facts) !== undefined
        ? []
        : [
            {
              ...{ key: '--audience', value: audiencesOf(facts).join(', ') },
              wrong: 'is not the issuer of a realm, the one audience that Keycloak takes',
              accepted: 'https://HOST/realms/NAME, as in the discovery document of the realm',
            },
          ],
  },
  {
    of: ['kafka/broker'],
    source: 'sasl.oauthbearer.expected.audience is a list with commas',
    severity: 'refused',
    find: ({ facts }) =>
      audiencesOf(facts)
        .filter((audience) => audience.includes(','))
        .map((value) => ({
          ...{ key: '--audience', value, wrong: 'has a comma in it, which parts it in two' },
          accepted: 'an audience without commas',
        })),
  },
  {
    of: ['minio/env'],
    source: 'measured with MinIO of 2026-02: a foreign "iss" with a known key passes',
    severity: 'warning',
    find: ({ facts: { issuer } }) => [
      {
        ...{
          key: '--issuer',
          value: issuer,
          wrong: 'is not compared by MinIO, and its key cache is one for all providers',
        },
        accepted: 'conditions on jwt:iss and jwt:sub in the role policy (podpass render minio -o policy)',
      },
    ],
  },
  {
    of: ['prometheus/scrape'],
    source: 'prometheus/config: a target is a host and a port',
    severity: 'refused',
    find: ({ facts: { options } }) =>
      options.serviceUrl === undefined || new URL(options.serviceUrl).search === ''
        ? []
        : [
            {
              ...{ key: '--service-url', value: options.serviceUrl, wrong: 'has a query' },
              accepted: 'a URL without one; params of the scrape_config has its place',
            },
          ],
  },
  {
    source: 'github.com/keycloak/keycloak#44064; every Pod without an account of its own runs as default',
    severity: 'warning',
    find: ({ row, facts }) =>
      row.callers === false
        ? []
        : facts.callers
            .filter(({ name }) => name === 'default')
            .map(({ namespace, name }) => ({
              ...{ key: '--service-account', value: `${namespace}/${name}` },
              wrong: 'is the account of every Pod of the namespace that names none',
              accepted: 'an account of its own for each program',
            })),
  },
];
