import { toYaml } from '../../manifests/text.ts';
import { nameOf, needed, tokenOf } from '../facts.ts';
import type { Consumer } from '../registry.ts';

const ISSUER = 'https://token.actions.githubusercontent.com';

/** The step of docs.github.com, "OpenID Connect reference"; values come in by variables, so that no shell reads them. */
export const githubActions: Consumer<'github-actions'> = {
  workflow: (facts) => ({
    text: toYaml([
      {
        name: nameOf(facts),
        on: 'workflow_dispatch',
        permissions: { 'id-token': 'write' },
        jobs: {
          call: {
            'runs-on': 'ubuntu-latest',
            steps: [
              {
                env: { AUDIENCE: literal(tokenOf(facts).audience), SERVICE: literal(needed(facts, 'serviceUrl')) },
                run: [
                  'token=$(curl --fail --silent --show-error --get --data-urlencode "audience=$AUDIENCE" \\',
                  '  --header "Authorization: Bearer $ACTIONS_ID_TOKEN_REQUEST_TOKEN" "$ACTIONS_ID_TOKEN_REQUEST_URL" | jq -er .value)',
                  'echo "::add-mask::$token"',
                  'curl --fail --header "Authorization: Bearer $token" "$SERVICE"',
                  '',
                ].join('\n'),
              },
            ],
          },
        },
      },
    ]),
    checks: [
      `The service trusts a second issuer, ${ISSUER}, beside ${facts.issuer}: podpass render oauth2-proxy, istio, envoy or envoy-gateway with --other-caller '${ISSUER}#repo:OWNER/NAME:ref:refs/heads/main'.`,
      'The "sub" has another form for an environment or a pull request, and numbers beside the names in repositories of github.com made, renamed or moved after 18 June 2026 (github.blog, "Immutable subject claims"): read it from a token.',
      'Name the whole "sub": the issuer is one for all of GitHub, so that the audience alone lets in everybody.',
      'GitHub Enterprise Server has an issuer of its own: https://HOST/_services/token.',
    ],
  }),
};

/** Text in which GitHub finds no expression: docs.github.com, "Evaluate expressions in workflows and actions". */
function literal(value: string): string {
  const begin = `\${{`;
  return value.replaceAll(begin, () => `${begin} '${begin}' }}`);
}
