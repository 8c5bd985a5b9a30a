import { PROXY_CONTAINER } from '../../../webhook/pod.ts';
import { NOT_MIRROR, NOT_OPTED_OUT, PREFIX, podCreation, selectedNamespaces } from './admission.ts';
import { ASKS_FOR_PROXY } from './asking.ts';
import { type Installation, type KubeObject, metadataOf, names } from './object.ts';

/**
 * Refuses a Pod that asks for oauth2-proxy itself and has none in the end, because the webhook was away: its port would be
 * open to everybody. Like the policy for tokens it reads the Pod alone, and ignores an error of its own
 * (final-state-policy.ts).
 */
export function proxyPolicy({ namespace }: Installation): KubeObject[] {
  const apiVersion = 'admissionregistration.k8s.io/v1';
  const metadata = metadataOf('webhook', names.proxyPolicy);
  return [
    {
      apiVersion,
      kind: 'ValidatingAdmissionPolicy',
      metadata,
      spec: {
        failurePolicy: 'Ignore',
        matchConstraints: {
          matchPolicy: 'Equivalent',
          namespaceSelector: selectedNamespaces(namespace),
          resourceRules: [podCreation],
        },
        matchConditions: [NOT_MIRROR, NOT_OPTED_OUT, { name: 'asks-for-oauth2-proxy', expression: ASKS_FOR_PROXY }],
        validations: [
          {
            expression:
              `object.spec.containers.exists(c, c.name == '${PROXY_CONTAINER}') || ` +
              `object.spec.?initContainers.orValue([]).exists(c, c.name == '${PROXY_CONTAINER}')`,
            message:
              'the annotations of this Pod ask for oauth2-proxy, and it has none: the webhook of podpass did not answer, ' +
              `or its ServiceAccount has ${PREFIX}/inject: "false". ` +
              `Try again when "kubectl -n ${namespace} get deployment ${names.webhook}" says it is available`,
            reason: 'Forbidden',
          },
        ],
      },
    },
    {
      apiVersion,
      kind: 'ValidatingAdmissionPolicyBinding',
      metadata,
      spec: { policyName: names.proxyPolicy, validationActions: ['Deny'] },
    },
  ];
}
