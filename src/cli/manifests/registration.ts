import type { annotationRows } from '../../catalog/annotations.ts';
import { AZURE_PREFIX, type PresetKey } from '../../catalog/presets.ts';
import {
  debugging,
  NOT_MIRROR,
  NOT_OPTED_OUT,
  namespacesBut,
  PREFIX,
  podCreation,
  selectedNamespaces,
} from './admission.ts';
import { type Installation, type KubeObject, metadataOf, names } from './object.ts';

/** The Pods of this label wait for the webhook: their owner would rather have no Pod than one without its tokens. */
const OPT_IN = `${PREFIX}/inject`;
const INJECTED: (typeof annotationRows)[number]['key'] = 'injected';

const AZURE_USE: PresetKey<'azure', 'label'> = 'use';

/** What the webhook itself writes; before it there is nothing that tells. */
const NOT_INJECTED = {
  name: 'not-injected-yet',
  expression: `!object.metadata.?annotations[?'${PREFIX}/${INJECTED}'].hasValue()`,
};

/**
 * The first entry has to match every Pod, as what a ServiceAccount asks for is not seen by CEL. It must not be in the way
 * when the webhook is away; Pods that ask themselves are then refused by the policy (final-state-policy.ts).
 *
 * The other two are for Pods of the label, and only where nothing was added yet: a second try, and the last one, which
 * makes the Pod wait. The API server itself never repeats a call whose connection broke, as when a replica has crashed,
 * and the next connection that it takes may be a dead one as well.
 *
 * In the place of the clouds' own webhooks it serves kube-system as they do, and Pods with Azure's label wait as they did.
 *
 * Nobody waits for the webhook to debug a Pod.
 *
 * There is no caBundle: the webhook, or cert-manager, writes it, and applying this again must not wipe it.
 */
export function registration(installation: Installation): KubeObject {
  const { namespace, tls, presets = [], ephemeralContainers = false } = installation;
  const injectCa = { annotations: { 'cert-manager.io/inject-ca-from': `${namespace}/${names.certificate}` } };
  const entry = (name: string, failurePolicy: 'Fail' | 'Ignore', own: object) => ({
    name: `${name}.${PREFIX}`,
    admissionReviewVersions: ['v1'],
    clientConfig: { service: { name: names.webhook, namespace, path: '/mutate', port: 443 } },
    rules: [podCreation],
    matchPolicy: 'Equivalent',
    namespaceSelector: presets.length > 0 ? namespacesBut(namespace) : selectedNamespaces(namespace),
    failurePolicy,
    // Containers that another webhook adds later get their tokens too.
    reinvocationPolicy: 'IfNeeded',
    sideEffects: 'None',
    timeoutSeconds: 5,
    ...own,
  });
  const conditions = [NOT_MIRROR, NOT_OPTED_OUT];
  const labelled = {
    objectSelector: { matchLabels: { [OPT_IN]: 'true' } },
    matchConditions: [...conditions, NOT_INJECTED],
  };
  return {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'MutatingWebhookConfiguration',
    metadata: {
      ...metadataOf('webhook', names.registration),
      ...(tls === 'cert-manager' ? injectCa : {}),
    },
    webhooks: [
      entry('all', 'Ignore', { matchConditions: conditions }),
      entry('again', 'Ignore', labelled),
      entry('labelled', 'Fail', labelled),
      ...(presets.includes('azure')
        ? [
            entry('azure', 'Fail', {
              objectSelector: { matchLabels: { [`${AZURE_PREFIX}/${AZURE_USE}`]: 'true' } },
              matchConditions: [...conditions, NOT_INJECTED],
            }),
          ]
        : []),
      ...(ephemeralContainers ? [entry('debug', 'Ignore', { rules: [debugging], matchConditions: conditions })] : []),
    ],
  };
}
