import { type Installation, type KubeObject, metadataOf, names, type Service } from './object.ts';

export const group = 'rbac.authorization.k8s.io';
const registrations = { apiGroups: ['admissionregistration.k8s.io'], resources: ['mutatingwebhookconfigurations'] };

/** The webhook's rights, and no more. `list` and `watch` by name work with a field selector on the name. */
export function webhookRights(installation: Installation): KubeObject[] {
  const { namespace, tls } = installation;
  const name = names.webhook;
  const managed = tls === 'managed';
  const serviceAccounts = { apiGroups: [''], resources: ['serviceaccounts'], verbs: ['get', 'list', 'watch'] };
  // Reports on the owners of Pods, which are in any namespace (src/runtime/events.ts).
  const events = { apiGroups: ['events.k8s.io'], resources: ['events'], verbs: ['create'] };
  const caBundle = { ...registrations, resourceNames: [names.registration], verbs: ['get', 'list', 'watch', 'patch'] };
  const certificate = {
    apiGroups: [''],
    resources: ['secrets'],
    resourceNames: [names.tlsSecret],
    verbs: ['get', 'list', 'watch', 'update'],
  };
  return [
    serviceAccount(installation, 'webhook'),
    {
      apiVersion: `${group}/v1`,
      kind: 'ClusterRole',
      metadata: metadataOf('webhook', name),
      rules: managed ? [serviceAccounts, events, caBundle] : [serviceAccounts, events],
    },
    binding(installation, 'webhook', 'ClusterRole', name),
    issuerDiscovery(installation, 'webhook'),
    ...(managed
      ? [
          {
            apiVersion: `${group}/v1`,
            kind: 'Role',
            metadata: metadataOf('webhook', name, namespace),
            rules: [certificate],
          },
          binding(installation, 'webhook', 'Role', name),
        ]
      : []),
  ];
}

/** discovery reads what every ServiceAccount may read, unless a cluster was hardened. */
export function discoveryRights(installation: Installation): KubeObject[] {
  return [serviceAccount(installation, 'discovery'), issuerDiscovery(installation, 'discovery')];
}

function serviceAccount({ namespace }: Installation, service: Service): KubeObject {
  return {
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: metadataOf(service, names[service], namespace),
    automountServiceAccountToken: false,
  };
}

/** The issuer and its keys: kubernetes/plugin/pkg/auth/authorizer/rbac/bootstrappolicy/policy.go has the role. */
function issuerDiscovery(installation: Installation, service: Service): KubeObject {
  const role = 'system:service-account-issuer-discovery';
  return binding(installation, service, 'ClusterRole', role, `${names[service]}-issuer-discovery`);
}

export function binding(
  { namespace }: Installation,
  service: Service,
  kind: 'ClusterRole' | 'Role',
  role: string,
  name: string = role,
): KubeObject {
  return {
    apiVersion: `${group}/v1`,
    kind: `${kind}Binding`,
    metadata: metadataOf(service, name, kind === 'Role' ? namespace : undefined),
    roleRef: { apiGroup: group, kind, name: role },
    subjects: [{ kind: 'ServiceAccount', name: names[service], namespace }],
  };
}
