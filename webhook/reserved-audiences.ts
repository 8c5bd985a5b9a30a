import { clusterIssuer, type KubeGet } from '../src/cluster-issuer.ts';
import { messageOf } from '../src/fault.ts';
import type { Log } from '../src/log.ts';

/** What is asked of the cluster: the audiences of our own credential, and a path of the API server. */
export interface AudienceSources {
  credentialAudiences(): Promise<readonly string[]>;
  readonly get: KubeGet;
}

export interface ReservedAudiences {
  readonly found: ReadonlySet<string>;
  /** Every source has answered; else it is worth asking again. */
  readonly complete: boolean;
}

/**
 * The audiences that the API server accepts itself, as far as a client can see them: those of our own credential where
 * it is a token, and the cluster's issuer, which is one of them unless `--api-audiences` says otherwise
 * (kubernetes/pkg/kubeapiserver/options/authentication.go). Never throws.
 */
export async function findReservedAudiences(sources: AudienceSources, log: Log): Promise<ReservedAudiences> {
  const issuer = async () => [await clusterIssuer(sources.get)];
  const answers = await Promise.allSettled([sources.credentialAudiences(), issuer()]);
  const found = new Set<string>();
  for (const answer of answers) {
    if (answer.status === 'fulfilled') for (const audience of answer.value) found.add(audience);
    else log.debug({ reason: messageOf(answer.reason) }, 'a source of reserved audiences did not answer');
  }
  return { found, complete: answers.every(({ status }) => status === 'fulfilled') };
}

const RETRY_MS = 10_000;

/**
 * Asks until every source has answered, tells what is known each time it grows, and warns once while nothing is.
 * `stop` ends it.
 */
export function followReservedAudiences(
  sources: AudienceSources,
  log: Log,
  use: (found: ReadonlySet<string>) => void,
): { stop(): void } {
  const known = new Set<string>();
  let timer: NodeJS.Timeout | undefined;
  let stopped = false;
  let warned = false;
  const ask = async () => {
    const { found, complete } = await findReservedAudiences(sources, log);
    if (stopped) return;
    const before = known.size;
    for (const audience of found) known.add(audience);
    if (known.size > before) {
      use(new Set(known));
      log.info({ reservedAudiences: [...known] }, "the API server's own audiences are refused");
    }
    if (known.size === 0 && !warned) {
      log.warn({}, "the API server's own audiences were not found; only the configured ones are refused");
      warned = true;
    }
    if (!complete) timer = setTimeout(() => void ask(), RETRY_MS);
  };
  void ask();
  return {
    stop() {
      stopped = true;
      clearTimeout(timer);
    },
  };
}
