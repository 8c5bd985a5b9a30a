import type { KubeClient, KubeResponse } from '../../runtime/kube-client.ts';
import { jsonObject } from './outsider.ts';

/** For each question to the API server. */
export const TIMEOUT_MS = 15_000;

/** Asks, and remembers what may not be asked. */
export interface Asking {
  get(path: string, right: string, accept?: string): Promise<KubeResponse | undefined>;
  post(path: string, body: unknown, right: string): Promise<KubeResponse | undefined>;
}

export function askingOf(client: KubeClient, denied: string[]): Asking {
  const allowed = (response: KubeResponse, right: string) => {
    if (response.status !== 403 || !saysForbidden(response)) return response;
    denied.push(right);
    return undefined;
  };
  return {
    get: async (path, right, accept = 'application/json') =>
      allowed(await client.get(path, { timeoutMs: TIMEOUT_MS, accept }), right),
    post: async (path, body, right) => allowed(await client.post(path, body, { timeoutMs: TIMEOUT_MS }), right),
  };
}

/** The words of the authorizer; admission refuses with 403 too (apiserver/pkg/endpoints/handlers/responsewriters). */
function saysForbidden({ body }: KubeResponse): boolean {
  return /forbidden: User .* cannot /.test(messageIn(body)) || messageIn(body) === '';
}

/** The message of a Status object. */
export function messageIn(body: Buffer): string {
  const message = jsonObject(body)?.message;
  return typeof message === 'string' ? message : '';
}
