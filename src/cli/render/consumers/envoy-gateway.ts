import { toYaml } from '../../manifests/text.ts';
import { CALLER_HEADERS, CHECK_PATH, envoyChecks, serviceRef } from '../address.ts';
import { type Facts, nameOf, needed } from '../facts.ts';
import { trustedIssuers } from '../issuers.ts';
import { metadataOf } from '../objects.ts';
import type { Consumer } from '../registry.ts';

function policy(facts: Facts, spec: object): string {
  const targetRefs = [{ group: 'gateway.networking.k8s.io', kind: 'HTTPRoute', name: nameOf(facts) }];
  return toYaml([
    {
      apiVersion: 'gateway.envoyproxy.io/v1alpha1',
      kind: 'SecurityPolicy',
      metadata: metadataOf(facts),
      spec: { targetRefs, ...spec },
    },
  ]);
}

const target = 'The policy is for the HTTPRoute of the same --name and namespace.';

export const envoyGateway: Consumer<'envoy-gateway'> = {
  jwt: (facts) => {
    const issuers = trustedIssuers(facts);
    return {
      text: policy(facts, {
        jwt: {
          providers: issuers.map(({ id, issuer, audiences, jwksUrl, jwks }) => ({
            ...{ name: id, issuer, audiences },
            ...(jwks === undefined
              ? { remoteJWKS: { uri: jwksUrl } }
              : { localJWKS: { type: 'Inline', inline: jwks } }),
          })),
        },
        authorization: {
          defaultAction: 'Deny',
          rules: issuers.map(({ id, subjects }) => ({
            ...{ name: id, action: 'Allow' },
            principal: { jwt: { provider: id, claims: [{ name: 'sub', values: subjects }] } },
          })),
        },
      }),
      checks: [
        target,
        'A request without a token, or with a wrong one, is answered 401; one of another caller 403.',
        'Keys are kept for 5 minutes: publish a new key that long before it signs.',
      ],
    };
  },
  'ext-authz': (facts) => {
    const { name, namespace, port } = serviceRef(needed(facts, 'authUrl'));
    const http = {
      backendRefs: [{ name, namespace, port }],
      path: CHECK_PATH,
      headersToBackend: CALLER_HEADERS,
    };
    return {
      text: policy(facts, { extAuth: { failOpen: false, headersToExtAuth: ['authorization'], http } }),
      checks: [
        target,
        ...envoyChecks,
        'A Service in another namespace needs a ReferenceGrant there, for SecurityPolicy.',
      ],
    };
  },
};
