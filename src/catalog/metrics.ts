import { DOCUMENT_PATHS, type DocumentPath } from '../issuer-paths.ts';

/**
 * Every metric of ours: one row each. The registry is built from this list, and so is the README's table. Labels are
 * closed sets, so that no request can make new time series.
 */
export interface MetricRow {
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly service: 'webhook' | 'discovery' | 'both';
  readonly help: string;
  /** Each label with all the values that it can have; `path` and `code` combine as they occur. */
  readonly labels?: Readonly<Record<string, readonly string[]>>;
  /** Upper bounds in seconds, of a histogram. */
  readonly buckets?: readonly number[];
}

const documentPaths = Object.keys(DOCUMENT_PATHS) as DocumentPath[];
export const STATUS_CODES = ['200', '204', '304', '404', '405', '500', '503'] as const;

export const metricRows = {
  podpass_admission_requests_total: {
    type: 'counter',
    service: 'webhook',
    help: 'Admission requests by what came of them.',
    labels: { result: ['injected', 'unchanged', 'denied', 'error'] },
  },
  podpass_admission_duration_seconds: {
    type: 'histogram',
    service: 'webhook',
    help: 'Time from the whole request to the whole answer.',
    buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5],
  },
  podpass_service_account_cache_size: {
    type: 'gauge',
    service: 'webhook',
    help: 'ServiceAccounts in the cache.',
  },
  podpass_service_account_lookups_total: {
    type: 'counter',
    service: 'webhook',
    help: 'ServiceAccounts looked up, by where the answer came from.',
    labels: { source: ['cache', 'live', 'not_found', 'error'] },
  },
  podpass_service_account_cache_last_update_timestamp_seconds: {
    type: 'gauge',
    service: 'webhook',
    help: 'When the API server last sent anything for the ServiceAccount cache, in Unix time; 0 before the first time.',
  },
  podpass_api_server_connected: {
    type: 'gauge',
    service: 'webhook',
    help: '1 while the ServiceAccounts are watched, 0 while the cache may be behind.',
  },
  podpass_reserved_audiences: {
    type: 'gauge',
    service: 'webhook',
    help: "The API server's own audiences that were found and are refused; 0 while none of its sources has answered.",
  },
  podpass_events_total: {
    type: 'counter',
    service: 'webhook',
    help: 'Events for the owners of Pods: written, suppressed as one like it was written a short time ago, dropped as there were too many, or failed.',
    labels: { result: ['written', 'suppressed', 'dropped', 'failed'] },
  },
  podpass_certificate_not_before_timestamp_seconds: {
    type: 'gauge',
    service: 'both',
    help: 'When the serving certificate began to be valid, in Unix time; 0 without one. With the next one it tells how late a renewal is.',
  },
  podpass_certificate_expiry_timestamp_seconds: {
    type: 'gauge',
    service: 'both',
    help: 'When the serving certificate expires, in Unix time; 0 without one.',
  },
  podpass_certificate_reload_errors_total: {
    type: 'counter',
    service: 'both',
    help: 'Changed certificate files, or contents of the managed Secret, that could not be used; the pair before stays in use.',
  },
  podpass_webhook_configurations: {
    type: 'gauge',
    service: 'webhook',
    help: 'With managed certificates: MutatingWebhookConfigurations by the state of their caBundles.',
    labels: { state: ['in_sync', 'out_of_sync', 'missing'] },
  },
  podpass_keys: {
    type: 'gauge',
    service: 'discovery',
    help: 'Keys by state: published, published though its source has dropped it (held), or refused.',
    labels: { state: ['published', 'held', 'refused'] },
  },
  podpass_key_source_last_success_timestamp_seconds: {
    type: 'gauge',
    service: 'discovery',
    help: 'When the key sources were last read without a fault, in Unix time; the oldest of them, 0 before all have been.',
  },
  podpass_key_source_poll_interval_seconds: {
    type: 'gauge',
    service: 'discovery',
    help: 'How often the key sources are read, as it is set; an old reading is old by this measure.',
  },
  podpass_cluster_issuer_mismatch: {
    type: 'gauge',
    service: 'discovery',
    help: '1 while the tokens of a cluster are from an issuer that is not served with its keys, 0 otherwise and while the cluster has not told.',
  },
  podpass_http_requests_total: {
    type: 'counter',
    service: 'discovery',
    help: 'Requests by path under the issuer and status; every path that is not served is `other`.',
    labels: { path: [...documentPaths, 'other'], code: STATUS_CODES },
  },
  podpass_publish_total: {
    type: 'counter',
    service: 'discovery',
    help: 'Copies brought up to date, by kind of target: written, unchanged as there was nothing to do, or failed and to be tried again.',
    labels: { target: ['folder', 's3'], result: ['written', 'unchanged', 'failed'] },
  },
} as const satisfies Record<string, MetricRow>;

export type MetricName = keyof typeof metricRows;
type RowOf<N extends MetricName> = (typeof metricRows)[N];

/** The labels of a metric, each one of its values. */
export type LabelsOf<N extends MetricName> =
  RowOf<N> extends { readonly labels: infer L extends Readonly<Record<string, readonly string[]>> }
    ? { readonly [K in keyof L]: L[K][number] }
    : Record<never, never>;
