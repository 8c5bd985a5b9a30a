import { toYaml } from '../../manifests/text.ts';
import { type Facts, nameOf, needed, tokenOf } from '../facts.ts';
import type { Consumer } from '../registry.ts';

const fileChecks = [
  'The Pod of Prometheus has the token file: podpass.dev annotations on it or its ServiceAccount, with this audience.',
  'Prometheus reads the file for each request, so that rotation needs nothing.',
  'A redirect to another host is followed without the token.',
];

const ASSERTION = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';

const authorizationOf = (facts: Facts) => ({ type: 'Bearer', credentials_file: tokenOf(facts).file });

export const prometheus: Consumer<'prometheus'> = {
  scrape: (facts) => {
    const { protocol, host, pathname } = new URL(needed(facts, 'serviceUrl'));
    return {
      text: toYaml([
        {
          scrape_configs: [
            {
              job_name: nameOf(facts),
              scheme: protocol.slice(0, -1),
              metrics_path: pathname === '/' ? '/metrics' : pathname,
              authorization: authorizationOf(facts),
              static_configs: [{ targets: [host] }],
            },
          ],
        },
      ]),
      checks: fileChecks,
    };
  },
  'remote-write': (facts) => ({
    text: toYaml([
      {
        remote_write: [
          { name: nameOf(facts), url: needed(facts, 'serviceUrl'), authorization: authorizationOf(facts) },
        ],
      },
    ]),
    checks: [
      ...fileChecks,
      'Mimir, Thanos and Loki verify no token themselves: a proxy before them does, and sets X-Scope-OrgID by the caller, never as the client sent it.',
    ],
  }),
  /** The token is the client's secret: authentik takes it so where client_assertion_type is there too (token.py). */
  oauth2: (facts) => ({
    text: toYaml([
      {
        remote_write: [
          {
            name: nameOf(facts),
            url: needed(facts, 'serviceUrl'),
            oauth2: {
              client_id: needed(facts, 'clientId'),
              client_secret_file: tokenOf(facts).file,
              token_url: needed(facts, 'tokenUrl'),
              endpoint_params: { client_assertion_type: ASSERTION },
            },
          },
        ],
      },
    ]),
    checks: [
      ...fileChecks.slice(0, 2),
      'It is for authentik alone: Keycloak and Entra want client_assertion, which Prometheus cannot read from a file.',
      'After each rotation the first request for a token fails and the second is right: Prometheus tries HTTP Basic first. A proxy before authentik must not log that header.',
    ],
  }),
};
