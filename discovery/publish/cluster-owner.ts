import type { KubeGet } from '../../src/cluster-issuer.ts';
import { Failure, messageOf } from '../../src/fault.ts';

const PATH = '/api/v1/namespaces/kube-system';
const LIMITS = { timeoutMs: 10_000, maxBytes: 1024 * 1024, accept: 'application/json' };

/**
 * What tells one cluster from another, as two may have one issuer by default: the UID of the namespace kube-system, which
 * is never deleted. Throws a Failure where the API server does not tell.
 */
export async function clusterOwner(get: KubeGet, signal?: AbortSignal): Promise<string> {
  const { status, body } = await get(PATH, signal === undefined ? LIMITS : { ...LIMITS, signal }).catch((cause) => {
    throw new Failure(messageOf(cause), { cause });
  });
  if (status === 401 || status === 403) {
    throw new Failure(`GET ${PATH}: HTTP ${status}; publishing needs the right to get the namespace kube-system`);
  }
  const uid = status === 200 ? uidIn(body) : undefined;
  if (uid === undefined) throw new Failure(`GET ${PATH}: HTTP ${status}, without a UID in the answer`);
  return uid;
}

function uidIn(body: Buffer): string | undefined {
  try {
    const { metadata } = JSON.parse(body.toString('utf8')) as { metadata?: { uid?: unknown } };
    return typeof metadata?.uid === 'string' && metadata.uid !== '' ? metadata.uid : undefined;
  } catch {
    return undefined;
  }
}
