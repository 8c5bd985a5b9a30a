import { TRY_SECONDS } from '../../catalog/admission.ts';
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
import { ASKS, ASKS_FOR_PROXY } from './asking.ts';
import { type Installation, type KubeObject, metadataOf, names } from './object.ts';

/** The Pods of this label wait for the webhook: their owner would rather have no Pod than one without its tokens. */
const OPT_IN = `${PREFIX}/inject`;
const INJECTED: (typeof annotationRows)[number]['key'] = 'injected';

const AZURE_USE: PresetKey<'azure', 'label'> = 'use';
const AZURE_LABEL = `${AZURE_PREFIX}/${AZURE_USE}`;

/** What the webhook itself writes; before it there is nothing that tells. */
const NOT_INJECTED = {
  name: 'not-injected-yet',
  expression: `!object.metadata.?annotations[?'${PREFIX}/${INJECTED}'].hasValue()`,
};

const isTrue = (label: string) => `object.metadata.?labels[?'${label}'].orValue('') == 'true'`;

/**
 * The first entry has to match every Pod, as what a ServiceAccount asks for is not seen by CEL. It must not be in the way
 * when the webhook is away; Pods that ask themselves are then refused by the policy (final-state-policy.ts).
 *
 * The API server itself never repeats a call whose connection broke, as when a replica or its node was lost. So there are
 * two more tries for Pods that are not to be created without their tokens, each only where none before was answered: one
 * at each half of the webhook, of which one is alive whichever replica is not. The last one makes Pods of the label wait.
 * Those that ask by their own annotations have one that does not: for them there is the policy. An answer without tokens
 * counts as well, as the webhook marks a Pod that waits (webhook/waiting.ts).
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
  const entry = (name: string, service: string, failurePolicy: 'Fail' | 'Ignore', own: object) => ({
    name: `${name}.${PREFIX}`,
    admissionReviewVersions: ['v1'],
    clientConfig: { service: { name: service, namespace, path: '/mutate', port: 443 } },
    rules: [podCreation],
    matchPolicy: 'Equivalent',
    namespaceSelector: presets.length > 0 ? namespacesBut(namespace) : selectedNamespaces(namespace),
    failurePolicy,
    // Containers that another webhook adds later get their tokens too.
    reinvocationPolicy: 'IfNeeded',
    sideEffects: 'None',
    timeoutSeconds: TRY_SECONDS,
    ...own,
  });
  const always = [NOT_MIRROR, NOT_OPTED_OUT];
  const { a, b } = names.halves;
  const labels = [OPT_IN, ...(presets.includes('azure') ? [AZURE_LABEL] : [])];
  const asks = `${ASKS} || ${ASKS_FOR_PROXY}`;
  const waits = labels.map(isTrue).join(' || ');
  const onlyFor = (name: string, expression: string) => ({
    matchConditions: [...always, NOT_INJECTED, { name, expression }],
  });
  const withLabel = (label: string) => ({
    objectSelector: { matchLabels: { [label]: 'true' } },
    matchConditions: [...always, NOT_INJECTED],
  });
  return {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'MutatingWebhookConfiguration',
    metadata: {
      ...metadataOf('webhook', names.registration),
      ...(tls === 'cert-manager' ? injectCa : {}),
    },
    webhooks: [
      entry('all', names.webhook, 'Ignore', { matchConditions: always }),
      entry('again', a, 'Ignore', onlyFor('waits-or-asks', `${waits} || ${asks}`)),
      entry('annotated', b, 'Ignore', onlyFor('asks-and-does-not-wait', `!(${waits}) && (${asks})`)),
      entry('labelled', b, 'Fail', withLabel(OPT_IN)),
      ...(presets.includes('azure') ? [entry('azure', b, 'Fail', withLabel(AZURE_LABEL))] : []),
      ...(ephemeralContainers
        ? [entry('debug', names.webhook, 'Ignore', { rules: [debugging], matchConditions: always })]
        : []),
    ],
  };
}
