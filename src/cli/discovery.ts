import { discoveredIssuer } from '../../discovery/discovered-issuer.ts';
import { createClusterSource } from '../../discovery/key-source/cluster.ts';
import { createFilesSource } from '../../discovery/key-source/files.ts';
import { createUrlSource } from '../../discovery/key-source/url.ts';
import { startDiscovery } from '../../discovery/server.ts';
import type { CommandSettings } from '../catalog/commands.ts';
import { keySourcesOf } from '../checks.ts';
import { createKubeClient, type KubeClient, loadKubeConfig } from '../runtime/kube-client.ts';
import { firstSignal, shutDown } from '../runtime/lifecycle.ts';
import { createLogger } from '../runtime/logger.ts';
import { createMetrics } from '../runtime/metrics.ts';
import { readPair } from '../runtime/tls-files.ts';
import type { Terminal } from './terminal.ts';
import { followPair, tlsFilesOf } from './tls.ts';

type Settings = CommandSettings<'discovery'>;

export async function runDiscovery(settings: Settings, terminal: Terminal): Promise<number> {
  const kinds = keySourcesOf(settings);
  const signal = firstSignal();
  const log = createLogger(settings.logLevel, 'discovery');
  const metrics = createMetrics('discovery');
  const tls = tlsFilesOf(settings);
  const pair = tls && (await readPair(tls.cert, tls.key));
  const client = kinds.includes('cluster')
    ? createKubeClient(loadKubeConfig({ kubeconfig: settings.kubeconfig, env: terminal.env }))
    : undefined;
  const service = await startDiscovery({
    issuer: settings.issuer ?? ((stop) => discoveredIssuer(clusterOf(client).get, settings.allowHttpIssuer, stop)),
    sources: kinds.map((kind) => {
      if (kind === 'cluster') return createClusterSource(clusterOf(client).get);
      if (kind === 'files')
        return createFilesSource({ paths: settings.keys, allowPrivateKeys: settings.allowPrivateKeys });
      return createUrlSource(settings.jwksUrl ?? '');
    }),
    pollIntervalMs: settings.pollInterval * 1000,
    holdDownMs: settings.holdDown * 1000,
    revoked: settings.revoke,
    cacheMaxAgeSeconds: settings.cacheMaxAge,
    clock: Date.now,
    address: settings.bindAddress,
    port: settings.port,
    metricsPort: settings.metricsPort,
    metrics,
    pair,
    log,
  });
  log.info({ address: settings.bindAddress, port: service.port, metricsPort: service.metricsPort }, 'listening');
  const files = tls && pair && followPair(tls, pair, service, metrics, log);

  await shutDown(service, await signal, settings.shutdownDelay, log);
  files?.stop();
  client?.close();
  return 0;
}

function clusterOf(client: KubeClient | undefined): KubeClient {
  if (client === undefined) throw new TypeError('no cluster is configured');
  return client;
}
