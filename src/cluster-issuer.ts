import { Failure, messageOf } from './fault.ts';
import { METADATA_PATH } from './issuer-paths.ts';

/**
 * A GET to the API server with our own credentials. Resolves with whatever status it answers and follows no redirect;
 * rejects with an error whose message never holds a body or a header.
 */
export type KubeGet = (
  path: string,
  options: {
    readonly timeoutMs: number;
    readonly maxBytes: number;
    readonly accept: string;
    readonly signal?: AbortSignal;
  },
) => Promise<{ readonly status: number; readonly body: Buffer }>;

/** The most that one file or one answer may have, in bytes: 1 MiB, which is also the most that a Secret holds. */
export const MAX_SOURCE_BYTES = 1024 * 1024;

const TIMEOUT_MS = 10_000;
/** Gives `get` on both paths to every ServiceAccount: kubernetes/plugin/pkg/auth/authorizer/rbac/bootstrappolicy/policy.go. */
const CLUSTER_ROLE = 'system:service-account-issuer-discovery';

/**
 * One of the API server's own two documents, as text. `accept` must be the type of the path: the API server answers 406
 * to others (kubernetes/pkg/routes/openidmetadata.go). Throws a Failure that names the path and the reason.
 */
export async function clusterDocument(
  get: KubeGet,
  path: string,
  accept: string,
  signal?: AbortSignal,
): Promise<string> {
  const limits = { timeoutMs: TIMEOUT_MS, maxBytes: MAX_SOURCE_BYTES, accept };
  const { status, body } = await get(path, signal === undefined ? limits : { ...limits, signal }).catch((cause) => {
    throw new Failure(messageOf(cause), { cause });
  });
  if (status !== 200) throw new Failure(`GET ${path}: ${whyNot(status)}`);
  if (body.length > MAX_SOURCE_BYTES) throw new Failure(`GET ${path}: the answer is over 1 MiB`);
  return body.toString('utf8');
}

/** The issuer of the cluster's tokens, byte for byte. Throws a Failure where the API server does not tell. */
export async function clusterIssuer(get: KubeGet, signal?: AbortSignal): Promise<string> {
  const issuer = issuerIn(await clusterDocument(get, METADATA_PATH, 'application/json', signal));
  if (issuer === undefined) throw new Failure(`GET ${METADATA_PATH}: no "issuer" in the answer`);
  return issuer;
}

function whyNot(status: number): string {
  if (status >= 300 && status < 400) return `HTTP ${status}, a redirect, which is not followed`;
  if (status === 401 || status === 403) return `HTTP ${status}; the ClusterRole ${CLUSTER_ROLE} allows it`;
  return `HTTP ${status}`;
}

function issuerIn(text: string): string | undefined {
  try {
    const value: unknown = JSON.parse(text);
    const issuer = typeof value === 'object' && value !== null && 'issuer' in value ? value.issuer : undefined;
    return typeof issuer === 'string' && issuer !== '' ? issuer : undefined;
  } catch {
    return undefined;
  }
}
