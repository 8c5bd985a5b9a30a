import { cacheControl } from '../../discovery/document.ts';
import { createPublisher, type Publisher, type PublisherOptions } from '../../discovery/publish/publisher.ts';
import { openTarget } from '../../discovery/publish/target/open.ts';
import type { CommandSettings } from '../catalog/commands.ts';
import type { Log } from '../log.ts';
import type { Metrics } from '../runtime/metrics.ts';
import type { Terminal } from './terminal.ts';

/** The publisher of an issuer's copies; none where none is asked for. */
export async function createCopies(
  settings: CommandSettings<'discovery'>,
  owner: PublisherOptions['owner'],
  { env }: Terminal,
  metrics: Metrics,
  log: Log,
): Promise<Publisher | undefined> {
  if (settings.publishTo.length === 0) return undefined;
  const { s3Endpoint } = settings;
  return createPublisher({
    targets: await Promise.all(settings.publishTo.map((to) => openTarget(to, { s3Endpoint, env }))),
    owner,
    cacheControl: cacheControl(settings.cacheMaxAge),
    holdDownMs: settings.holdDown * 1000,
    revoked: new Set(settings.revoke),
    clock: Date.now,
    log,
    onResult: (target, result) => metrics.count('podpass_publish_total', { target, result }),
  });
}
