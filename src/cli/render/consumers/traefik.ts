import { toYaml } from '../../manifests/text.ts';
import { authAddress } from '../address.ts';
import { type Facts, nameOf } from '../facts.ts';
import { REPLACED_HEADERS } from '../identity-headers.ts';
import { metadataOf } from '../objects.ts';
import type { Consumer } from '../registry.ts';

const checks = [
  'The router of the service has this middleware; without it everybody gets in.',
  'oauth2-proxy verifies the tokens: render it by podpass render oauth2-proxy without --service-url.',
  'A request without a token, or with a wrong one, is answered 401 or 403: curl -i, without and with a token of another audience.',
  'The entry point has http.aliasHeadersStrategy: delete (v3.7.12 and later): without it X_Auth_Request_User reaches the service as a client wrote it, and many services take it for the name with hyphens.',
  'The service cannot be reached but through here: a NetworkPolicy, or an address on loopback.',
];

/** forwardAuth takes each 2xx for a yes, the 202 of /oauth2/auth too. It sends the token alone: nothing else decides. */
const forwardAuth = (facts: Facts) => ({
  address: authAddress(facts),
  trustForwardHeader: false,
  authRequestHeaders: ['Authorization'],
  authResponseHeaders: [...REPLACED_HEADERS],
});

export const traefik: Consumer<'traefik'> = {
  kubernetes: (facts) => ({
    text: toYaml([
      {
        apiVersion: 'traefik.io/v1alpha1',
        kind: 'Middleware',
        metadata: metadataOf(facts),
        spec: { forwardAuth: forwardAuth(facts) },
      },
    ]),
    checks,
  }),
  file: (facts) => ({
    text: toYaml([{ http: { middlewares: { [nameOf(facts)]: { forwardAuth: forwardAuth(facts) } } } }]),
    checks,
  }),
};
