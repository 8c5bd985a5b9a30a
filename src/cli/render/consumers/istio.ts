import { toYaml } from '../../manifests/text.ts';
import { CALLER_HEADERS, CHECK_PATH, endpointOf, envoyChecks } from '../address.ts';
import { type Facts, nameOf, needed } from '../facts.ts';
import { trustedIssuers } from '../issuers.ts';
import { metadataOf } from '../objects.ts';
import type { Consumer } from '../registry.ts';

const API = 'security.istio.io/v1';
/** Istio's own is 600 s (extensionProviders, envoyExtAuthzHttp), in which requests pile up. */
const TIMEOUT = '5s';

const jwtChecks = [
  'Apply both objects: without the AuthorizationPolicy a request without any token is let in.',
  'A request without a token is answered 403, one with a wrong token 401.',
  'The JWK Set is fetched by istiod, not by the Pod, every 20 minutes: publish a new key that long before it signs.',
  'istiod must get at the JWK Set: with STRICT mTLS and discovery in the mesh, let its port be PERMISSIVE, or use an address outside of the mesh.',
  'istiod does not know a private CA: use --inline-keys, or its value for another root.',
];

const outpostHeaders = [
  ...['x-authentik-username', 'x-authentik-groups', 'x-authentik-email', 'x-authentik-name', 'x-authentik-uid'],
];

const selected = ({ options: { selector } }: Facts) =>
  selector === undefined ? {} : { selector: { matchLabels: selector } };

function askedBy(facts: Facts, provider: string): object {
  return {
    apiVersion: API,
    kind: 'AuthorizationPolicy',
    metadata: metadataOf(facts),
    spec: { ...selected(facts), action: 'CUSTOM', provider: { name: provider }, rules: [{}] },
  };
}

function mesh(facts: Facts, http: object): object {
  const { host: service, port } = endpointOf(needed(facts, 'authUrl'));
  const provider = { name: nameOf(facts), envoyExtAuthzHttp: { service, port, timeout: TIMEOUT, ...http } };
  return { meshConfig: { extensionProviders: [provider] } };
}

const meshChecks = [
  'The policy of the same --name goes with it: a field that istiod does not know is dropped without a word.',
  'A CUSTOM policy can only refuse: ALLOW and DENY policies still count, and a workload has one provider at most.',
];

/** Header directions as in docs.goauthentik.io, "Envoy": cookies go to the outpost, and its set-cookie to the browser. */
export const istio: Consumer<'istio'> = {
  jwt: (facts) => {
    const issuers = trustedIssuers(facts);
    const jwtRules = issuers.map(({ issuer, audiences, jwksUrl, jwks }) => ({
      ...{ issuer, audiences },
      ...(jwks === undefined ? (jwksUrl === undefined ? {} : { jwksUri: jwksUrl }) : { jwks }),
    }));
    const requestPrincipals = issuers.flatMap(({ issuer, subjects }) => subjects.map((sub) => `${issuer}/${sub}`));
    return {
      text: toYaml([
        {
          apiVersion: API,
          kind: 'RequestAuthentication',
          metadata: metadataOf(facts),
          spec: { ...selected(facts), jwtRules },
        },
        {
          apiVersion: API,
          kind: 'AuthorizationPolicy',
          metadata: metadataOf(facts),
          spec: { ...selected(facts), action: 'ALLOW', rules: [{ from: [{ source: { requestPrincipals } }] }] },
        },
      ]),
      checks: jwtChecks,
    };
  },
  'ext-authz': (facts) => ({ text: toYaml([askedBy(facts, nameOf(facts))]), checks: [...meshChecks, ...envoyChecks] }),
  'ext-authz-mesh': (facts) => ({
    text: toYaml([
      mesh(facts, {
        pathPrefix: CHECK_PATH,
        includeRequestHeadersInCheck: ['authorization'],
        headersToUpstreamOnAllow: CALLER_HEADERS,
        headersToDownstreamOnDeny: ['www-authenticate'],
      }),
    ]),
    checks: [...meshChecks, ...envoyChecks],
  }),
  authentik: (facts) => ({
    text: toYaml([askedBy(facts, nameOf(facts))]),
    checks: [
      ...meshChecks,
      'The route /outpost.goauthentik.io/ of the same host goes to the outpost, without this policy.',
    ],
  }),
  'authentik-mesh': (facts) => ({
    text: toYaml([
      mesh(facts, {
        pathPrefix: '/outpost.goauthentik.io/auth/envoy',
        includeRequestHeadersInCheck: ['authorization', 'cookie', 'origin'],
        headersToUpstreamOnAllow: ['cookie', ...outpostHeaders],
        headersToDownstreamOnAllow: ['set-cookie'],
        headersToDownstreamOnDeny: ['content-type', 'set-cookie'],
      }),
    ]),
    checks: [
      ...meshChecks,
      'The port is the one of the Service of the outpost: 9000 without TLS.',
      'The outpost takes tokens that authentik issued for this provider: a Pod exchanges its own first (podpass render authentik).',
    ],
  }),
};
