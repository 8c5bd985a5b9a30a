import { randomBytes } from 'node:crypto';
import type { CommandSettings } from '../catalog/commands.ts';
import type { Log } from '../log.ts';
import { leafNames } from '../managed-tls/leaf.ts';
import type { KubeClient } from '../runtime/kube-client.ts';
import { createManagedTls } from '../runtime/managed-tls.ts';
import type { Metrics } from '../runtime/metrics.ts';
import { generateRsaKey } from '../runtime/rsa-key.ts';
import type { Service } from '../runtime/service.ts';

type WebhookSettings = CommandSettings<'webhook'>;

export interface CommandTls {
  /** Begins to keep the service's certificate. */
  start(service: Service): void;
  stop(): Promise<void>;
  unready(): readonly string[];
}

/** `--tls-mode managed`. */
export function manageTls({
  settings,
  namespace,
  client,
  metrics,
  log,
}: {
  readonly settings: WebhookSettings;
  readonly namespace: string;
  readonly client: KubeClient;
  readonly metrics: Metrics;
  readonly log: Log;
}): CommandTls {
  let service: Service | undefined;
  const managed = createManagedTls({
    client,
    namespace,
    secret: settings.tlsSecret,
    configurations: settings.webhookConfiguration,
    names: leafNames(settings.tlsService, namespace, settings.tlsName),
    lifetimes: { authorityMs: settings.tlsCaLifetime * 1000, leafMs: settings.tlsCertLifetime * 1000 },
    clock: () => ({ wall: Date.now(), monotonic: performance.now() }),
    makeKey: generateRsaKey,
    randomBytes,
    random: Math.random,
    on: {
      pair: (pair) => service?.usePair(pair),
      refused: () => metrics.count('podpass_certificate_reload_errors_total', {}),
      states(states) {
        for (const state of ['in_sync', 'out_of_sync', 'missing'] as const)
          metrics.set('podpass_webhook_configurations', { state }, states[state]);
      },
    },
    log,
  });
  return {
    start(running) {
      service = running;
      managed.start();
    },
    stop: managed.stop,
    unready: managed.unready,
  };
}
