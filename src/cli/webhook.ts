import { hostname } from 'node:os';
import { admissionSettings } from '../../webhook/admission-settings.ts';
import { annotationPrefixes } from '../../webhook/asked.ts';
import { followClusterFacts } from '../../webhook/oauth2-proxy/cluster-facts.ts';
import { presetsOf } from '../../webhook/presets/registry.ts';
import { followReservedAudiences } from '../../webhook/reserved-audiences.ts';
import { startWebhook } from '../../webhook/server.ts';
import { createServiceAccountCache, systemClock } from '../../webhook/service-accounts.ts';
import type { CommandSettings } from '../catalog/commands.ts';
import { createEventRecorder } from '../runtime/events.ts';
import { keepRequestsYoung } from '../runtime/heap.ts';
import { createKubeClient, findNamespace, loadKubeConfig } from '../runtime/kube-client.ts';
import { firstSignal, shutDown } from '../runtime/lifecycle.ts';
import { createLogger } from '../runtime/logger.ts';
import { createMetrics } from '../runtime/metrics.ts';
import { readPair } from '../runtime/tls-files.ts';
import { followIdentities } from './identities.ts';
import type { Terminal } from './terminal.ts';
import { followPair, tlsFilesOf } from './tls.ts';

export async function runWebhook(settings: CommandSettings<'webhook'>, terminal: Terminal): Promise<number> {
  keepRequestsYoung();
  const signal = firstSignal();
  const log = createLogger(settings.logLevel, 'webhook');
  const metrics = createMetrics('webhook');
  const files = tlsFilesOf(settings);
  const pair = files && (await readPair(files.cert, files.key));
  const kubeConfig = loadKubeConfig({ kubeconfig: settings.kubeconfig, env: terminal.env });
  const client = createKubeClient(kubeConfig);
  // What issues certificates takes 3 MiB.
  const tls = files === undefined ? await import('./managed-tls.ts') : undefined;
  const managed = tls?.manageTls({
    ...{ settings, client, metrics, log },
    namespace: settings.namespace ?? findNamespace(kubeConfig),
  });
  const identities = await followIdentities(settings.awsContainerCredentialsConfig, log);
  const presets = presetsOf(settings, identities.has);
  const serviceAccounts = createServiceAccountCache({
    client,
    annotationPrefixes: annotationPrefixes({ annotationPrefix: settings.annotationPrefix, presets }),
    lookupTimeoutMs: settings.serviceAccountLookupTimeout * 1000,
    clock: systemClock,
    log,
    metrics: {
      lookups: (source) => metrics.count('podpass_service_account_lookups_total', { source }),
      size: (entries) => metrics.set('podpass_service_account_cache_size', {}, entries),
      connected: (is) => metrics.set('podpass_api_server_connected', {}, is ? 1 : 0),
    },
  });
  metrics.onExpose(() => {
    const { stalenessMs } = serviceAccounts;
    const heard = stalenessMs === undefined ? 0 : (Date.now() - stalenessMs) / 1000;
    metrics.set('podpass_service_account_cache_last_update_timestamp_seconds', {}, heard);
  });
  const events = createEventRecorder({
    client,
    reporter: { controller: `${settings.annotationPrefix}/webhook`, instance: hostname() },
    clock: systemClock,
    count: (result) => metrics.count('podpass_events_total', { result }),
    log,
  });
  const admission = admissionSettings(settings, presets);
  identities.onChange(admission.tellChanged);
  const webhook = await startWebhook({
    settings: admission.now,
    serviceAccounts,
    synced: () => serviceAccounts.hasSynced,
    events,
    uncertified: () => managed?.unready() ?? [],
    pair: pair ?? 'later',
    address: settings.bindAddress,
    port: settings.port,
    metricsPort: settings.metricsPort,
    metrics,
    log,
  });
  log.info({ address: settings.bindAddress, port: webhook.port, metricsPort: webhook.metricsPort }, 'listening');
  const followed = files && pair && followPair(files, pair, webhook, metrics, log);
  managed?.start(webhook);
  serviceAccounts.start();
  const facts = followClusterFacts(client.get, log, admission.tellCluster);
  const search = followReservedAudiences(client, log, (found) => {
    admission.tellReserved(found);
    metrics.set('podpass_reserved_audiences', {}, found.size);
  });

  await shutDown(webhook, await signal, settings.shutdownDelay, log);
  search.stop();
  facts.stop();
  const told = events.stop();
  identities.stop();
  followed?.stop();
  await managed?.stop();
  await told;
  await serviceAccounts.stop();
  client.close();
  return 0;
}
