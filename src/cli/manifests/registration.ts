import { NOT_MIRROR, NOT_OPTED_OUT, PREFIX, podCreation, selectedNamespaces } from './admission.ts';
import { type Installation, type KubeObject, metadataOf, names } from './object.ts';

/** The Pods of this label wait for the webhook: their owner would rather have no Pod than one without its tokens. */
const OPT_IN = `${PREFIX}/inject`;

/**
 * Two entries that never match the same Pod. The second one has to match every Pod without the label: what a
 * ServiceAccount asks for is not seen by CEL. It must not be in the way when the webhook is away; Pods that ask
 * themselves are then refused by the policy (final-state-policy.ts).
 *
 * There is no caBundle: the webhook, or cert-manager, writes it, and applying this again must not wipe it.
 */
export function registration(installation: Installation): KubeObject {
  const { namespace, tls } = installation;
  const injectCa = { annotations: { 'cert-manager.io/inject-ca-from': `${namespace}/${names.certificate}` } };
  const entry = (name: string, failurePolicy: 'Fail' | 'Ignore', operator: 'In' | 'NotIn') => ({
    name: `${name}.${PREFIX}`,
    admissionReviewVersions: ['v1'],
    clientConfig: { service: { name: names.webhook, namespace, path: '/mutate', port: 443 } },
    rules: [podCreation],
    matchPolicy: 'Equivalent',
    namespaceSelector: selectedNamespaces(namespace),
    objectSelector: { matchExpressions: [{ key: OPT_IN, operator, values: ['true'] }] },
    matchConditions: [NOT_MIRROR, NOT_OPTED_OUT],
    failurePolicy,
    // Containers that another webhook adds later get their tokens too.
    reinvocationPolicy: 'IfNeeded',
    sideEffects: 'None',
    timeoutSeconds: 5,
  });
  return {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'MutatingWebhookConfiguration',
    metadata: {
      ...metadataOf('webhook', names.registration),
      ...(tls === 'cert-manager' ? injectCa : {}),
    },
    webhooks: [entry('labelled', 'Fail', 'In'), entry('others', 'Ignore', 'NotIn')],
  };
}
