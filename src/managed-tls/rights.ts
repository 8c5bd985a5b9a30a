/** A rule of RBAC, as in a Role or a ClusterRole. */
export interface Rule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly resourceNames: readonly string[];
  readonly verbs: readonly string[];
}

/**
 * The least rights that `--tls-mode managed` works with, beside those for ServiceAccounts. `list` and `watch` with names
 * hold for requests that select one by `metadata.name`, as all of ours do. There is no `create`, which cannot be narrowed
 * to a name: the Secret has to be there, without content. With that right it is also made.
 * https://kubernetes.io/docs/reference/access-authn-authz/rbac/#referring-to-resources
 */
export function managedTlsRights(
  secret: string,
  configurations: readonly string[],
): { /** Of a Role in the own namespace. */ readonly role: Rule; readonly clusterRole: Rule } {
  return {
    role: {
      apiGroups: [''],
      resources: ['secrets'],
      resourceNames: [secret],
      verbs: ['get', 'list', 'watch', 'update'],
    },
    clusterRole: {
      apiGroups: ['admissionregistration.k8s.io'],
      resources: ['mutatingwebhookconfigurations'],
      resourceNames: [...configurations],
      verbs: ['get', 'list', 'watch', 'patch'],
    },
  };
}
