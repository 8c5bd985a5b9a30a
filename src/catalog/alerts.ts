import { TRY_SECONDS } from './admission.ts';
import type { metricRows } from './metrics.ts';
import { settingRows } from './settings.ts';

/**
 * Every alert of ours: one row each. The PrometheusRules are built from this list, and each row has a section of its name
 * in docs/operate.md. Metrics are the catalog's, `up` and those of the API server; `namespace`, `pod` and `container` are
 * labels that the PodMonitors give.
 */
export interface AlertRow {
  readonly service: 'webhook' | 'discovery' | 'both';
  /** critical: tokens or documents are missing now, or soon will be. */
  readonly severity: 'critical' | 'warning';
  /** How long it has to hold, as Prometheus writes it. */
  readonly for: string;
  readonly expr: (service: 'webhook' | 'discovery') => string;
  readonly summary: string;
  /** What it means, and the next step. */
  readonly description: string;
}

type Metric = keyof typeof metricRows;
const metric = (name: Metric, labels = '') => `${name}${labels === '' ? '' : `{${labels}}`}`;
const of = (service: string) => `container="${service}"`;
const DAY = 24 * 3600;
const HALVES = ['a', 'b'];

const requests = (labels = '') =>
  `sum by (namespace) (rate(${metric('podpass_admission_requests_total', labels)}[5m]))`;
const answers = (labels = '') => `sum by (namespace) (rate(${metric('podpass_http_requests_total', labels)}[5m]))`;
/** The names of the entries in our registration end so. */
const ENTRIES = `name=~".+[.]${settingRows.annotationPrefix.default.replaceAll('.', '[.]')}"`;

/** Less than a part of its lifetime is left, which may be hours or years, and no more than some days. */
function isLeft(service: string, part: number, days: number): string {
  const expiry = metric('podpass_certificate_expiry_timestamp_seconds', of(service));
  const begin = metric('podpass_certificate_not_before_timestamp_seconds', of(service));
  return [
    `${expiry} - time() < ${part} * (${expiry} - ${begin})`,
    `and ${expiry} - time() < ${days * DAY}`,
    `and ${expiry} > 0`,
  ].join('\n');
}

export const alertRows = {
  PodpassWebhookAbsent: {
    service: 'webhook',
    severity: 'critical',
    for: '5m',
    expr: () => `absent(${metric('podpass_api_server_connected')})`,
    summary: 'No replica of the webhook is scraped.',
    description:
      'Pods with the label that makes them wait are not created, others run without tokens. See whether Pods of the Deployments podpass-webhook-a and podpass-webhook-b are ready, and whether its PodMonitor still selects them.',
  },
  PodpassWebhookReplicaDown: {
    service: 'webhook',
    severity: 'warning',
    for: '10m',
    expr: () => 'up{job=~".+/podpass-webhook"} == 0',
    summary: 'A replica of the webhook cannot be scraped.',
    description:
      'The Pod {{ $labels.namespace }}/{{ $labels.pod }} does not answer on its metrics port. Look at its state and its log; the others answer meanwhile.',
  },
  PodpassWebhookHalfAbsent: {
    service: 'webhook',
    severity: 'warning',
    for: '10m',
    // A label of its own tells which: `absent` gives none for a pattern.
    expr: () =>
      HALVES.map(
        (half) =>
          `label_replace(absent(up{job=~".+/podpass-webhook", pod=~"podpass-webhook-${half}-.+"}), "half", "${half}", "", "")`,
      ).join('\nor\n'),
    summary: 'No replica of one half of the webhook is scraped.',
    description:
      'The Deployment podpass-webhook-{{ $labels.half }} has no Pod, or Prometheus does not find it. The other half admits Pods meanwhile; with a fault of that one, too, Pods are not created.',
  },
  PodpassWebhookNotReached: {
    service: 'webhook',
    severity: 'critical',
    for: '2m',
    expr: () =>
      [
        'sum by (name) (',
        `  increase(apiserver_admission_webhook_fail_open_count{${ENTRIES}}[10m])`,
        '  or',
        `  increase(apiserver_admission_webhook_rejection_count{${ENTRIES}, error_type="calling_webhook_error"}[10m])`,
        ') > 0',
      ].join('\n'),
    summary: 'The API server does not reach the webhook, or gets no usable answer.',
    description:
      'Calls of {{ $labels.name }} failed. With one dead replica only Pods of which the ServiceAccount alone asks may run without tokens; with more, Pods are not created. Create a Pod with the label by hand, with --dry-run=server, and read the error; then look at endpoints, caBundle and network.',
  },
  PodpassAdmissionErrors: {
    service: 'webhook',
    severity: 'critical',
    for: '10m',
    expr: () => `${requests('result="error"')} / ${requests()} > 0.01`,
    summary: 'The webhook fails to answer admission requests.',
    description:
      '{{ $value | humanizePercentage }} of the requests in {{ $labels.namespace }} end in an error. Look for "request failed" in the logs of its Pods; denied Pods are not counted here.',
  },
  PodpassAdmissionSlow: {
    service: 'webhook',
    severity: 'warning',
    for: '10m',
    expr: () =>
      `histogram_quantile(0.99, sum by (namespace, le) (rate(podpass_admission_duration_seconds_bucket[5m]))) > 0.5`,
    summary: 'Admission is slow.',
    description: `One request in a hundred takes more than {{ $value | humanizeDuration }}; the API server gives up after ${TRY_SECONDS} s. See whether ServiceAccounts are read live instead of from the cache, and whether the Pods lack CPU.`,
  },
  PodpassApiServerDisconnected: {
    service: 'webhook',
    severity: 'warning',
    for: '10m',
    expr: () => `${metric('podpass_api_server_connected')} == 0`,
    summary: 'A replica of the webhook does not watch ServiceAccounts.',
    description:
      'The Pod {{ $labels.namespace }}/{{ $labels.pod }} reads each ServiceAccount live, or answers from a cache that may be behind. Look for "ServiceAccount watch interrupted" in its log: the reason is there.',
  },
  PodpassServiceAccountCacheStale: {
    service: 'webhook',
    severity: 'warning',
    for: '5m',
    expr: () => `time() - ${metric('podpass_service_account_cache_last_update_timestamp_seconds')} > 900`,
    summary: 'The ServiceAccount cache of a replica is old.',
    description:
      'The API server has sent nothing to the Pod {{ $labels.namespace }}/{{ $labels.pod }} for {{ $value | humanizeDuration }}; something comes each half minute in an idle cluster too. Look at its log and at the network between the two.',
  },
  PodpassReservedAudiencesUnknown: {
    service: 'webhook',
    severity: 'warning',
    for: '15m',
    expr: () => `${metric('podpass_reserved_audiences')} == 0`,
    summary: "The webhook does not know the API server's own audiences.",
    description:
      'The Pod {{ $labels.namespace }}/{{ $labels.pod }} refuses only those of --reserved-audiences, so that a Pod may get a token that the API server accepts. See whether it may read /.well-known/openid-configuration, or name them with the flag.',
  },
  PodpassCaBundleOutOfSync: {
    service: 'webhook',
    severity: 'critical',
    for: '10m',
    expr: () => `max by (namespace) (${metric('podpass_webhook_configurations', 'state="out_of_sync"')}) > 0`,
    summary: 'A caBundle does not have the CA of the webhook.',
    description:
      'The API server will refuse, or refuses already, the certificates of {{ $labels.namespace }}. See whether something else writes the caBundle of the MutatingWebhookConfiguration, and whether the webhook may patch it.',
  },
  PodpassWebhookConfigurationMissing: {
    service: 'webhook',
    severity: 'warning',
    for: '15m',
    expr: () => `max by (namespace) (${metric('podpass_webhook_configurations', 'state="missing"')}) > 0`,
    summary: 'A MutatingWebhookConfiguration does not exist.',
    description:
      'Nobody calls the webhook of {{ $labels.namespace }} by it. If it was deleted to take podpass out, apply the manifests again when that is over.',
  },
  PodpassDiscoveryAbsent: {
    service: 'discovery',
    severity: 'critical',
    for: '5m',
    expr: () => `absent(${metric('podpass_key_source_last_success_timestamp_seconds')})`,
    summary: 'No replica of discovery is scraped.',
    description:
      'Verifiers that have no keys at hand refuse all tokens. See whether Pods of the Deployment podpass-discovery are ready, and whether its PodMonitor still selects them.',
  },
  PodpassDiscoveryReplicaDown: {
    service: 'discovery',
    severity: 'warning',
    for: '10m',
    expr: () => 'up{job=~".+/podpass-discovery"} == 0',
    summary: 'A replica of discovery cannot be scraped.',
    description:
      'The Pod {{ $labels.namespace }}/{{ $labels.pod }} does not answer on its metrics port. Look at its state and its log; the others answer meanwhile.',
  },
  PodpassNoKeysPublished: {
    service: 'discovery',
    severity: 'critical',
    for: '5m',
    expr: () => `sum by (namespace, pod) (${metric('podpass_keys', 'state=~"published|held"')}) == 0`,
    summary: 'A replica of discovery has no key to publish.',
    description:
      'The Pod {{ $labels.namespace }}/{{ $labels.pod }} answers 503. Ask its /readyz?verbose; then look in its log for why its sources fail or its keys are refused.',
  },
  PodpassKeySourceStale: {
    service: 'discovery',
    severity: 'warning',
    for: '5m',
    expr: () =>
      [
        `time() - ${metric('podpass_key_source_last_success_timestamp_seconds')}`,
        `  > 600 + 3 * ${metric('podpass_key_source_poll_interval_seconds')}`,
      ].join('\n'),
    summary: 'A key source has not been read for a long time.',
    description:
      'The Pod {{ $labels.namespace }}/{{ $labels.pod }} publishes the last keys it has; new ones of the API server are missed. Look for "key source failed" in its log.',
  },
  PodpassKeysRefused: {
    service: 'discovery',
    severity: 'warning',
    for: '15m',
    expr: () => `max by (namespace) (${metric('podpass_keys', 'state="refused"')}) > 0`,
    summary: 'A key of a source is not published.',
    description:
      'Tokens that it signs are refused by every verifier. Look for "key refused" in the logs of podpass-discovery in {{ $labels.namespace }}: it names the key and the reason.',
  },
  PodpassClusterIssuerMismatch: {
    service: 'discovery',
    severity: 'warning',
    for: '15m',
    expr: () => `max by (namespace, pod) (${metric('podpass_cluster_issuer_mismatch')}) > 0`,
    summary: "The issuer of a cluster's tokens is not served.",
    description:
      'Verifiers of what the Pod {{ $labels.namespace }}/{{ $labels.pod }} serves refuse new tokens of the cluster. Its /readyz?verbose names both issuers; compare --issuer with the first --service-account-issuer of the API server.',
  },
  PodpassDiscoveryServerErrors: {
    service: 'discovery',
    severity: 'critical',
    for: '10m',
    expr: () => `${answers('code=~"5.."')} / ${answers()} > 0.01`,
    summary: 'discovery answers with 5xx.',
    description:
      '{{ $value | humanizePercentage }} of the answers in {{ $labels.namespace }} are 5xx, so verifiers may not get keys. 503 means no key yet: ask /readyz?verbose. For 500 look for "request failed" in the logs.',
  },
  PodpassPublishFailing: {
    service: 'discovery',
    severity: 'warning',
    for: '10m',
    expr: () =>
      `sum by (namespace, pod, target) (increase(${metric('podpass_publish_total', 'result="failed"')}[5m])) > 0`,
    summary: 'A copy of the documents cannot be brought up to date.',
    description:
      'Verifiers that read the copy miss new keys. Look for "publishing failed" in the log of the Pod {{ $labels.namespace }}/{{ $labels.pod }}: it names the place, of the kind {{ $labels.target }}, and the reason.',
  },
  PodpassCertificateRenewalLate: {
    service: 'both',
    severity: 'warning',
    for: '30m',
    expr: (service) => isLeft(service, 0.25, 14),
    summary: 'A serving certificate is late to be renewed.',
    description:
      'The certificate of the Pod {{ $labels.namespace }}/{{ $labels.pod }} expires in {{ $value | humanizeDuration }}, and a third of its lifetime is usually left when the next one comes. Look at the log for what keeps it from being made, or at who writes the files.',
  },
  PodpassCertificateExpiring: {
    service: 'both',
    severity: 'critical',
    for: '5m',
    expr: (service) => isLeft(service, 0.1, 3),
    summary: 'A serving certificate is about to expire.',
    description:
      'Clients refuse the Pod {{ $labels.namespace }}/{{ $labels.pod }} in {{ $value | humanizeDuration }} (a time below zero: since then). Make a new certificate now, or restart the Pod where it makes its own.',
  },
  PodpassCertificateReloadErrors: {
    service: 'both',
    severity: 'warning',
    for: '0m',
    expr: (service) => `increase(${metric('podpass_certificate_reload_errors_total', of(service))}[1h]) > 0`,
    summary: 'A new certificate could not be used.',
    description:
      'The Pod {{ $labels.namespace }}/{{ $labels.pod }} goes on with the one before. Its log says what is wrong with the new one.',
  },
} as const satisfies Record<string, AlertRow>;

export type AlertName = keyof typeof alertRows;
