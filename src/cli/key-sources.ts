import { discoveredIssuer } from '../../discovery/discovered-issuer.ts';
import type { Cluster } from '../../discovery/issuer-watch.ts';
import { createClusterSource } from '../../discovery/key-source/cluster.ts';
import { createFilesSource } from '../../discovery/key-source/files.ts';
import type { KeySource } from '../../discovery/key-source/key-source.ts';
import { createUrlSource } from '../../discovery/key-source/url.ts';
import { clusterOwner } from '../../discovery/publish/cluster-owner.ts';
import type { CommandSettings } from '../catalog/commands.ts';
import { clusterIssuer } from '../cluster-issuer.ts';
import { Failure, messageOf } from '../fault.ts';
import { keySourcesOf } from '../issuers.ts';
import { createKubeClient, type KubeClient, loadKubeConfig } from '../runtime/kube-client.ts';
import type { Terminal } from './terminal.ts';

type Settings = Pick<
  CommandSettings<'discovery'>,
  'issuer' | 'keySource' | 'kubeconfig' | 'context' | 'keys' | 'jwksUrl' | 'allowHttpIssuer' | 'allowPrivateKeys'
>;

/** What the settings of an issuer name. */
export interface NamedIssuer {
  readonly issuer: string | ((signal: AbortSignal) => Promise<string>);
  readonly sources: readonly KeySource[];
  /** The cluster among the sources; issuers of one context have the same. */
  readonly cluster: Cluster | undefined;
  /** Who may publish it: the cluster that gives the keys, else whoever has the issuer. */
  readonly owner: (issuer: string, signal: AbortSignal) => Promise<string>;
}

/**
 * The issuers and their key sources, in the order of the settings; those of one context share a client. Throws a Failure
 * with the faults of all kubeconfigs: no cluster is asked yet.
 */
export function openIssuers(
  all: readonly Settings[],
  { env }: Pick<Terminal, 'env'>,
): { readonly issuers: readonly NamedIssuer[]; close(): void } {
  const clients = new Map<string, ClusterClient>();
  const faults: string[] = [];
  function clientOf({ kubeconfig, context }: Settings): ClusterClient {
    const kubeConfig = loadKubeConfig({ kubeconfig, env });
    const key = JSON.stringify([kubeconfig, context ?? kubeConfig.currentContext]);
    const client =
      clients.get(key) ?? clusterClient(createKubeClient(kubeConfig, context === undefined ? {} : { context }));
    clients.set(key, client);
    return client;
  }
  const issuers = all.flatMap((settings, index) => {
    try {
      return [named(settings, () => clientOf(settings))];
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      faults.push(all.length === 1 ? error.message : `issuers[${index}]: ${messageOf(error)}`);
      return [];
    }
  });
  const close = () => {
    for (const { client } of clients.values()) client.close();
  };
  if (faults.length === 0) return { issuers, close };
  close();
  throw new Failure(faults.join('; '));
}

interface ClusterClient {
  readonly client: KubeClient;
  readonly cluster: Cluster;
}

function clusterClient(client: KubeClient): ClusterClient {
  const { server, get } = client;
  return { client, cluster: { server, issuer: (signal) => clusterIssuer(get, signal) } };
}

function named(settings: Settings, clusterOf: () => ClusterClient): NamedIssuer {
  const { issuer, keys: paths, jwksUrl, allowHttpIssuer, allowPrivateKeys } = settings;
  const kinds = keySourcesOf(settings);
  const { client, cluster } = kinds.includes('cluster') ? clusterOf() : { client: undefined, cluster: undefined };
  const get = client?.get ?? noCluster;
  return {
    cluster,
    owner: async (name, signal) => (kinds.includes('cluster') ? clusterOwner(get, signal) : name),
    issuer: issuer ?? ((signal) => discoveredIssuer(get, allowHttpIssuer, signal)),
    sources: kinds.map((kind) => {
      if (kind === 'cluster') return createClusterSource(get);
      if (kind === 'files') return createFilesSource({ paths, allowPrivateKeys });
      return createUrlSource(jwksUrl ?? '');
    }),
  };
}

const noCluster: KubeClient['get'] = () => {
  throw new TypeError('no cluster is configured');
};
