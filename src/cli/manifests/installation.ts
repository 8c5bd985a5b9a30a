import { discoveryFiles } from './discovery.ts';
import type { Installation, KubeObject } from './object.ts';
import { webhookFiles } from './webhook.ts';

/**
 * Everything that an installation consists of: the one source of `podpass manifests`, of manifests/base and its overlays,
 * and of the chart's templates. By folder and file, in the order in which it is applied.
 */
export function installationFiles(
  installation: Installation,
): Readonly<Record<'namespace' | 'webhook' | 'discovery', Readonly<Record<string, readonly KubeObject[]>>>> {
  return {
    namespace: { 'namespace.yaml': [namespaceOf(installation)] },
    webhook: webhookFiles(installation),
    discovery: discoveryFiles(installation),
  };
}

export function allObjects(installation: Installation): KubeObject[] {
  return Object.values(installationFiles(installation)).flatMap((files) => Object.values(files).flat());
}

/** Restricted Pod Security: https://kubernetes.io/docs/concepts/security/pod-security-standards/ */
function namespaceOf({ namespace }: Installation): KubeObject {
  const modes = ['enforce', 'audit', 'warn'];
  return {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: {
      name: namespace,
      labels: {
        'app.kubernetes.io/name': 'podpass',
        ...Object.fromEntries(modes.map((mode) => [`pod-security.kubernetes.io/${mode}`, 'restricted'])),
      },
    },
  };
}
