import { type Installation, type KubeObject, metadataOf, names } from './object.ts';
import { binding, group } from './rights.ts';

/** What discovery needs beside the base for what is switched on. */

/**
 * The ConfigMap of `--state` without data, which are discovery's, so that applying it again takes nothing away; and the
 * right to that one alone. It would make one itself, but the right to create one cannot be narrowed to a name
 * (https://kubernetes.io/docs/reference/access-authn-authz/rbac/#referring-to-resources).
 */
export function keyStateObjects(installation: Installation): KubeObject[] {
  const metadata = metadataOf('discovery', names.keyState, installation.namespace);
  const rule = {
    apiGroups: [''],
    resources: ['configmaps'],
    resourceNames: [names.keyState],
    verbs: ['get', 'update'],
  };
  return [
    { apiVersion: 'v1', kind: 'ConfigMap', metadata },
    { apiVersion: `${group}/v1`, kind: 'Role', metadata, rules: [rule] },
    binding(installation, 'discovery', 'Role', names.keyState),
  ];
}

/** To read the UID of kube-system, which is the mark of a cluster on its copies. */
export function publishingRights(installation: Installation): KubeObject[] {
  const rule = { apiGroups: [''], resources: ['namespaces'], resourceNames: ['kube-system'], verbs: ['get'] };
  const metadata = metadataOf('discovery', names.publishing);
  return [
    { apiVersion: `${group}/v1`, kind: 'ClusterRole', metadata, rules: [rule] },
    binding(installation, 'discovery', 'ClusterRole', names.publishing),
  ];
}
