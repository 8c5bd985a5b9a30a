import type { Log } from '../src/log.ts';
import type { Metrics } from '../src/runtime/metrics.ts';
import { type Service, type ServiceOptions, startService } from '../src/runtime/service.ts';
import { admit } from './admit.ts';
import type { AnnotationSettings } from './annotations.ts';
import { createWebhookApp } from './app.ts';
import type { ServiceAccountSource } from './service-accounts.ts';

export interface WebhookOptions extends Omit<ServiceOptions, 'handler' | 'unready'> {
  readonly settings: Omit<AnnotationSettings, 'reservedAudiences'>;
  /** Asked for each request, as more of them may be found while it runs. */
  readonly reservedAudiences: () => ReadonlySet<string>;
  readonly serviceAccounts: ServiceAccountSource;
  /** False until the ServiceAccounts are known; what happens later does not make it unready. */
  readonly synced: () => boolean;
  /** Why there is no certificate yet; empty where there is one. */
  readonly uncertified?: () => readonly string[];
  readonly metrics: Metrics;
  readonly log: Log;
}

/** Starts the webhook. Throws a Failure where it cannot listen. */
export function startWebhook(options: WebhookOptions): Promise<Service> {
  const { settings, reservedAudiences, serviceAccounts, synced, uncertified, metrics, log } = options;
  const handler = createWebhookApp({
    admit: (request) => admit(request, serviceAccounts, { ...settings, reservedAudiences: reservedAudiences() }),
    onAdmission(result, seconds) {
      metrics.count('podpass_admission_requests_total', { result });
      metrics.observe('podpass_admission_duration_seconds', seconds);
    },
    log,
  });
  const unready = () => [
    ...(synced() ? [] : ['the ServiceAccounts have not been read yet']),
    ...(uncertified?.() ?? []),
  ];
  return startService({ ...options, handler, unready });
}
