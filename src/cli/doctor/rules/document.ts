import { isUnsafeIssuer } from '../../../codec.ts';
import { quote } from '../../../fault.ts';
import { issuerDifference } from '../../../issuer-difference.ts';
import { reachOfAll } from '../address.ts';
import { algorithmOf, isKnown, keysOf } from '../keys.ts';
import { isBehind, jwksUriOf } from '../look-outside.ts';
import type { Fetched, Observation } from '../observation.ts';
import type { Rule, Sighting } from '../rule.ts';

/** Rules for what the discovery document says. */

/** OpenID Connect Discovery 1.0 section 3, but for endpoints, which an issuer of this kind does not have. */
const REQUIRED = [
  'response_types_supported',
  'subject_types_supported',
  'id_token_signing_alg_values_supported',
] as const;
const ENDPOINTS = ['authorization_endpoint', 'token_endpoint', 'userinfo_endpoint'] as const;

type Members = Readonly<Record<string, unknown>>;

function about(see: (json: Members, observation: Observation) => string | false) {
  return (observation: Observation): readonly Sighting[] => {
    const { document } = observation;
    if (document?.json === undefined || document.status !== 200) return [];
    const seen = see(document.json, observation);
    return seen === false ? [] : [{ subject: document.url, seen }];
  };
}

export const show = (value: unknown) =>
  value === undefined ? 'nothing' : quote(typeof value === 'string' ? value : JSON.stringify(value));

/** Whole, and not in a form that cannot be read here. */
export const readable = (fetched: Fetched | undefined): fetched is Fetched =>
  fetched?.status === 200 && fetched.failure === undefined && fetched.headers['content-encoding'] === undefined;

export const documentRules: readonly Rule[] = [
  {
    code: 'document-not-json',
    severity: 'error',
    find: ({ document }) =>
      readable(document) && document.json === undefined
        ? [{ subject: document.url, seen: `${document.bytes} bytes that are not a JSON object` }]
        : [],
    why: 'Verifiers read JSON here. A page of HTML is most likely a login or an error of something between.',
    next: 'Open the URL with curl and see who answers. The discovery document must be served as it is.',
  },
  {
    code: 'issuer-mismatch',
    severity: 'error',
    find: about((json, { issuer }) => json.issuer !== issuer && mismatch(json.issuer, issuer ?? '')),
    why: 'Verifiers compare the issuer of the document with the one they are configured with, byte for byte, and refuse the whole issuer.',
    next: 'Decide which of the two is the "iss" of the tokens. Start podpass discovery with exactly that --issuer, or publish again with it.',
  },
  {
    code: 'document-members-missing',
    severity: 'warning',
    find: about((json) => {
      const missing = REQUIRED.filter((name) => !isFilledList(json[name]));
      return missing.length > 0 && `no ${missing.join(', ')}`;
    }),
    why: 'OpenID Connect Discovery requires them, and strict clients refuse a document without them.',
    next: 'Serve the document of podpass discovery, or add these lists.',
  },
  {
    code: 'document-algorithms',
    severity: 'error',
    targets: ['oauth2-proxy', 'go-oidc'],
    others: true,
    find: about((json, { jwks }) => {
      const listed = json.id_token_signing_alg_values_supported;
      if (!Array.isArray(listed)) return false;
      const used = (keysOf(jwks) ?? []).filter(isKnown).flatMap((key) => algorithmOf(key) ?? []);
      const missing = [...new Set(used)].filter((alg) => !listed.includes(alg));
      return missing.length > 0 && `${show(listed)} lacks ${missing.join(', ')}`;
    }),
    why: 'the list is an allow-list: a token with another algorithm is refused, whatever the keys are.',
    next: 'List the algorithm of every key in id_token_signing_alg_values_supported; podpass discovery computes it from the keys.',
  },
  {
    code: 'authorization-endpoint-empty',
    severity: 'error',
    targets: ['authentik'],
    others: true,
    find: about((json) => {
      const empty = ENDPOINTS.filter((name) => json[name] === '');
      return empty.length > 0 && `${empty.join(', ')} is ""`;
    }),
    why: 'an empty endpoint is taken over and overwrites what is configured.',
    next: 'Leave the member out instead.',
  },
  {
    code: 'jwks-uri-missing',
    severity: 'error',
    find: about((json, { document }) => jwksUriOf(document) === undefined && `jwks_uri is ${show(json.jwks_uri)}`),
    why: 'Verifiers find the keys by it and by nothing else.',
    next: 'Give the document a jwks_uri that is an absolute https URL.',
  },
  {
    code: 'jwks-uri-not-https',
    severity: 'error',
    find: about((_, { document }) => {
      const url = jwksUriOf(document);
      return url !== undefined && isUnsafeIssuer(url) && `jwks_uri is ${quote(url)}`;
    }),
    why: 'Without TLS anyone on the way can give verifiers keys of their own.',
    next: 'Name the JWK Set by an https URL.',
  },
  {
    code: 'jwks-uri-private',
    severity: 'error',
    find: about((_, { document, jwksAddresses = [] }) => {
      const url = jwksUriOf(document);
      if (url === undefined || !isBehind(document?.addresses ?? [], jwksAddresses)) return false;
      return `${quote(url)} is at ${jwksAddresses.join(', ')} (${reachOfAll(jwksAddresses)})`;
    }),
    why: 'Whoever reads the document cannot fetch the keys, so every token is refused. API servers name their own internal address by default.',
    next: 'Do not copy the document of the API server. Serve the one of podpass discovery, whose jwks_uri is under the issuer, or set --service-account-jwks-uri.',
  },
  {
    code: 'jwks-uri-api-server',
    severity: 'warning',
    find: about((_, { document, issuer = '', cluster }) => {
      const url = jwksUriOf(document);
      if (url === undefined || cluster === undefined || !URL.canParse(cluster.server) || !URL.canParse(issuer))
        return false;
      const { host } = new URL(url);
      return host === new URL(cluster.server).host && host !== new URL(issuer).host && `jwks_uri is ${quote(url)}`;
    }),
    why: 'An API server asks for a credential, has a certificate of its own CA, and is not meant to be public.',
    next: 'Serve the document of podpass discovery, whose jwks_uri is under the issuer.',
  },
  {
    code: 'jwks-uri-other-host',
    severity: 'info',
    find: about((_, { document, issuer = '' }) => {
      const url = jwksUriOf(document);
      return (
        url !== undefined &&
        URL.canParse(issuer) &&
        new URL(url).host !== new URL(issuer).host &&
        `jwks_uri is ${quote(url)}`
      );
    }),
    why: 'That is allowed. It is one host more that must be up, be reachable and have a good certificate; AWS needs the thumbprint of both.',
    next: 'Nothing, if that is meant. Else serve the JWK Set under the issuer.',
  },
];

const isFilledList = (value: unknown) => Array.isArray(value) && value.length > 0;

function mismatch(found: unknown, issuer: string): string {
  const seen = `its issuer is ${show(found)}, and the one asked for is ${quote(issuer)}`;
  const difference = typeof found === 'string' ? issuerDifference(found, issuer) : undefined;
  return difference === undefined ? seen : `${seen}: ${difference}`;
}
