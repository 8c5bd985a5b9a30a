import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { type AlertRow, alertRows } from '../../src/catalog/alerts.ts';
import { type MetricRow, metricRows } from '../../src/catalog/metrics.ts';
import { dashboard } from '../../src/cli/manifests/dashboard.ts';
import { dashboardConfig, monitoring, RUNBOOK } from '../../src/cli/manifests/monitoring.ts';

const alerts = Object.entries(alertRows) as [string, AlertRow][];
const services = ['webhook', 'discovery'] as const;
const servicesOf = ({ service }: { service: 'webhook' | 'discovery' | 'both' }) =>
  service === 'both' ? services : [service];
const panels = dashboard().panels;

/** Labels that are not ours: the PodMonitor's. */
const TARGET = ['namespace', 'pod', 'container', 'job'];

function rowOf(name: string): MetricRow | undefined {
  const rows: Record<string, MetricRow> = metricRows;
  const histogram = rows[name.replace(/_(bucket|count|sum)$/, '')];
  return histogram?.type === 'histogram' ? histogram : rows[name];
}

/** Every metric of ours in an expression, with the labels that are selected. */
function selectorsIn(expr: string): { name: string; labels: [string, string, string][] }[] {
  return [...expr.matchAll(/\b(podpass_\w+)(?:\{([^}]*)\})?/g)].map(([, name = '', selected = '']) => ({
    name,
    labels: [...selected.matchAll(/(\w+)(=~|=)"([^"]*)"/g)].map(([, label = '', how = '', value = '']) => [
      label,
      how,
      value,
    ]),
  }));
}

const expressions: [string, string][] = [
  ...alerts.flatMap(([name, row]) => servicesOf(row).map((service): [string, string] => [name, row.expr(service)])),
  ...panels.flatMap(({ title, targets }) => targets.map(({ expr }): [string, string] => [title, expr])),
];

test.each(expressions)('%s asks for metrics and labels of the catalog: %s', (_, expr) => {
  for (const { name, labels } of selectorsIn(expr)) {
    const row = rowOf(name);
    expect([name, row === undefined]).toEqual([name, false]);
    for (const [label, how, value] of labels) {
      const values = TARGET.includes(label) ? undefined : row?.labels?.[label];
      if (TARGET.includes(label)) continue;
      const meant = values?.filter((each) => (how === '=' ? each === value : new RegExp(`^(${value})$`).test(each)));
      expect([name, label, value, (meant ?? []).length > 0]).toEqual([name, label, value, true]);
    }
  }
  const foreign = expr.match(/\b(?!podpass_)(?:up|[a-z]+(?:_[a-z]+)+)\b(?=\{|\s*\[|$)/g) ?? [];
  for (const name of foreign) expect(name).toMatch(/^(up|apiserver_admission_webhook_\w+)$/);
});

describe('alerts', () => {
  const runbook = readFileSync(new URL(`../../${RUNBOOK}`, import.meta.url), 'utf8');
  const sections = [...runbook.matchAll(/^### (Podpass\w+)$/gm)].map(([, name]) => name);

  test('each has a section in the runbook, and each section an alert', () => {
    expect(sections.sort()).toEqual(alerts.map(([name]) => name).sort());
  });

  test.each(alerts)('%s says what it means and what to do', (name, row) => {
    expect(name).toMatch(/^Podpass[A-Z]\w+$/);
    expect(row.for).toMatch(/^\d+m$/);
    expect(row.summary).toMatch(/^\S.*\.$/);
    // What follows is only true of the labels that are left.
    for (const [, label = ''] of row.description.matchAll(/\$labels\.(\w+)/g)) {
      for (const service of servicesOf(row)) {
        const by = row.expr(service).match(/\bby \(([^)]*)\)/)?.[1];
        const made = [...row.expr(service).matchAll(/\blabel_replace\(.+, "(\w+)", ".*", "", ""\)/g)];
        if (made.some(([, given]) => given === label)) continue;
        if (by !== undefined) expect([name, by.split(', ').includes(label)]).toEqual([name, true]);
        else expect([name, TARGET.includes(label)]).toEqual([name, true]);
      }
    }
  });

  test('each is in the rules of its service, with a way to its section', () => {
    for (const service of services) {
      const rules = monitoring('own', service).flatMap(
        ({ spec }) =>
          (spec as { groups?: { rules: { alert: string; annotations: Record<string, string> }[] }[] }).groups?.flatMap(
            (group) => group.rules,
          ) ?? [],
      );
      const expected = alerts.filter(([, row]) => servicesOf(row).includes(service)).map(([name]) => name);
      expect(rules.map(({ alert }) => alert)).toEqual(expected);
      for (const { alert, annotations } of rules) expect(annotations.runbook).toBe(`${RUNBOOK}#${alert.toLowerCase()}`);
    }
  });
});

describe('the dashboard', () => {
  test('is the JSON in a ConfigMap that Grafana looks for', () => {
    const { kind, metadata, data } = dashboardConfig('own');
    expect([kind, metadata.namespace, metadata.labels?.grafana_dashboard]).toEqual(['ConfigMap', 'own', '1']);
    expect(JSON.parse((data as Record<string, string>)['podpass.json'] ?? '')).toEqual(dashboard());
  });

  test('has panels side by side, each with its own place, title and queries', () => {
    const taken = new Set<string>();
    for (const { gridPos, targets, title } of panels) {
      expect(gridPos.x + gridPos.w).toBeLessThanOrEqual(24);
      taken.add(`${gridPos.x} ${gridPos.y}`);
      expect([title, targets.length > 0]).toEqual([title, true]);
    }
    expect(taken.size).toBe(panels.length);
    expect(new Set(panels.map(({ title }) => title)).size).toBe(panels.length);
  });

  test('shows every metric of the catalog', () => {
    const shown = new Set(
      panels.flatMap(({ targets }) => targets.flatMap(({ expr }) => selectorsIn(expr).map(({ name }) => name))),
    );
    const names = [...shown].map((name) => name.replace(/_bucket$/, ''));
    const bare = ['podpass_reserved_audiences', 'podpass_certificate_not_before_timestamp_seconds'];
    const hidden = ['podpass_key_source_poll_interval_seconds', ...bare];
    expect(Object.keys(metricRows).filter((name) => !names.includes(name) && !hidden.includes(name))).toEqual([]);
  });
});
