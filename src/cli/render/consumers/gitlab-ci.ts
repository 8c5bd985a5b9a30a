import { toYaml } from '../../manifests/text.ts';
import { needed, tokenOf } from '../facts.ts';
import type { Consumer } from '../registry.ts';

const ISSUER = 'https://gitlab.com';

/** The keyword id_tokens of docs.gitlab.com, "CI/CD YAML syntax reference"; the service's URL comes in by a variable. */
export const gitlabCi: Consumer<'gitlab-ci'> = {
  job: (facts) => ({
    text: toYaml([
      {
        call: {
          id_tokens: { SERVICE_TOKEN: { aud: literal(tokenOf(facts).audience) } },
          variables: { SERVICE: { value: needed(facts, 'serviceUrl'), expand: false } },
          script: ['curl --fail --header "Authorization: Bearer $SERVICE_TOKEN" "$SERVICE"'],
        },
      },
    ]),
    checks: [
      `The service trusts a second issuer, ${ISSUER} or your own instance, beside ${facts.issuer}: podpass render oauth2-proxy, istio, envoy or envoy-gateway with --other-caller '${ISSUER}#project_path:GROUP/NAME:ref_type:branch:ref:main'.`,
      'Name the whole "sub": the issuer is one for all projects, so that the audience alone lets in everybody.',
      'The branch is protected: who may push to it may be the caller.',
      'The image of the job has curl.',
    ],
  }),
};

/** Text in which GitLab finds no variable: docs.gitlab.com, "Where variables can be used". */
function literal(value: string): string {
  return value.replaceAll('$', () => '$$');
}
