import { findReservedAudiences } from '../../webhook/reserved-audiences.ts';
import { startWebhook } from '../../webhook/server.ts';
import { createServiceAccountCache, systemClock } from '../../webhook/service-accounts.ts';
import type { CommandSettings } from '../catalog/commands.ts';
import type { Log } from '../log.ts';
import { createKubeClient, findNamespace, loadKubeConfig } from '../runtime/kube-client.ts';
import { firstSignal, shutDown } from '../runtime/lifecycle.ts';
import { createLogger } from '../runtime/logger.ts';
import { createMetrics } from '../runtime/metrics.ts';
import { readPair } from '../runtime/tls-files.ts';
import { checkManagedTls, manageTls } from './managed-tls.ts';
import type { Terminal } from './terminal.ts';
import { followPair, tlsFilesOf } from './tls.ts';

/** How often the API server is asked for its audiences until it answers. */
const RESERVED_RETRY_MS = 10_000;

export async function runWebhook(settings: CommandSettings<'webhook'>, terminal: Terminal): Promise<number> {
  checkManagedTls(settings);
  const signal = firstSignal();
  const log = createLogger(settings.logLevel, 'webhook');
  const metrics = createMetrics('webhook');
  const files = tlsFilesOf(settings);
  const pair = files && (await readPair(files.cert, files.key));
  const kubeConfig = loadKubeConfig({ kubeconfig: settings.kubeconfig, env: terminal.env });
  const client = createKubeClient(kubeConfig);
  const managed =
    files === undefined
      ? manageTls({ settings, namespace: settings.namespace ?? findNamespace(kubeConfig), client, metrics, log })
      : undefined;
  const serviceAccounts = createServiceAccountCache({
    client,
    annotationPrefixes: [`${settings.annotationPrefix}/`],
    lookupTimeoutMs: settings.serviceAccountLookupTimeout * 1000,
    clock: systemClock,
    log,
    metrics: {
      lookups: (source) => metrics.count('podpass_service_account_lookups_total', { source }),
      size: (entries) => metrics.set('podpass_service_account_cache_size', {}, entries),
      connected: (is) => metrics.set('podpass_api_server_connected', {}, is ? 1 : 0),
    },
  });
  let reserved: ReadonlySet<string> = new Set(settings.reservedAudiences);
  const webhook = await startWebhook({
    settings,
    reservedAudiences: () => reserved,
    serviceAccounts,
    synced: () => serviceAccounts.hasSynced,
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
  const search = followReservedAudiences(client, log, (found) => {
    reserved = new Set([...settings.reservedAudiences, ...found]);
    metrics.set('podpass_reserved_audiences', {}, found.size);
  });

  await shutDown(webhook, await signal, settings.shutdownDelay, log);
  search.stop();
  followed?.stop();
  await managed?.stop();
  await serviceAccounts.stop();
  client.close();
  return 0;
}

/** Asks until one of the sources has answered, and warns once where none does. */
function followReservedAudiences(
  client: Parameters<typeof findReservedAudiences>[0],
  log: Log,
  use: (found: ReadonlySet<string>) => void,
): { stop(): void } {
  let timer: NodeJS.Timeout | undefined;
  let stopped = false;
  let warned = false;
  const ask = async () => {
    const found = await findReservedAudiences(client, log);
    if (stopped) return;
    if (found.size > 0) {
      use(found);
      log.info({ reservedAudiences: [...found] }, "the API server's own audiences are refused");
      return;
    }
    if (!warned) log.warn({}, "the API server's own audiences were not found; only the configured ones are refused");
    warned = true;
    timer = setTimeout(() => void ask(), RESERVED_RETRY_MS);
  };
  void ask();
  return {
    stop() {
      stopped = true;
      clearTimeout(timer);
    },
  };
}
