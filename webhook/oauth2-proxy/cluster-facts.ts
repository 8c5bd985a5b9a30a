import { clusterDocument, clusterIssuer, type KubeGet } from '../../src/cluster-issuer.ts';
import { Failure, messageOf } from '../../src/fault.ts';
import type { Log } from '../../src/log.ts';
import type { ClusterFacts } from './settings.ts';

/** What the API server tells of itself now; what it does not tell is absent. Never throws. */
export async function findClusterFacts(get: KubeGet, log: Log): Promise<ClusterFacts> {
  const [issuer, minor] = await Promise.allSettled([clusterIssuer(get), clusterMinor(get)]);
  for (const answer of [issuer, minor])
    if (answer.status === 'rejected')
      log.debug({ reason: messageOf(answer.reason) }, 'the API server did not tell what oauth2-proxy is to know');
  return {
    issuer: issuer.status === 'fulfilled' ? issuer.value : undefined,
    minor: minor.status === 'fulfilled' ? minor.value : undefined,
  };
}

const RETRY_MS = 10_000;

/** Asks until everything is told, and hands on what is known each time it is more. `stop` ends it. */
export function followClusterFacts(get: KubeGet, log: Log, use: (facts: ClusterFacts) => void): { stop(): void } {
  let facts: ClusterFacts = {};
  let timer: NodeJS.Timeout | undefined;
  let stopped = false;
  const ask = async () => {
    const found = await findClusterFacts(get, log);
    if (stopped) return;
    const before = facts;
    facts = { issuer: found.issuer ?? before.issuer, minor: found.minor ?? before.minor };
    if (facts.issuer !== before.issuer || facts.minor !== before.minor) use(facts);
    if (facts.issuer === undefined || facts.minor === undefined) timer = setTimeout(() => void ask(), RETRY_MS);
  };
  void ask();
  return {
    stop() {
      stopped = true;
      clearTimeout(timer);
    },
  };
}

/** The y of 1.y. Some vendors write "29+" (apimachinery/pkg/version, Info). */
async function clusterMinor(get: KubeGet): Promise<number> {
  const text = await clusterDocument(get, '/version', 'application/json');
  const [, minor] = /"minor"\s*:\s*"(\d{1,4})\+?"/.exec(text) ?? [];
  if (minor === undefined) throw new Failure('GET /version: no "minor" in the answer');
  return Number(minor);
}
