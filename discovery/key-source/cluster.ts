import { issuerUrl } from '../../src/codec.ts';
import { messageOf, quote } from '../../src/fault.ts';
import { JWKS_PATH } from '../paths.ts';
import { publicKeysFromJwkSet } from '../public-keys.ts';
import { type KeySource, KeySourceFailure, MAX_SOURCE_BYTES } from './key-source.ts';

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

const TIMEOUT_MS = 10_000;
const METADATA_PATH = '/.well-known/openid-configuration';
/** Gives `get` on both paths to every ServiceAccount: kubernetes/plugin/pkg/auth/authorizer/rbac/bootstrappolicy/policy.go. */
const CLUSTER_ROLE = 'system:service-account-issuer-discovery';

/** The keys that the API server publishes itself. Its IDs are copied: an external signer chooses them freely. */
export function createClusterSource(get: KubeGet): KeySource {
  return {
    name: 'cluster',
    async read(signal) {
      const text = await answer(get, JWKS_PATH, 'application/jwk-set+json', signal);
      const reading = publicKeysFromJwkSet(text, 'cluster');
      if (reading.keys.length === 0) {
        throw new KeySourceFailure(`GET ${JWKS_PATH}: no usable key`, { partial: reading });
      }
      return reading;
    },
  };
}

/** The issuer of the cluster's tokens, byte for byte. Throws a KeySourceFailure where the API server does not tell. */
export async function clusterIssuer(get: KubeGet, signal?: AbortSignal): Promise<string> {
  const issuer = issuerIn(await answer(get, METADATA_PATH, 'application/json', signal));
  if (issuer === undefined) throw new KeySourceFailure(`GET ${METADATA_PATH}: no "issuer" in the answer`);
  const parsed = issuerUrl.parse(issuer);
  if (parsed.ok) return parsed.value;
  throw new KeySourceFailure(
    `GET ${METADATA_PATH}: the issuer ${quote(issuer)} ${parsed.wrong}; name one with --issuer`,
  );
}

/** `accept` must be the type of the path: the API server answers 406 to others (kubernetes/pkg/routes/openidmetadata.go). */
async function answer(get: KubeGet, path: string, accept: string, signal?: AbortSignal): Promise<string> {
  const limits = { timeoutMs: TIMEOUT_MS, maxBytes: MAX_SOURCE_BYTES, accept };
  const { status, body } = await get(path, signal === undefined ? limits : { ...limits, signal }).catch((error) => {
    throw new KeySourceFailure(messageOf(error), { cause: error });
  });
  if (status !== 200) throw new KeySourceFailure(`GET ${path}: ${whyNot(status)}`);
  if (body.length > MAX_SOURCE_BYTES) throw new KeySourceFailure(`GET ${path}: the answer is over 1 MiB`);
  return body.toString('utf8');
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
    return typeof issuer === 'string' ? issuer : undefined;
  } catch {
    return undefined;
  }
}
