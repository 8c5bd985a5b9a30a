interface Panel {
  readonly title: string;
  /** As Grafana names it. */
  readonly unit: string;
  /** PromQL, by its legend. */
  readonly queries: Readonly<Record<string, string>>;
}

const perSecond = (by: string, counter: string) => `sum by (${by}) (rate(${counter}[$__rate_interval]))`;
const duration = (quantile: number) =>
  `histogram_quantile(${quantile}, sum by (le) (rate(podpass_admission_duration_seconds_bucket[$__rate_interval])))`;
const share = (part: string, counter: string) =>
  `sum(rate(${counter}{${part}}[$__rate_interval])) / sum(rate(${counter}[$__rate_interval]))`;

const panels: readonly Panel[] = [
  {
    title: 'Admission requests by result',
    unit: 'reqps',
    queries: { '{{result}}': perSecond('result', 'podpass_admission_requests_total') },
  },
  {
    title: 'Admission latency',
    unit: 's',
    queries: { p50: duration(0.5), p99: duration(0.99) },
  },
  {
    title: 'Errors',
    unit: 'percentunit',
    queries: {
      admission: share('result="error"', 'podpass_admission_requests_total'),
      discovery: share('code=~"5.."', 'podpass_http_requests_total'),
    },
  },
  {
    title: 'ServiceAccounts in the cache',
    unit: 'short',
    queries: { '{{pod}}': 'podpass_service_account_cache_size' },
  },
  {
    title: 'ServiceAccount lookups by source',
    unit: 'reqps',
    queries: { '{{source}}': perSecond('source', 'podpass_service_account_lookups_total') },
  },
  {
    title: 'Watching the API server',
    unit: 'bool_yes_no',
    queries: { '{{pod}}': 'podpass_api_server_connected' },
  },
  {
    title: 'Age of the ServiceAccount cache',
    unit: 's',
    queries: { '{{pod}}': 'time() - podpass_service_account_cache_last_update_timestamp_seconds' },
  },
  {
    title: 'Events for owners of Pods',
    unit: 'cps',
    queries: { '{{result}}': perSecond('result', 'podpass_events_total') },
  },
  {
    title: 'Certificates expire in',
    unit: 's',
    queries: { '{{pod}}': '(podpass_certificate_expiry_timestamp_seconds > 0) - time()' },
  },
  {
    title: 'Certificates refused, caBundles by state',
    unit: 'short',
    queries: {
      'refused in an hour': 'sum(increase(podpass_certificate_reload_errors_total[1h]))',
      'caBundle {{state}}': 'max by (state) (podpass_webhook_configurations)',
    },
  },
  {
    title: 'Keys by state, other issuer',
    unit: 'short',
    queries: {
      '{{state}}': 'max by (state) (podpass_keys)',
      'issuer of the tokens is not served': 'max(podpass_cluster_issuer_mismatch)',
    },
  },
  {
    title: 'Age of the key sources',
    unit: 's',
    queries: { '{{pod}}': 'time() - (podpass_key_source_last_success_timestamp_seconds > 0)' },
  },
  {
    title: 'Documents served, by path',
    unit: 'reqps',
    queries: { '{{path}}': perSecond('path', 'podpass_http_requests_total') },
  },
  {
    title: 'discovery requests by status',
    unit: 'reqps',
    queries: { '{{code}}': perSecond('code', 'podpass_http_requests_total') },
  },
  {
    title: 'Copies, by target and result',
    unit: 'short',
    queries: { '{{target}} {{result}}': 'sum by (target, result) (increase(podpass_publish_total[10m]))' },
  },
];

const [WIDTH, HEIGHT, COLUMNS] = [8, 7, 3];
const datasource = { type: 'prometheus', uid: '$' + '{datasource}' };

/** A dashboard as Grafana imports it. */
export function dashboard() {
  return {
    title: 'podpass',
    uid: 'podpass',
    tags: ['podpass'],
    schemaVersion: 39,
    editable: true,
    refresh: '30s',
    time: { from: 'now-6h', to: 'now' },
    templating: { list: [{ name: 'datasource', label: 'Data source', type: 'datasource', query: 'prometheus' }] },
    panels: panels.map(({ title, unit, queries }, index) => ({
      id: index + 1,
      type: 'timeseries',
      title,
      datasource,
      gridPos: {
        x: (index % COLUMNS) * WIDTH,
        y: Math.floor(index / COLUMNS) * HEIGHT,
        w: WIDTH,
        h: HEIGHT,
      },
      fieldConfig: { defaults: { unit, min: 0 }, overrides: [] },
      targets: Object.entries(queries).map(([legendFormat, expr], at) => ({
        refId: String.fromCharCode('A'.charCodeAt(0) + at),
        datasource,
        expr,
        legendFormat,
      })),
    })),
  };
}
