import { Document, Scalar, YAMLSeq } from 'yaml';
import { issuerBase, METADATA_PATH } from '../../../issuer-paths.ts';
import { toYaml } from '../../manifests/text.ts';
import { audiencesOf, type Facts, nameOf, needed, subjectsOf } from '../facts.ts';
import type { Consumer } from '../registry.ts';
import { pythonSet, pythonString } from '../syntax/python.ts';

const checks = [
  'The policy is bound to the application: authentik itself looks at neither "iss" nor "aud" (token.py), so that without it any token with a known key gets in.',
  'authentik reads the keys every 3 hours: publish a new key that long before it signs, or save the source.',
  'A Pod sends grant_type=client_credentials, client_id, client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer and client_assertion=TOKEN to /application/o/token/.',
  'Prometheus does it by itself: podpass render prometheus -o oauth2.',
];

/** What the expression sees: the claims of the Pod's token. It runs with each login, of people too: those have none. */
function expression(facts: Facts): string {
  return `callers = ${pythonSet(subjectsOf(facts))}
audiences = ${pythonSet(audiencesOf(facts))}
claims = request.context.get("oauth_jwt")
if not claims:
    return False
if claims.get("iss") != ${pythonString(facts.issuer)}:
    return False
found = claims.get("aud")
found = found if isinstance(found, list) else [found]
if len(found) != 1 or found[0] not in audiences:
    return False
return claims.get("sub") in callers
`;
}

function keyOf(id: string): Scalar {
  const scalar = new Scalar(id);
  scalar.tag = '!KeyOf';
  return scalar;
}

function find(model: string, slug: string): YAMLSeq {
  const list = new YAMLSeq();
  list.tag = '!Find';
  list.flow = true;
  const where = new YAMLSeq();
  where.flow = true;
  where.items = [new Scalar('slug'), new Scalar(slug)];
  list.items = [new Scalar(model), where];
  return list;
}

function blueprint(facts: Facts): string {
  const name = nameOf(facts);
  const metadata = issuerBase(facts.issuer) + METADATA_PATH;
  const unused = 'https://unused.invalid/';
  const keys = facts.inlineKeys
    ? { oidc_jwks: JSON.parse(facts.keys?.jwks ?? '{}') }
    : { oidc_well_known_url: metadata, oidc_jwks_url: facts.jwksUrl };
  const content = {
    version: 1,
    metadata: { name },
    entries: [
      {
        ...{ model: 'authentik_sources_oauth.oauthsource', id: 'source', identifiers: { slug: name } },
        attrs: {
          ...{ name, enabled: true, provider_type: 'openidconnect', consumer_key: 'unused', consumer_secret: 'unused' },
          // Required, and never called: nobody logs in here by a browser.
          ...{ authorization_url: unused, access_token_url: unused, profile_url: unused },
          ...keys,
        },
      },
      {
        ...{ model: 'authentik_providers_oauth2.oauth2provider', id: 'provider', identifiers: { name } },
        attrs: {
          authorization_flow: find('authentik_flows.flow', 'default-provider-authorization-implicit-consent'),
          invalidation_flow: find('authentik_flows.flow', 'default-provider-invalidation-flow'),
          ...{ client_type: 'confidential', client_id: needed(facts, 'clientId') },
          jwt_federation_sources: [keyOf('source')],
        },
      },
      {
        ...{ model: 'authentik_core.application', id: 'application', identifiers: { slug: name } },
        attrs: { name, provider: keyOf('provider'), policy_engine_mode: 'all' },
      },
      {
        ...{ model: 'authentik_policies_expression.expressionpolicy', id: 'policy', identifiers: { name } },
        attrs: { expression: expression(facts) },
      },
      {
        model: 'authentik_policies.policybinding',
        identifiers: { policy: keyOf('policy'), target: keyOf('application') },
        attrs: { enabled: true, negate: false, order: 0, failure_result: false },
      },
    ],
  };
  // authentik reads YAML 1.1, in which a bare `no` is false.
  return new Document(content, { version: '1.1' }).toString({ lineWidth: 0, indentSeq: false });
}

export const authentik: Consumer<'authentik'> = {
  blueprint: (facts) => ({
    text: blueprint(facts),
    checks: [...checks, 'The two flows are those that authentik comes with; put others in their place where you have.'],
  }),
  policy: (facts) => ({
    text: expression(facts),
    checks: [...checks, 'It is for an application of machines alone: it refuses people, who have no such token.'],
  }),
  registry: (facts) => {
    const tokens = new URL(needed(facts, 'tokenUrl'));
    const name = nameOf(facts);
    return {
      text: toYaml([
        {
          auth: {
            token: {
              ...{ realm: needed(facts, 'serviceUrl'), service: name },
              ...{ issuer: new URL(`/application/o/${name}/`, tokens).href, jwks: '/etc/docker/registry/jwks.json' },
            },
          },
        },
      ]),
      checks: [
        'The registry takes no token of a ServiceAccount: it wants a claim access, which a scope mapping of authentik gives.',
        '--service-url is a token service, which answers GET ?service=…&scope=repository:x:pull with a token of authentik for the JWT in the password.',
        `The file jwks.json holds authentik's keys, of /application/o/${name}/jwks/: the registry reads it when it starts.`,
      ],
    };
  },
};
