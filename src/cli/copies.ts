import { cacheControl } from '../../discovery/document.ts';
import { clusterOwner } from '../../discovery/publish/cluster-owner.ts';
import { createPublisher, type Publisher } from '../../discovery/publish/publisher.ts';
import { openTarget } from '../../discovery/publish/target/open.ts';
import type { CommandSettings } from '../catalog/commands.ts';
import type { Log } from '../log.ts';
import type { KubeClient } from '../runtime/kube-client.ts';
import type { Metrics } from '../runtime/metrics.ts';
import type { Terminal } from './terminal.ts';

/** The publisher of an issuer's copies; none where none is asked for. `client` is the cluster that gives the keys, if any. */
export async function createCopies(
  settings: CommandSettings<'discovery'>,
  client: Pick<KubeClient, 'get'> | undefined,
  { env }: Terminal,
  metrics: Metrics,
  log: Log,
): Promise<Publisher | undefined> {
  if (settings.publishTo.length === 0) return undefined;
  const { s3Endpoint } = settings;
  return createPublisher({
    targets: await Promise.all(settings.publishTo.map((to) => openTarget(to, { s3Endpoint, env }))),
    owner: async (issuer, signal) => (client === undefined ? issuer : clusterOwner(client.get, signal)),
    cacheControl: cacheControl(settings.cacheMaxAge),
    holdDownMs: settings.holdDown * 1000,
    revoked: new Set(settings.revoke),
    clock: Date.now,
    log,
    onResult: (target, result) => metrics.count('podpass_publish_total', { target, result }),
  });
}
