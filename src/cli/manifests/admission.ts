import { settingRows } from '../../catalog/settings.ts';

/** What the registration and the policy have in common: which Pods concern podpass. */

/** Manifests are for the annotations as they are documented. */
export const PREFIX = settingRows.annotationPrefix.default;

export const podCreation = {
  apiGroups: [''],
  apiVersions: ['v1'],
  operations: ['CREATE'],
  resources: ['pods'],
  scope: 'Namespaced',
} as const;

export const debugging = {
  ...podCreation,
  operations: ['UPDATE'],
  // `pods` alone does not match subresources.
  resources: ['pods/ephemeralcontainers'],
} as const;

/** kube-system must come up without podpass, and podpass without itself. */
export function selectedNamespaces(own: string): object {
  return namespacesBut('kube-system', own);
}

export function namespacesBut(...names: readonly string[]): object {
  return { matchExpressions: [{ key: 'kubernetes.io/metadata.name', operator: 'NotIn', values: names }] };
}

const ANNOTATIONS = 'object.metadata.?annotations';

/** Mirror Pods may carry no tokens (webhook/pod.ts), and must never wait for a webhook. */
export const NOT_MIRROR = {
  name: 'not-a-mirror-pod',
  expression: `!${ANNOTATIONS}[?'kubernetes.io/config.mirror'].hasValue()`,
};

export const NOT_OPTED_OUT = {
  name: 'not-opted-out',
  expression: `${ANNOTATIONS}[?'${PREFIX}/inject'].orValue('').trim() != 'false'`,
};
