import { type Facts, nameOf, subjectsOf } from '../facts.ts';
import { realmOf } from '../realm.ts';
import type { Consumer } from '../registry.ts';
import { shellWord } from '../syntax/shell.ts';

const checksOf = ({ ca }: Facts) => [
  'The features client-auth-federated and kubernetes-service-accounts are on: by themselves from Keycloak 26.7 on.',
  ...(ca === undefined
    ? []
    : ['Keycloak trusts the CA of the issuer: its file is among those of --truststore-paths, or in conf/truststores.']),
  'The audience is the issuer of the realm, as in its own discovery document, and nothing else: the token endpoint is refused.',
  'A Pod gets a token with grant_type=client_credentials, client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer and client_assertion=TOKEN; no client_id.',
];

const providerOf = (facts: Facts) => ({
  ...{ alias: nameOf(facts), providerId: 'kubernetes', enabled: true },
  config: { issuer: facts.issuer },
});

/** Two clusters have the same subjects, and a realm may trust both: a name of one's own parts their clients. */
const clientIdOf = ({ options: { name } }: Facts, subject: string) =>
  name === undefined ? subject : `${name}:${subject}`;

/** One client for each caller, which is found by the issuer and the "sub". */
const clientsOf = (facts: Facts) =>
  subjectsOf(facts).map((subject) => ({
    ...{ clientId: clientIdOf(facts, subject), enabled: true, protocol: 'openid-connect', publicClient: false },
    ...{ serviceAccountsEnabled: true, standardFlowEnabled: false, directAccessGrantsEnabled: false },
    clientAuthenticatorType: 'federated-jwt',
    attributes: { 'jwt.credential.issuer': nameOf(facts), 'jwt.credential.sub': subject },
  }));

/** Whose tokens the clients get, under the name that Keycloak gives them itself: a partial import makes none. */
const usersOf = (facts: Facts) =>
  clientsOf(facts).map(({ clientId }) => ({
    ...{ username: `service-account-${clientId}`, enabled: true, serviceAccountClientId: clientId },
  }));

const realmWord = (facts: Facts) => shellWord(realmOf(facts) ?? '');

export const keycloak: Consumer<'keycloak'> = {
  json: (facts) => {
    const content = { identityProviders: [providerOf(facts)], clients: clientsOf(facts), users: usersOf(facts) };
    return {
      text: `${JSON.stringify({ ifResourceExists: 'FAIL', ...content }, undefined, 2)}\n`,
      checks: [
        `Import it once: kcadm.sh create partialImport -r ${realmWord(facts)} -f FILE, after kcadm.sh config credentials. Nothing is changed where something of it is there already.`,
        ...checksOf(facts),
        'Give each service account the roles that its caller needs: after the import it has none. Add the client scope service_account where somebody reads the claim client_id, and not azp.',
      ],
    };
  },
  shell: (facts) => {
    const create = (path: string, value: object) =>
      `kcadm.sh create ${path} -r ${realmWord(facts)} -b ${shellWord(JSON.stringify(value))}`;
    const text = [
      create('identity-provider/instances', providerOf(facts)),
      ...clientsOf(facts).map((client) => create('clients', client)),
      '',
    ].join('\n');
    return {
      text,
      checks: [
        'Log in before these commands, with kcadm.sh config credentials.',
        ...checksOf(facts),
        "Give each service account the roles that its caller needs: after these commands it has the realm's default roles, and no other.",
      ],
    };
  },
};
