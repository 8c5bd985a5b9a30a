import { type Facts, nameOf, subjectsOf } from '../facts.ts';
import { realmOf } from '../realm.ts';
import type { Consumer } from '../registry.ts';
import { shellWord } from '../syntax/shell.ts';

const checks = [
  'The features client-auth-federated and kubernetes-service-accounts are on: by themselves from Keycloak 26.7 on.',
  'The audience is the issuer of the realm, as in its own discovery document, and nothing else: the token endpoint is refused.',
  'A Pod gets a token with grant_type=client_credentials, client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer and client_assertion=TOKEN; no client_id.',
  'Give each client the roles that its caller needs: here it has none.',
];

const providerOf = (facts: Facts) => ({
  ...{ alias: nameOf(facts), providerId: 'kubernetes', enabled: true },
  config: { issuer: facts.issuer },
});

/** One client for each caller, which is found by the "sub" alone. */
const clientsOf = (facts: Facts) =>
  subjectsOf(facts).map((subject) => ({
    ...{ clientId: subject, enabled: true, protocol: 'openid-connect', publicClient: false },
    ...{ serviceAccountsEnabled: true, standardFlowEnabled: false, directAccessGrantsEnabled: false },
    clientAuthenticatorType: 'federated-jwt',
    attributes: { 'jwt.credential.issuer': nameOf(facts), 'jwt.credential.sub': subject },
  }));

export const keycloak: Consumer<'keycloak'> = {
  json: (facts) => ({
    text: `${JSON.stringify({ ifResourceExists: 'FAIL', identityProviders: [providerOf(facts)], clients: clientsOf(facts) }, undefined, 2)}\n`,
    checks,
  }),
  shell: (facts) => {
    const realm = shellWord(realmOf(facts) ?? '');
    const create = (path: string, value: object) =>
      `kcadm.sh create ${path} -r ${realm} -b ${shellWord(JSON.stringify(value))}`;
    const text = [
      create('identity-provider/instances', providerOf(facts)),
      ...clientsOf(facts).map((client) => create('clients', client)),
      '',
    ].join('\n');
    return { text, checks };
  },
};
