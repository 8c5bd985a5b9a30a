import { toYaml } from '../../manifests/text.ts';
import { authAddress } from '../address.ts';
import { type Facts, needed } from '../facts.ts';
import { IDENTITY_HEADERS, REPLACED_HEADERS } from '../identity-headers.ts';
import type { Consumer } from '../registry.ts';
import { nginxUrl } from '../syntax/nginx.ts';

const checks = [
  'oauth2-proxy verifies the tokens: render it by podpass render oauth2-proxy without --service-url. If you add --reverse-proxy, add --trusted-proxy-ip.',
  'A request without a token, or with a wrong one, is answered 401 or 403: curl -i, without and with a token of another audience.',
  'The service cannot be reached but through here: a NetworkPolicy, or an address on loopback.',
];

/** nginx with oauth2-proxy: its /oauth2/auth answers 202, 401 or 403, all of which auth_request understands. */
export const nginx: Consumer<'nginx'> = {
  'auth-request': (facts) => ({ text: server(facts), checks }),
  ingress: (facts) => ({
    text: toYaml([
      {
        metadata: {
          annotations: {
            'nginx.ingress.kubernetes.io/auth-url': authAddress(facts),
            'nginx.ingress.kubernetes.io/auth-method': 'GET',
            'nginx.ingress.kubernetes.io/auth-response-headers': REPLACED_HEADERS.join(','),
          },
        },
      },
    ]),
    checks: [
      ...checks,
      'There is no auth-signin: a machine that is sent to a login page takes its 200 for an answer.',
      'ingress-nginx is retired since March 2026; Traefik reads the same annotations.',
    ],
  }),
};

const CALLER = 'X-Forwarded-User';
const others = IDENTITY_HEADERS.filter((name) => name !== CALLER);
const cleared = others.map((name) => `    proxy_set_header ${name} "";`).join('\n');

/** Headers that the service may take for a proven identity are set from the answer, so that no client can send them. */
function server(facts: Facts): string {
  return `server {
  listen 8080;
  # Header names with an underscore would reach the service beside those that are set here.
  underscores_in_headers off;

  location / {
    auth_request /podpass-auth;
    auth_request_set $podpass_caller $upstream_http_x_auth_request_user;
    proxy_set_header ${CALLER} $podpass_caller;
${cleared}
    # The token is for here; the service needs to know the caller only.
    proxy_set_header Authorization "";
    proxy_pass ${nginxUrl(needed(facts, 'serviceUrl'))};
  }

  location = /podpass-auth {
    internal;
    proxy_pass ${nginxUrl(authAddress(facts))};
    proxy_pass_request_body off;
    proxy_set_header Content-Length "";
    proxy_set_header Cookie "";
    # Never what the client wrote: oauth2-proxy may go by these.
    proxy_set_header X-Forwarded-For $remote_addr;
    proxy_set_header X-Forwarded-Host $host;
    proxy_set_header X-Forwarded-Proto $scheme;
    proxy_set_header X-Forwarded-Method $request_method;
    proxy_set_header X-Forwarded-Uri $request_uri;
    proxy_set_header X-Real-IP $remote_addr;
  }
}
`;
}
