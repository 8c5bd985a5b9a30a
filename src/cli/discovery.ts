import { clusterIssuer, createClusterSource } from '../../discovery/key-source/cluster.ts';
import { createFilesSource } from '../../discovery/key-source/files.ts';
import { startDiscovery } from '../../discovery/server.ts';
import type { CommandSettings } from '../catalog/commands.ts';
import { type Problem, WrongUse } from '../fault.ts';
import { createKubeClient, type KubeClient, loadKubeConfig } from '../runtime/kube-client.ts';
import { firstSignal, shutDown } from '../runtime/lifecycle.ts';
import { createLogger } from '../runtime/logger.ts';
import { createMetrics } from '../runtime/metrics.ts';
import { readPair } from '../runtime/tls-files.ts';
import { issuerProblem } from './issuer.ts';
import type { Terminal } from './terminal.ts';
import { followPair, tlsFilesOf } from './tls.ts';

type Settings = CommandSettings<'discovery'>;

export async function runDiscovery(settings: Settings, terminal: Terminal): Promise<number> {
  const kinds = keySources(settings);
  check(settings, kinds);
  const signal = firstSignal();
  const log = createLogger(settings.logLevel, 'discovery');
  const metrics = createMetrics('discovery');
  const tls = tlsFilesOf(settings);
  const pair = tls && (await readPair(tls.cert, tls.key));
  const needsCluster = kinds.includes('cluster') || settings.issuer === undefined;
  const client = needsCluster
    ? createKubeClient(loadKubeConfig({ kubeconfig: settings.kubeconfig, env: terminal.env }))
    : undefined;
  const service = await startDiscovery({
    issuer: settings.issuer ?? ((stop) => clusterIssuer(clusterOf(client).get, stop)),
    sources: kinds.map((kind) =>
      kind === 'cluster'
        ? createClusterSource(clusterOf(client).get)
        : createFilesSource({ paths: settings.keys, allowPrivateKeys: settings.allowPrivateKeys }),
    ),
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

/** What was asked for, or what the other settings imply. */
function keySources(settings: Settings): readonly ('cluster' | 'files')[] {
  if (settings.keySource.length > 0) return settings.keySource;
  return settings.keys.length > 0 ? ['files'] : ['cluster'];
}

/** Settings that are right by themselves and wrong together. */
function check(settings: Settings, kinds: readonly string[]): void {
  const object = 'podpass discovery';
  const problems: Problem[] = [];
  if (settings.issuer === undefined && !kinds.includes('cluster')) {
    problems.push({
      object,
      key: '--issuer',
      wrong: 'is missing',
      accepted: 'an issuer, or the cluster as a key source',
    });
  }
  const scheme =
    settings.issuer &&
    issuerProblem('discovery', settings.issuer, 'an https URL; http on loopback, or with --allow-http-issuer');
  if (scheme && !settings.allowHttpIssuer) problems.push(scheme);
  if (kinds.includes('files') && settings.keys.length === 0) {
    problems.push({
      object,
      key: '--keys',
      wrong: 'is missing',
      accepted: 'files or folders with keys, as files are a key source',
    });
  }
  if (!kinds.includes('files') && settings.keys.length > 0) {
    const value = kinds.join(',');
    problems.push({
      object,
      key: '--key-source',
      value,
      wrong: 'leaves out the files of --keys',
      accepted: `${value},files`,
    });
  }
  if ((settings.tlsCert === undefined) !== (settings.tlsKey === undefined)) {
    const key = settings.tlsCert === undefined ? '--tls-cert' : '--tls-key';
    problems.push({ object, key, wrong: 'is missing', accepted: 'both or none of --tls-cert and --tls-key' });
  }
  if (problems.length > 0) throw new WrongUse(problems);
}

function clusterOf(client: KubeClient | undefined): KubeClient {
  if (client === undefined) throw new TypeError('no cluster is configured');
  return client;
}
