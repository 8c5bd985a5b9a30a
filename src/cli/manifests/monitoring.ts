import { type AlertRow, alertRows } from '../../catalog/alerts.ts';
import { dashboard } from './dashboard.ts';
import { type KubeObject, metadataOf, names, type Service, selectorOf } from './object.ts';

const apiVersion = 'monitoring.coreos.com/v1';
export const RUNBOOK = 'docs/operate.md';
/** By which Grafana's sidecar finds dashboards. */
const DASHBOARD_LABEL = { grafana_dashboard: '1' };

/** What the Prometheus operator takes: how to scrape a service, and when to be alarmed. Its CRDs have to be there. */
export function monitoring(namespace: string, service: Service): KubeObject[] {
  const metadata = metadataOf(service, names[service], namespace);
  return [
    {
      apiVersion,
      kind: 'PodMonitor',
      metadata,
      spec: {
        selector: { matchLabels: selectorOf(service) },
        podMetricsEndpoints: [{ port: 'metrics', path: '/metrics', interval: '30s' }],
      },
    },
    {
      apiVersion,
      kind: 'PrometheusRule',
      metadata,
      spec: { groups: [{ name: names[service], rules: alertsOf(service) }] },
    },
  ];
}

function alertsOf(service: Service): object[] {
  return (Object.entries(alertRows) as [string, AlertRow][])
    .filter(([, row]) => row.service === service || row.service === 'both')
    .map(([alert, row]) => ({
      alert,
      expr: row.expr(service),
      for: row.for,
      labels: { severity: row.severity },
      annotations: {
        summary: row.summary,
        description: row.description,
        // A section's anchor is its heading in lower case.
        runbook: `${RUNBOOK}#${alert.toLowerCase()}`,
      },
    }));
}

/** Both services on one page of Grafana. */
export function dashboardConfig(namespace: string): KubeObject {
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: {
      name: 'podpass-dashboard',
      namespace,
      labels: { 'app.kubernetes.io/name': 'podpass', 'app.kubernetes.io/component': 'dashboard', ...DASHBOARD_LABEL },
    },
    data: { 'podpass.json': `${JSON.stringify(dashboard(), undefined, 2)}\n` },
  };
}
