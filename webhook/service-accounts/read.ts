import type { KubeClient } from '../../src/runtime/kube-client.ts';
import { NO_ANNOTATIONS, type ServiceAccount } from './account.ts';
import { type KubeObject, MAX_BYTES, parse } from './kube-json.ts';

// DNS labels and subdomains: https://kubernetes.io/docs/concepts/overview/working-with-objects/names/
const NAMESPACE = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;
const NAME = /^(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;

/** One read of a ServiceAccount with all its annotations; undefined when there is none. */
export async function readServiceAccount(
  client: Pick<KubeClient, 'get'>,
  namespace: string,
  name: string,
  timeoutMs: number,
): Promise<ServiceAccount | undefined> {
  // A mutating webhook sees names that nobody has validated yet; no ServiceAccount can have such a one.
  if (!NAMESPACE.test(namespace) || !NAME.test(name)) return undefined;
  const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${name}`;
  const { status, body } = await client.get(path, { timeoutMs, maxBytes: MAX_BYTES });
  if (status !== 200 && status !== 404) throw new Error(`reading a ServiceAccount was answered with HTTP ${status}`);
  const { kind, reason, metadata } = parse<KubeObject>(body);
  // Something between us and the API server may answer 404 as well, but not with this reason.
  if (status === 404 && reason === 'NotFound') return undefined;
  if (kind !== 'ServiceAccount') throw new Error('reading a ServiceAccount was answered with something else');
  return { namespace, name, annotations: metadata?.annotations ?? NO_ANNOTATIONS };
}
