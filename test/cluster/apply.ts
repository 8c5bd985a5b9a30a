/** Applies what podpass installs to an API server without nodes, where no Service leads anywhere. */
import type { KubeObject } from '../../src/cli/manifests/object.ts';
import type { ApiResponse } from './api-client.ts';
import type { ControlPlane, KubeObject as Stored } from './control-plane.ts';

export type Registration = KubeObject & { webhooks: { name: string; clientConfig: { service: { name: string } } }[] };

/** Server-side apply, where unknown fields are refused. Returns the answer as it is. */
export function apply(cluster: ControlPlane, object: KubeObject, query = ''): Promise<ApiResponse<Stored>> {
  return cluster.request<Stored>(
    'PATCH',
    `${collectionOf(object)}/${object.metadata.name}?fieldManager=test&force=true&fieldValidation=Strict${query}`,
    object,
    { contentType: 'application/apply-patch+yaml' },
  );
}

function collectionOf({ apiVersion, kind, metadata: { namespace } }: KubeObject): string {
  const plural = kind.toLowerCase().replace(/y$/, 'ie').replace(/s$/, 'se');
  const group = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
  return `${group}${namespace === undefined ? '' : `/namespaces/${namespace}`}/${plural}s`;
}

/** The registration with other addresses: those of the Service of both halves, and of the Service of each. */
export function registeredAt(
  { both, a, b }: Readonly<Record<'both' | 'a' | 'b', object>>,
  { webhooks, ...rest }: Registration,
): KubeObject {
  const configs: Record<string, object> = { 'podpass-webhook': both, 'podpass-webhook-a': a, 'podpass-webhook-b': b };
  return {
    ...rest,
    webhooks: webhooks.map((entry) => ({ ...entry, clientConfig: configs[entry.clientConfig.service.name] })),
  };
}
