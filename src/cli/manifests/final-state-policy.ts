import { PROXY_CONTAINER } from '../../../webhook/pod.ts';
import { TOKENS_VOLUME } from '../../../webhook/token-injection.ts';
import type { PlainKey } from '../../catalog/annotations.ts';
import { NOT_MIRROR, NOT_OPTED_OUT, podCreation, selectedNamespaces } from './admission.ts';
import { ASKS, family, hasItem, key, SPACE } from './asking.ts';
import { type Installation, type KubeObject, metadataOf, names } from './object.ts';

/** A list with this item. Names of containers are DNS labels, so they mean themselves in a pattern. */
const holds = (list: string, item: string) => `${list}.matches(r'(^|[${SPACE},])' + ${item} + r'($|[${SPACE},])')`;
const ofPod = (plain: PlainKey) => `variables.pod[?'${key(plain)}'].orValue('')`;

const variables = {
  pod: 'object.metadata.annotations',
  // oauth2-proxy never sees tokens.
  containers: `(object.spec.containers.map(c, c.name) + object.spec.?initContainers.orValue([]).map(c, c.name)).filter(c, c != '${PROXY_CONTAINER}')`,
  skipped: ofPod('skip-containers'),
  only: ofPod('containers'),
  onlyForOneToken: `variables.pod.map(k, k.startsWith('${family('containers')}'), variables.pod[k]).filter(l, ${hasItem('l')})`,
  seen: `variables.containers.exists(c, !${holds('variables.skipped', 'c')} && (
  variables.onlyForOneToken.size() > 0 ? variables.onlyForOneToken.exists(l, ${holds('l', 'c')}) :
  ${hasItem('variables.only')} ? ${holds('variables.only', 'c')} : true))`,
  hasTokens: `object.spec.?volumes.orValue([]).exists(v,
  has(v.projected) && (v.name == '${TOKENS_VOLUME}' || v.name.startsWith('${TOKENS_VOLUME}-')))`,
};

/**
 * Refuses a Pod that asks for tokens itself and has none in the end, because the webhook was away: better no Pod, which
 * its controller tries again, than one that runs without. A Pod that keeps its tokens from all of its containers
 * passes; where single tokens have lists of containers, some pass that the webhook would have changed.
 *
 * It reads the Pod alone. With the ServiceAccount as a param every creation would pay for every ServiceAccount of the
 * namespace (docs/decisions/0005-manifests-from-the-catalog.md). So it also refuses a Pod that only its ServiceAccount
 * keeps without tokens, and says how the Pod can say so itself.
 *
 * An error in here must not stop a cluster, so the policy ignores its own.
 */
export function finalStatePolicy({ namespace }: Installation): KubeObject[] {
  const apiVersion = 'admissionregistration.k8s.io/v1';
  const metadata = metadataOf('webhook', names.registration);
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
        // matchConditions see no variables.
        matchConditions: [NOT_MIRROR, NOT_OPTED_OUT, { name: 'asks-for-tokens', expression: ASKS }],
        variables: Object.entries(variables).map(([name, expression]) => ({ name, expression })),
        validations: [
          {
            expression: 'variables.hasTokens || !variables.seen',
            message:
              'the annotations of this Pod ask for tokens, and it has none: the webhook of podpass did not answer, ' +
              `or the annotations of its ServiceAccount (${key('inject')}: "false", lists of containers) leave it none. ` +
              `Try again when "kubectl -n ${namespace} get deployment ${Object.values(names.halves).join(' ')}" says one is available; ` +
              `with the annotation ${key('inject')}: "false" on itself the Pod runs without tokens`,
            reason: 'Forbidden',
          },
        ],
      },
    },
    {
      apiVersion,
      kind: 'ValidatingAdmissionPolicyBinding',
      metadata,
      spec: { policyName: names.registration, validationActions: ['Deny'] },
    },
  ];
}
