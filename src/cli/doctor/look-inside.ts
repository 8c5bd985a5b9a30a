import type { KubeConfig } from '@kubernetes/client-node';
import { messageOf } from '../../fault.ts';
import { JWKS_PATH, METADATA_PATH } from '../../issuer-paths.ts';
import { createKubeClient, KubeError } from '../../runtime/kube-client.ts';
import { type Asking, askingOf, TIMEOUT_MS } from './asking.ts';
import { lookAtWebhook } from './look-at-webhook.ts';
import { mintToken } from './mint-token.ts';
import type { ClusterAnswer, ClusterSeen, Jwk } from './observation.ts';
import { fetchOutside, jsonObject } from './outsider.ts';

/** How often the API server is asked: behind a load balancer every connection may meet another one. */
const ANSWERS = 5;
const BINDING = 'system:service-account-issuer-discovery';

export interface Inside {
  readonly cluster: ClusterSeen;
  /** A live token to try from outside, and whose it is. Never part of an observation. */
  readonly minted?: { readonly token: string; readonly name: string } | undefined;
}

/**
 * The cluster as its administrator sees it. Changes nothing: beside reading it asks for tokens, for a review of who it is
 * itself, and creates a Pod as a dry run. A missing right leaves its check out and is told.
 */
export async function lookInside(kubeConfig: KubeConfig, audience: string | undefined): Promise<Inside> {
  const client = createKubeClient(kubeConfig);
  const denied: string[] = [];
  const { server } = client;
  try {
    const first = await client.get('/version', { timeoutMs: TIMEOUT_MS });
    if (first.status === 401) return nobody(server, 'HTTP 401: it does not know the credential of the kubeconfig');
    const date = Date.parse(first.headers.date ?? '');
    const skew = Number.isNaN(date) ? undefined : date - Date.now();
    const asking = askingOf(client, denied);
    const answers: ClusterAnswer[] = [];
    for (let i = 0; i < ANSWERS; i++) answers.push(await documentsOf(kubeConfig, denied));
    const webhook = await lookAtWebhook(asking);
    const minted = await mintToken(asking, webhook.namespace, audience);
    const bound = await boundTo(asking);
    const { token, name, notMinted, lifetime } = minted;
    return {
      cluster: {
        server,
        denied: [...new Set(denied)],
        answers,
        skew,
        bound,
        anonymous: await anonymous(server),
        notMinted,
        lifetime,
        webhook,
      },
      minted: token === undefined ? undefined : { token, name },
    };
  } catch (error) {
    if (error instanceof KubeError) return nobody(server, error.message);
    throw error;
  } finally {
    client.close();
  }
}

const nobody = (server: string, unreachable: string): Inside => ({
  cluster: { server, unreachable, denied: [], answers: [] },
});

async function documentsOf(kubeConfig: KubeConfig, denied: string[]): Promise<ClusterAnswer> {
  const client = createKubeClient(kubeConfig);
  const asking = askingOf(client, denied);
  try {
    const document = await asking.get(METADATA_PATH, `get ${METADATA_PATH}`);
    const jwks = await asking.get(JWKS_PATH, `get ${JWKS_PATH}`, 'application/jwk-set+json');
    const { issuer } = jsonObject(document?.body) ?? {};
    const { keys } = jsonObject(jwks?.body) ?? {};
    const bad = [
      ...(document === undefined || document.status === 200 ? [] : [`${METADATA_PATH}: HTTP ${document.status}`]),
      ...(jwks === undefined || jwks.status === 200 ? [] : [`${JWKS_PATH}: HTTP ${jwks.status}`]),
    ];
    return {
      ...(bad.length === 0 ? {} : { fault: bad.join(', ') }),
      ...(typeof issuer === 'string' ? { issuer } : {}),
      ...(Array.isArray(keys)
        ? { keys: keys.filter((key): key is Jwk => typeof key === 'object' && key !== null) }
        : {}),
    };
  } catch (error) {
    return { fault: messageOf(error) };
  } finally {
    client.close();
  }
}

/** What someone without a credential gets; who the server is does not matter for that. */
async function anonymous(server: string): Promise<number | undefined> {
  if (!server.startsWith('https:')) return undefined;
  const { status } = await fetchOutside(server.replace(/\/$/, '') + JWKS_PATH, 'application/jwk-set+json', undefined);
  return status;
}

async function boundTo(asking: Asking): Promise<boolean | undefined> {
  const path = `/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/${encodeURIComponent(BINDING)}`;
  const response = await asking.get(path, `get clusterrolebindings/${BINDING}`);
  if (response === undefined) return undefined;
  if (response.status === 404) return false;
  const { subjects } = jsonObject(response.body) ?? {};
  const groups = ['system:serviceaccounts', 'system:authenticated'];
  return Array.isArray(subjects) && subjects.some((subject) => groups.includes(subject?.name));
}
