import { messageOf, quote } from '../src/fault.ts';
import { issuerDifference } from '../src/issuer-difference.ts';
import type { Log } from '../src/log.ts';
import type { KeySource } from './key-source/key-source.ts';

/** A cluster that gives keys: one object for all the issuers that it gives them to. */
export interface Cluster {
  /** The URL of its API server, as logs name it. */
  readonly server: string;
  /** The issuer of its tokens, byte for byte. Rejects where the API server does not tell. */
  readonly issuer: (signal: AbortSignal) => Promise<string>;
}

export interface IssuerVerdict {
  readonly server: string;
  /** In words how its tokens' issuer differs from those that are served; absent where one of them equals it. */
  readonly mismatch: string | undefined;
}

export interface IssuerWatch {
  /** The same source; after each good reading the cluster is asked for its issuer, and nobody waits for that. */
  beside(source: KeySource, cluster: Cluster): KeySource;
  /** One for each cluster that has told its issuer. One that does not tell it later leaves what was found. */
  verdicts(): readonly IssuerVerdict[];
  /** Asks nothing more. */
  stop(): void;
}

/**
 * Notices that the tokens of a cluster are from an issuer that is not served here with its keys. That is no fault of
 * ours: the documents of an old issuer are served on while a cluster moves to a new one.
 *
 * `served` has the issuers that are served with the keys of a cluster; nothing while one of them is not known yet.
 */
export function createIssuerWatch(served: (cluster: Cluster) => readonly string[] | undefined, log: Log): IssuerWatch {
  const found = new Map<Cluster, IssuerVerdict>();
  const asking = new Set<Cluster>();
  const stopping = new AbortController();

  async function look(cluster: Cluster): Promise<void> {
    if (asking.has(cluster) || stopping.signal.aborted) return;
    asking.add(cluster);
    try {
      compare(cluster, await cluster.issuer(stopping.signal));
    } catch (error) {
      log.debug({ server: cluster.server, reason: messageOf(error) }, 'the issuer of the cluster is not known');
    } finally {
      asking.delete(cluster);
    }
  }

  function compare(cluster: Cluster, issuer: string): void {
    const { server } = cluster;
    const issuers = served(cluster);
    if (issuers === undefined || issuers.length === 0 || stopping.signal.aborted) return;
    const before = found.get(cluster);
    const mismatch = issuers.includes(issuer) ? undefined : describe(issuer, issuers);
    found.set(cluster, { server, mismatch });
    if (mismatch === before?.mismatch) return;
    const fields = { server, issuers, clusterIssuer: issuer };
    if (mismatch === undefined) log.info(fields, 'the tokens of the cluster are from an issuer that is served');
    else log.warn({ ...fields, detail: mismatch }, 'the tokens of the cluster are from an issuer that is not served');
  }

  return {
    beside: (source, cluster) => ({
      name: source.name,
      async read(signal) {
        const reading = await source.read(signal);
        void look(cluster);
        return reading;
      },
    }),
    verdicts: () => [...found.values()],
    stop: () => stopping.abort(),
  };
}

function describe(issuer: string, served: readonly string[]): string {
  const seen = `its tokens are from ${quote(issuer)}, and the keys are served for ${served.map(quote).join(', ')}`;
  const differences = served.map((each) => issuerDifference(issuer, each));
  const difference = differences.find((each) => each !== undefined);
  return difference === undefined ? seen : `${seen}: ${difference}`;
}
