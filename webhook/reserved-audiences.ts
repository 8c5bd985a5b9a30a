import { messageOf } from '../src/fault.ts';
import type { Log } from '../src/log.ts';

/** What is asked of the cluster: the audiences of our own credential, and a path of the API server. */
export interface AudienceSources {
  credentialAudiences(): Promise<readonly string[]>;
  get(
    path: string,
    options: { timeoutMs: number; maxBytes: number; accept: string },
  ): Promise<{ status: number; body: Buffer }>;
}

const DISCOVERY_PATH = '/.well-known/openid-configuration';

/**
 * The audiences that the API server accepts itself, as far as a client can see them: those of our own credential where
 * it is a token, and the cluster's issuer, which is one of them unless `--api-audiences` says otherwise
 * (kubernetes/pkg/kubeapiserver/options/authentication.go). Empty where neither source answers; never throws.
 */
export async function findReservedAudiences(sources: AudienceSources, log: Log): Promise<ReadonlySet<string>> {
  const found = new Set<string>();
  const answers = await Promise.allSettled([sources.credentialAudiences(), clusterIssuer(sources)]);
  for (const answer of answers) {
    if (answer.status === 'fulfilled') for (const audience of answer.value) found.add(audience);
    else log.debug({ reason: messageOf(answer.reason) }, 'a source of reserved audiences did not answer');
  }
  return found;
}

async function clusterIssuer(sources: AudienceSources): Promise<string[]> {
  const { status, body } = await sources.get(DISCOVERY_PATH, {
    timeoutMs: 5_000,
    maxBytes: 1024 * 1024,
    accept: 'application/json',
  });
  if (status !== 200) throw new Error(`${DISCOVERY_PATH} answered ${status}`);
  const document: unknown = JSON.parse(body.toString());
  const issuer =
    typeof document === 'object' && document !== null && 'issuer' in document ? document.issuer : undefined;
  if (typeof issuer !== 'string' || issuer === '') throw new Error(`${DISCOVERY_PATH} has no issuer`);
  return [issuer];
}
