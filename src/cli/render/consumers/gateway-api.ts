import { toYaml } from '../../manifests/text.ts';
import { CALLER_HEADERS, CHECK_PATH, envoyChecks, serviceRef } from '../address.ts';
import { needed } from '../facts.ts';
import { metadataOf } from '../objects.ts';
import type { Consumer } from '../registry.ts';

/** Gateway API 1.4 and later, the experimental channel: apis/v1/httproute_types.go, HTTPExternalAuthFilter. */
export const gatewayApi: Consumer<'gateway-api'> = {
  'external-auth': (facts) => {
    const { name, namespace, port } = serviceRef(needed(facts, 'authUrl'));
    const service = serviceRef(needed(facts, 'serviceUrl'));
    const externalAuth = {
      protocol: 'HTTP',
      backendRef: { name, namespace, port },
      http: { path: CHECK_PATH, allowedHeaders: ['authorization'], allowedResponseHeaders: CALLER_HEADERS },
    };
    return {
      text: toYaml([
        {
          apiVersion: 'gateway.networking.k8s.io/v1',
          kind: 'HTTPRoute',
          metadata: metadataOf(facts),
          spec: {
            parentRefs: [{ name: needed(facts, 'gateway') }],
            rules: [
              {
                filters: [{ type: 'ExternalAuth', externalAuth }],
                backendRefs: [{ name: service.name, namespace: service.namespace, port: service.port }],
              },
            ],
          },
        },
      ]),
      checks: [
        'The CRDs of the experimental channel are installed, and the implementation knows the filter: one that does not must refuse the route. Look at its status.',
        ...envoyChecks,
        'A Service in another namespace needs a ReferenceGrant there, for HTTPRoute.',
      ],
    };
  },
};
