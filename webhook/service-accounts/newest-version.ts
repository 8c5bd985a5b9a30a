import type { KubeClient } from '../../src/runtime/kube-client.ts';
import { MAX_BYTES, PATH } from './kube-json.ts';
import { ACCEPT, readPage } from './page.ts';

const TIMEOUT_MS = 10_000;

/** The version that the API server has come to. Costs a list of one ServiceAccount. */
export async function newestVersion(client: Pick<KubeClient, 'get'>, signal: AbortSignal): Promise<string> {
  const limits = { timeoutMs: TIMEOUT_MS, maxBytes: MAX_BYTES, accept: ACCEPT, signal };
  const { status, headers, body } = await client.get(`${PATH}?limit=1`, limits);
  if (status !== 200) throw new Error(`listing one ServiceAccount was answered with HTTP ${status}`);
  return readPage(body, headers['content-type'], { wanted: () => false, see: () => undefined }).version;
}
