import { NOT_MIRROR, NOT_OPTED_OUT, podCreation, selectedNamespaces } from './admission.ts';
import { type Installation, type KubeObject, metadataOf, names } from './object.ts';

export interface Refusal {
  readonly name: string;
  /** Which Pods it looks at; a matchCondition sees no variables. */
  readonly condition: { readonly name: string; readonly expression: string };
  /** CEL by name. */
  readonly variables?: Readonly<Record<string, string>>;
  /** What is true of a Pod that may be created. */
  readonly expression: string;
  /** Begins with what the Pod asks for and has not; when to try again follows. */
  readonly message: string;
  /** What else may be done, after that. */
  readonly otherwise?: string;
}

/**
 * A policy, with its binding, that refuses Pods for which the webhook did not do what they ask. It reads the Pod alone: with
 * the ServiceAccount as a param every creation would pay for every ServiceAccount of the namespace
 * (docs/decisions/0005-manifests-from-the-catalog.md).
 *
 * An error in it must not stop a cluster, so it ignores its own.
 */
export function refusal({ namespace }: Installation, of: Refusal): KubeObject[] {
  const { name, condition, variables, expression, message, otherwise = '' } = of;
  const apiVersion = 'admissionregistration.k8s.io/v1';
  const metadata = metadataOf('webhook', name);
  const deployments = Object.values(names.halves).join(' ');
  const again = `Try again when "kubectl -n ${namespace} get deployment ${deployments}" says one is available`;
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
        matchConditions: [NOT_MIRROR, NOT_OPTED_OUT, condition],
        ...(variables === undefined
          ? {}
          : { variables: Object.entries(variables).map(([each, text]) => ({ name: each, expression: text })) }),
        validations: [{ expression, message: `${message} ${again}${otherwise}`, reason: 'Forbidden' }],
      },
    },
    {
      apiVersion,
      kind: 'ValidatingAdmissionPolicyBinding',
      metadata,
      spec: { policyName: name, validationActions: ['Deny'] },
    },
  ];
}
