import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { type LabelsOf, type MetricName, type MetricRow, metricRows } from '../catalog/metrics.ts';

/** The metrics of one service, by their names in the catalog. */
export interface Metrics {
  /** Adds one to a counter. */
  count<N extends MetricName>(name: N, labels: LabelsOf<N>): void;
  /** Sets a gauge. */
  set<N extends MetricName>(name: N, labels: LabelsOf<N>, value: number): void;
  /** Adds an observation, in seconds, to a histogram. */
  observe(name: MetricName, seconds: number): void;
  /** Calls this before each exposition, to set what is only worth knowing then. */
  onExpose(refresh: () => void): void;
  /** The exposition, and its media type. */
  expose(): Promise<{ readonly contentType: string; readonly text: string }>;
}

/** A registry with every metric of a service, counters at 0, and those of the process. */
export function createMetrics(service: 'webhook' | 'discovery'): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  // Gauges, though they are named like counters; each is the sum of another one.
  for (const what of ['handles', 'requests', 'resources']) registry.removeSingleMetric(`nodejs_active_${what}_total`);
  const refreshers: (() => void)[] = [];
  const counters = new Map<string, Counter>();
  const gauges = new Map<string, Gauge>();
  const histograms = new Map<string, Histogram>();
  for (const [name, row] of Object.entries(metricRows) as [MetricName, MetricRow][]) {
    if (row.service !== service && row.service !== 'both') continue;
    const options = { name, help: row.help, labelNames: Object.keys(row.labels ?? {}), registers: [registry] };
    if (row.type === 'counter') {
      const counter = new Counter(options);
      for (const labels of combinations(row)) counter.inc(labels, 0);
      counters.set(name, counter);
    } else if (row.type === 'gauge') {
      gauges.set(name, new Gauge(options));
    } else {
      histograms.set(name, new Histogram({ ...options, buckets: [...(row.buckets ?? [])] }));
    }
  }
  return {
    count: (name, labels) => counters.get(name)?.inc(labels as Record<string, string>),
    set: (name, labels, value) => gauges.get(name)?.set(labels as Record<string, string>, value),
    observe: (name, seconds) => histograms.get(name)?.observe(seconds),
    onExpose: (refresh) => void refreshers.push(refresh),
    async expose() {
      for (const refresh of refreshers) refresh();
      return { contentType: registry.contentType, text: await registry.metrics() };
    },
  };
}

/** Every combination of a row's label values, so that each series is there from the start. */
function combinations(row: MetricRow): Record<string, string>[] {
  let all: Record<string, string>[] = [{}];
  for (const [label, values] of Object.entries(row.labels ?? {})) {
    all = all.flatMap((labels) => values.map((value) => ({ ...labels, [label]: value })));
  }
  return all;
}
