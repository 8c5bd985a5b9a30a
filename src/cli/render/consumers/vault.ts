import { audiencesOf, type Facts, nameOf, subjectsOf } from '../facts.ts';
import type { Consumer } from '../registry.ts';
import { hclList, hclString } from '../syntax/hcl.ts';
import { hereDocument, shellWord } from '../syntax/shell.ts';

const ROLE_LIFETIME = '20m';

function checks(facts: Facts): string[] {
  return [
    'Set token_policies of the role: it has none here, so that a login gives nothing yet.',
    facts.keys === undefined
      ? 'Vault takes every algorithm: render with --keys or --kubeconfig for a jwt_supported_algs with those of the keys.'
      : 'jwt_supported_algs has the algorithms of the keys: add the new one before a rotation to another kind of key.',
    ...(facts.inlineKeys
      ? ['The keys are written here: render and write them anew before each rotation.']
      : ['Vault fetches the issuer when the configuration is written: it must be reachable from Vault by then.']),
    'A token of a deleted Pod is good until it ends: Vault asks nobody.',
    'Log in once: vault write auth/MOUNT/login role=ROLE jwt=@TOKENFILE. A Vault Agent needs remove_jwt_after_reading = false, as the token file is read-only.',
  ];
}

/** Either the issuer's address or its keys; Vault refuses both: path_config.go of vault-plugin-auth-jwt. */
function configOf({ issuer, keys, inlineKeys, ca }: Facts): Readonly<Record<string, string | readonly string[]>> {
  const algorithms = keys === undefined ? {} : { jwt_supported_algs: keys.algorithms };
  if (inlineKeys) return { jwt_validation_pubkeys: keys?.pem ?? [], bound_issuer: issuer, ...algorithms };
  const trust = ca === undefined ? {} : { oidc_discovery_ca_pem: ca };
  return { oidc_discovery_url: issuer, bound_issuer: issuer, ...trust, ...algorithms };
}

/** The callers as a list in bound_claims: bound_subject takes one alone. */
export const vault: Consumer<'vault'> = {
  shell: (facts) => {
    const name = nameOf(facts);
    const role = {
      ...{ role_type: 'jwt', user_claim: 'sub', bound_audiences: audiencesOf(facts) },
      ...{ bound_claims_type: 'string', bound_claims: { sub: subjectsOf(facts) } },
      ...{ token_policies: [], token_ttl: ROLE_LIFETIME, token_max_ttl: ROLE_LIFETIME },
    };
    const write = (path: string, value: object) =>
      hereDocument(`vault write ${shellWord(path)} -`, JSON.stringify(value, undefined, 2));
    const text = [
      `vault auth enable -path=${shellWord(name)} jwt || echo 'it may be enabled already' >&2`,
      write(`auth/${name}/config`, configOf(facts)),
      write(`auth/${name}/role/${name}`, role),
      '',
    ].join('\n');
    return { text, checks: checks(facts) };
  },
  hcl: (facts) => {
    const name = hclString(nameOf(facts));
    const config = Object.entries(configOf(facts)).map(
      ([key, value]) => `  ${key} = ${typeof value === 'string' ? hclString(value) : hclList(value)}\n`,
    );
    const text = `resource "vault_jwt_auth_backend" "podpass" {
  path = ${name}
${config.join('')}}

resource "vault_jwt_auth_backend_role" "podpass" {
  backend           = vault_jwt_auth_backend.podpass.path
  role_name         = ${name}
  role_type         = "jwt"
  user_claim        = "sub"
  bound_audiences   = ${hclList(audiencesOf(facts))}
  bound_claims_type = "string"
  # The provider takes a list as text with commas.
  bound_claims      = { sub = ${hclString(subjectsOf(facts).join(','))} }
  token_policies    = []
  token_ttl         = 1200
  token_max_ttl     = 1200
}
`;
    return { text, checks: checks(facts) };
  },
};
