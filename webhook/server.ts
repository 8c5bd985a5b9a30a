import type { Log } from '../src/log.ts';
import { check } from '../src/runtime/check.ts';
import type { EventRecorder } from '../src/runtime/events.ts';
import type { Metrics } from '../src/runtime/metrics.ts';
import { type Service, type ServiceOptions, startService } from '../src/runtime/service.ts';
import type { AdmissionRequest } from './admission-review.ts';
import type { AdmissionSettings } from './admit.ts';
import { createWebhookApp } from './app.ts';
import { eventOf, type PodReport } from './pod-report.ts';
import { createReviewer } from './reviewer.ts';
import type { ServiceAccountSource } from './service-accounts.ts';

export interface WebhookOptions extends Omit<ServiceOptions, 'handler' | 'checks'> {
  /** Asked for each request, as some of them are found while it runs. The same object for as long as nothing is. */
  readonly settings: () => AdmissionSettings;
  readonly serviceAccounts: ServiceAccountSource;
  /** False until the ServiceAccounts are known; what happens later does not make it unready. */
  readonly synced: () => boolean;
  /** Tells the owners of Pods; without it nobody is told. */
  readonly events?: Pick<EventRecorder, 'record'>;
  /** Why there is no certificate yet; empty where there is one. */
  readonly uncertified?: () => readonly string[];
  readonly metrics: Metrics;
  readonly log: Log;
}

/** Starts the webhook. Throws a Failure where it cannot listen. */
export function startWebhook(options: WebhookOptions): Promise<Service> {
  const { settings, serviceAccounts, synced, events, uncertified, metrics, log } = options;
  const onReport = (request: AdmissionRequest, report: PodReport) => {
    const event = events && eventOf(request, report);
    if (event !== undefined) events?.record(event);
  };
  const handler = createWebhookApp({
    review: createReviewer({ serviceAccounts, settings, onReport }),
    onAdmission(result, seconds) {
      metrics.count('podpass_admission_requests_total', { result });
      metrics.observe('podpass_admission_duration_seconds', seconds);
    },
    log,
  });
  const checks = () => [
    check('service-account-cache', synced(), 'the ServiceAccounts have not been read yet'),
    { name: 'certificate', reasons: uncertified?.() ?? [] },
  ];
  return startService({ ...options, handler, checks });
}
