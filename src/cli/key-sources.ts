import { discoveredIssuer } from '../../discovery/discovered-issuer.ts';
import { createClusterSource } from '../../discovery/key-source/cluster.ts';
import { createFilesSource } from '../../discovery/key-source/files.ts';
import type { KeySource } from '../../discovery/key-source/key-source.ts';
import { createUrlSource } from '../../discovery/key-source/url.ts';
import { clusterOwner } from '../../discovery/publish/cluster-owner.ts';
import type { CommandSettings } from '../catalog/commands.ts';
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
  const clients = new Map<string, KubeClient>();
  const faults: string[] = [];
  function clientOf({ kubeconfig, context }: Settings): KubeClient {
    const key = JSON.stringify([kubeconfig, context]);
    const client =
      clients.get(key) ??
      createKubeClient(loadKubeConfig({ kubeconfig, env }), context === undefined ? {} : { context });
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
    for (const client of clients.values()) client.close();
  };
  if (faults.length === 0) return { issuers, close };
  close();
  throw new Failure(faults.join('; '));
}

function named(settings: Settings, client: () => KubeClient): NamedIssuer {
  const { issuer, keys: paths, jwksUrl, allowHttpIssuer, allowPrivateKeys } = settings;
  const kinds = keySourcesOf(settings);
  const { get } = kinds.includes('cluster') ? client() : { get: noCluster };
  return {
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
