/** promtool, of Prometheus itself, judges alerts, the dashboard's queries and what the services expose. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { type AlertName, type AlertRow, alertRows } from '../../src/catalog/alerts.ts';
import { dashboard } from '../../src/cli/manifests/dashboard.ts';
import { monitoring } from '../../src/cli/manifests/monitoring.ts';
import { type ControlPlane, startControlPlane } from './control-plane.ts';
import { runProgram, startDiscovery, startWebhook, until } from './podpass.ts';
import { clusterBinaries, describeCluster } from './suite.ts';

interface Group {
  name: string;
  rules: { alert: string; annotations: Record<string, string>; labels: Record<string, string> }[];
}

const services = ['webhook', 'discovery'] as const;
const groupsOf = (service: (typeof services)[number]) =>
  monitoring('podpass', service).flatMap(({ spec }) => (spec as { groups?: Group[] }).groups ?? []);

// ---- time series, a sample a minute, in promtool's notation: https://prometheus.io/docs/prometheus/latest/configuration/unit_testing_rules/

type Series = Readonly<Record<string, string>>;

const on = (service: string, more = '') =>
  `{namespace="podpass",pod="podpass-${service}-a-1",container="${service}",job="podpass/podpass-${service}"${more === '' ? '' : `,${more}`}}`;
const webhook = (name: string, more?: string) => `${name}${on('webhook', more)}`;
const halfB = 'up{namespace="podpass",pod="podpass-webhook-b-1",container="webhook",job="podpass/podpass-webhook"}';
const discovery = (name: string, more?: string) => `${name}${on('discovery', more)}`;
const failOpen = (name: string) => `apiserver_admission_webhook_fail_open_count{name="${name}",type="admit"}`;
const rejection = (name: string, error: string) =>
  `apiserver_admission_webhook_rejection_count{name="${name}",type="admit",error_type="${error}",operation="CREATE"}`;

const DAY = 24 * 3600;
const notBefore = 'podpass_certificate_not_before_timestamp_seconds';
const expiry = 'podpass_certificate_expiry_timestamp_seconds';
const reloadErrors = 'podpass_certificate_reload_errors_total';
const bucket = (le: string) => webhook('podpass_admission_duration_seconds_bucket', `le="${le}"`);

/** Two hours of an installation in which half of the Pods are denied, and nothing is wrong. */
const HEALTHY: Series = {
  [webhook('up')]: '1x120',
  [halfB]: '1x120',
  [webhook('podpass_admission_requests_total', 'result="injected"')]: '0+30x120',
  [webhook('podpass_admission_requests_total', 'result="denied"')]: '0+30x120',
  [webhook('podpass_admission_requests_total', 'result="error"')]: '0x120',
  [bucket('0.005')]: '0+59.9x120',
  [bucket('0.5')]: '0+60x120',
  [bucket('2.5')]: '0+60x120',
  [bucket('+Inf')]: '0+60x120',
  [webhook('podpass_api_server_connected')]: '1x120',
  [webhook('podpass_service_account_cache_last_update_timestamp_seconds')]: '0+60x120',
  [webhook('podpass_reserved_audiences')]: '2x120',
  [webhook('podpass_webhook_configurations', 'state="in_sync"')]: '1x120',
  [webhook('podpass_webhook_configurations', 'state="out_of_sync"')]: '0x120',
  [webhook('podpass_webhook_configurations', 'state="missing"')]: '0x120',
  [webhook(notBefore)]: '0x120',
  [webhook(expiry)]: `${7 * DAY}x120`,
  [webhook(reloadErrors)]: '0x120',
  [failOpen('others.podpass.dev')]: '5x120',
  [discovery('up')]: '1x120',
  [discovery('podpass_http_requests_total', 'code="200"')]: '0+60x120',
  [discovery('podpass_http_requests_total', 'code="404"')]: '0+60x120',
  [discovery('podpass_http_requests_total', 'code="503"')]: '0x120',
  [discovery('podpass_keys', 'state="published"')]: '2x120',
  [discovery('podpass_keys', 'state="held"')]: '0x120',
  [discovery('podpass_keys', 'state="refused"')]: '0x120',
  [discovery('podpass_key_source_last_success_timestamp_seconds')]: '0+60x120',
  [discovery('podpass_key_source_poll_interval_seconds')]: '60x120',
  [discovery('podpass_cluster_issuer_mismatch')]: '0x120',
  [discovery('podpass_publish_total', 'target="s3",result="unchanged"')]: '0+1x120',
  [discovery('podpass_publish_total', 'target="s3",result="failed"')]: '0x120',
  // Without TLS.
  [discovery(notBefore)]: '0x120',
  [discovery(expiry)]: '0x120',
  [discovery(reloadErrors)]: '0x120',
};

/** All series of a service end after an hour. */
const gone = (service: string): Series =>
  Object.fromEntries(
    Object.entries(HEALTHY)
      .filter(([series]) => series.includes(`container="${service}"`))
      .map(([series, values]) => [series, values.replace(/x120$/, 'x60 stale')]),
  );

/** A certificate of so many days, of which a part is left at the end of the first hour. */
const certificate = (at: typeof webhook, days: number, part: number): Series => {
  const end = 3600 + part * days * DAY;
  return { [at(notBefore)]: `${end - days * DAY}x120`, [at(expiry)]: `${end}x120` };
};

interface Case {
  readonly what: string;
  readonly series: Series;
  /** Minutes: the alert is silent at the first and fires at the second one. */
  readonly silent?: number;
  readonly fires?: number;
  /** What fires at both. */
  readonly also?: readonly AlertName[];
}

const cases: { readonly [A in AlertName]: readonly Case[] } = {
  PodpassWebhookAbsent: [{ what: 'all targets vanish', series: gone('webhook'), silent: 64, fires: 67 }],
  PodpassWebhookReplicaDown: [
    { what: 'a scrape fails', series: { [webhook('up')]: '1x60 0x60' }, silent: 69, fires: 72 },
    { what: 'something else is down', series: { 'up{job="podpass/other"}': '0x120' } },
  ],
  PodpassWebhookHalfAbsent: [{ what: 'half b has no Pod', series: { [halfB]: '1x60' }, silent: 69, fires: 77 }],
  PodpassWebhookNotReached: [
    {
      what: 'Pods are created without being asked for',
      series: { [failOpen('others.podpass.dev')]: '5x60 6+1x60' },
      silent: 62,
      fires: 64,
    },
    {
      what: 'Pods that wait are not created',
      series: { [rejection('labelled.podpass.dev', 'calling_webhook_error')]: '1x60 2+1x60' },
      silent: 62,
      fires: 64,
    },
    {
      what: 'it denies, and another one fails',
      series: {
        [rejection('labelled.podpass.dev', 'no_error')]: '0+10x120',
        [failOpen('podpass.example.com')]: '0+10x120',
        [failOpen('x.podpassxdev')]: '0+10x120',
      },
    },
  ],
  PodpassPublishFailing: [
    {
      what: 'each try of a copy fails',
      series: { [discovery('podpass_publish_total', 'target="s3",result="failed"')]: '0x60 3+3x60' },
      silent: 69,
      fires: 73,
    },
    {
      what: 'one try fails, and the next does not',
      series: { [discovery('podpass_publish_total', 'target="s3",result="failed"')]: '0x60 1x60' },
    },
  ],
  PodpassAdmissionErrors: [
    {
      what: 'some of a hundred requests fail',
      series: { [webhook('podpass_admission_requests_total', 'result="error"')]: '0x60 5+5x60' },
      silent: 69,
      fires: 73,
    },
    {
      what: 'one of two hundred fails',
      series: { [webhook('podpass_admission_requests_total', 'result="error"')]: '0+0.3x120' },
    },
  ],
  PodpassAdmissionSlow: [
    {
      what: 'one of fifty takes over half a second',
      series: { [bucket('0.005')]: '0+50x120', [bucket('0.5')]: '0+60x60 3660+58.8x60' },
      silent: 69,
      fires: 77,
    },
  ],
  PodpassApiServerDisconnected: [
    {
      what: 'the watch is away',
      series: { [webhook('podpass_api_server_connected')]: '1x60 0x60' },
      silent: 69,
      fires: 72,
    },
    { what: 'the watch is away for a moment', series: { [webhook('podpass_api_server_connected')]: '1x60 0x8 1x50' } },
  ],
  PodpassServiceAccountCacheStale: [
    {
      what: 'nothing comes any more',
      series: { [webhook('podpass_service_account_cache_last_update_timestamp_seconds')]: '0+60x60 3600x60' },
      silent: 80,
      fires: 82,
    },
    {
      what: 'nothing ever came',
      series: { [webhook('podpass_service_account_cache_last_update_timestamp_seconds')]: '0x120' },
      silent: 20,
      fires: 22,
    },
  ],
  PodpassReservedAudiencesUnknown: [
    { what: 'none is found', series: { [webhook('podpass_reserved_audiences')]: '0x120' }, silent: 14, fires: 16 },
    { what: 'they are found late', series: { [webhook('podpass_reserved_audiences')]: '0x10 2x110' } },
  ],
  PodpassCaBundleOutOfSync: [
    {
      what: 'someone else writes it',
      series: { [webhook('podpass_webhook_configurations', 'state="out_of_sync"')]: '0x60 1x60' },
      silent: 69,
      fires: 72,
    },
  ],
  PodpassWebhookConfigurationMissing: [
    {
      what: 'it is deleted',
      series: { [webhook('podpass_webhook_configurations', 'state="missing"')]: '0x60 1x60' },
      silent: 74,
      fires: 77,
    },
  ],
  PodpassDiscoveryAbsent: [{ what: 'all targets vanish', series: gone('discovery'), silent: 64, fires: 67 }],
  PodpassDiscoveryReplicaDown: [
    { what: 'a scrape fails', series: { [discovery('up')]: '1x60 0x60' }, silent: 69, fires: 72 },
  ],
  PodpassNoKeysPublished: [
    {
      what: 'the last key goes',
      series: { [discovery('podpass_keys', 'state="published"')]: '2x60 0x60' },
      silent: 65,
      fires: 67,
    },
    {
      what: 'all keys are held',
      series: {
        [discovery('podpass_keys', 'state="published"')]: '0x120',
        [discovery('podpass_keys', 'state="held"')]: '2x120',
      },
    },
  ],
  PodpassKeySourceStale: [
    {
      what: 'a source fails',
      series: { [discovery('podpass_key_source_last_success_timestamp_seconds')]: '0+60x60 3600x60' },
      silent: 78,
      fires: 80,
    },
    {
      what: 'a source is read once an hour',
      series: {
        [discovery('podpass_key_source_last_success_timestamp_seconds')]: '0x59 3600x61',
        [discovery('podpass_key_source_poll_interval_seconds')]: '3600x120',
      },
    },
  ],
  PodpassKeysRefused: [
    {
      what: 'a key is refused',
      series: { [discovery('podpass_keys', 'state="refused"')]: '0x60 1x60' },
      silent: 74,
      fires: 77,
    },
  ],
  PodpassClusterIssuerMismatch: [
    {
      what: 'the API server begins with another issuer',
      series: { [discovery('podpass_cluster_issuer_mismatch')]: '0x60 1x60' },
      silent: 74,
      fires: 77,
    },
    {
      what: 'API servers take turns while the issuer is rolled out',
      series: { [discovery('podpass_cluster_issuer_mismatch')]: '0x60 1x5 0x2 1x5 0x48' },
    },
  ],
  PodpassDiscoveryServerErrors: [
    {
      what: 'some of a hundred answers are 503',
      series: { [discovery('podpass_http_requests_total', 'code="503"')]: '0x60 5+5x60' },
      silent: 69,
      fires: 73,
    },
  ],
  PodpassCertificateRenewalLate: [
    ...[webhook, discovery].map((at) => ({
      what: `of a week a quarter is left, ${at('')}`,
      series: certificate(at, 7, 0.25),
      silent: 89,
      fires: 92,
    })),
    { what: 'of a week a third is left', series: certificate(webhook, 7, 0.33) },
    { what: 'of ten years a tenth is left', series: certificate(webhook, 3650, 0.1) },
  ],
  PodpassCertificateExpiring: [
    ...[webhook, discovery].map((at) => ({
      what: `of a week a tenth is left, ${at('')}`,
      series: certificate(at, 7, 0.1),
      silent: 64,
      fires: 67,
      also: ['PodpassCertificateRenewalLate'] as const,
    })),
    {
      what: 'it has expired',
      series: certificate(webhook, 90, 0),
      fires: 100,
      also: ['PodpassCertificateRenewalLate'],
    },
  ],
  PodpassCertificateReloadErrors: [webhook, discovery].map((at) => ({
    what: `a new pair does not fit, ${at('')}`,
    series: { [at(reloadErrors)]: '0x60 1x60' },
    silent: 60,
    fires: 62,
  })),
};

/** That these alerts fire at a time, and no others. */
function firing(minute: number, alerts: readonly string[]) {
  return {
    expr: 'group by (alertname) (ALERTS{alertstate="firing"})',
    eval_time: `${minute}m`,
    exp_samples: alerts.map((alert) => ({ labels: `{alertname="${alert}"}`, value: 1 })),
  };
}

function testOf(name: string, series: Series, expected: object) {
  const all = Object.entries({ ...HEALTHY, ...series });
  return { name, interval: '1m', input_series: all.map(([each, values]) => ({ series: each, values })), ...expected };
}

describeCluster('alerts, judged by promtool', () => {
  let folder: string;
  /** As in an installation, each service has its own. */
  let files: string[];
  let tests = 0;

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'podpass-rules-'));
    files = services.map((service) => {
      const file = join(folder, `${service}.yaml`);
      writeFileSync(file, stringify({ groups: groupsOf(service) }));
      return file;
    });
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const promtool = (args: string[], input = '') => runProgram(clusterBinaries().promtool, args, { input });

  async function runTests(...cases: object[]) {
    const file = join(folder, `test-${++tests}.yaml`);
    writeFileSync(file, stringify({ rule_files: files, evaluation_interval: '1m', tests: cases }));
    return promtool(['test', 'rules', file]);
  }

  it('are rules that promtool finds no fault with', async () => {
    const ran = await promtool(['check', 'rules', '--lint=all', '--lint-fatal', ...files]);
    expect([ran.code, ran.stderr]).toEqual([0, '']);
    const rows = Object.values<AlertRow>(alertRows);
    for (const service of services) {
      const rules = rows.filter((row) => row.service === service || row.service === 'both').length;
      expect(ran.stdout).toContain(`${service}.yaml\n  SUCCESS: ${rules} rules found`);
    }
  });

  it('are silent where nothing is wrong, denied Pods or not', async () => {
    const quiet = [1, 20, 60, 100, 120].map((minute) => firing(minute, []));
    const ran = await runTests(testOf('healthy', {}, { promql_expr_test: quiet }));
    expect([ran.code, ran.stdout + ran.stderr]).toEqual([0, expect.stringContaining('SUCCESS')]);
  });

  const all = Object.entries(cases).flatMap(([alert, each]) => each.map((one) => [alert, one.what, one] as const));
  it.each(all)('%s: %s', async (alert, what, { series, silent, fires, also = [] }) => {
    const loud = [...also, alert].sort();
    const expected = [
      ...(silent === undefined ? [] : [firing(silent, also)]),
      ...(fires === undefined ? [firing(60, []), firing(119, [])] : [firing(fires, loud)]),
    ];
    const ran = await runTests(testOf(what, series, { promql_expr_test: expected }));
    expect([ran.code, ran.stdout + ran.stderr]).toEqual([0, expect.stringContaining('SUCCESS')]);
  });

  it('say what they have to in words, with the values in their places', async () => {
    const rendered = (alert: AlertName, values: Record<string, string>) => {
      const annotations = groupsOf('webhook')
        .flatMap(({ rules }) => rules)
        .find((rule) => rule.alert === alert)?.annotations;
      const text = JSON.stringify(annotations).replace(/\{\{ (.*?) \}\}/g, (_, name: string) => values[name] ?? name);
      return JSON.parse(text) as object;
    };
    const late: AlertName = 'PodpassCertificateRenewalLate';
    const errors: AlertName = 'PodpassAdmissionErrors';
    const expected = (
      alert: AlertName,
      minute: string,
      labels: Record<string, string>,
      values: Record<string, string>,
    ) => ({
      alert_rule_test: [
        {
          alertname: alert,
          eval_time: minute,
          exp_alerts: [
            {
              exp_labels: { severity: alertRows[alert].severity, ...labels },
              exp_annotations: rendered(alert, values),
            },
          ],
        },
      ],
    });
    const pod = {
      namespace: 'podpass',
      pod: 'podpass-webhook-a-1',
      container: 'webhook',
      job: 'podpass/podpass-webhook',
    };
    const ran = await runTests(
      testOf(
        late,
        certificate(webhook, 7, 0.25),
        expected(late, '100m', pod, {
          '$labels.namespace': 'podpass',
          '$labels.pod': 'podpass-webhook-a-1',
          '$value | humanizeDuration': '1d 17h 20m 0s',
        }),
      ),
      testOf(
        errors,
        { [webhook('podpass_admission_requests_total', 'result="error"')]: '0+20x120' },
        expected(
          errors,
          '100m',
          { namespace: 'podpass' },
          {
            '$labels.namespace': 'podpass',
            '$value | humanizePercentage': '25%',
          },
        ),
      ),
    );
    expect([ran.code, ran.stdout + ran.stderr]).toEqual([0, expect.stringContaining('SUCCESS')]);
  });

  it('promtool tells where one does not fire', async () => {
    const ran = await runTests(testOf('wrong', {}, { promql_expr_test: [firing(60, ['PodpassWebhookAbsent'])] }));
    expect([ran.code, ran.stdout + ran.stderr]).toEqual([1, expect.stringContaining('FAILED')]);
  });

  it("the dashboard's queries are PromQL", async () => {
    const queries = dashboard().panels.flatMap(({ targets }) => targets.map(({ expr }) => expr));
    const records = queries.map((expr, index) => ({
      record: `dashboard:query_${index}:all`,
      expr: expr.replaceAll('$__rate_interval', '5m'),
    }));
    const file = join(folder, 'dashboard.yaml');
    const check = async (recorded: object[]) => {
      writeFileSync(file, stringify({ groups: [{ name: 'dashboard', rules: recorded }] }));
      return promtool(['check', 'rules', '--lint-fatal', file]);
    };
    const ran = await check(records);
    expect([ran.code, ran.stdout]).toEqual([0, expect.stringContaining(`SUCCESS: ${queries.length} rules found`)]);
    expect((await check([...records, { record: 'dashboard:wrong:all', expr: 'sum by (' }])).code).not.toBe(0);
  });
});

describeCluster('what the services expose', () => {
  let cluster: ControlPlane;
  beforeAll(async () => {
    cluster = await startControlPlane({ binaries: clusterBinaries() });
  });
  afterAll(() => cluster?.stop());

  const check = (exposition: string) =>
    runProgram(clusterBinaries().promtool, ['check', 'metrics'], { input: exposition });

  it.each([
    ['webhook', startWebhook],
    ['discovery', startDiscovery],
  ] as const)('by the %s has no fault that promtool finds', async (service, start) => {
    const running = await start(cluster);
    try {
      const exposition = await (await fetch(`${running.statusUrl}/metrics`)).text();
      expect(exposition).toContain('podpass_certificate_expiry_timestamp_seconds 1');
      expect([service, await check(exposition)]).toEqual([service, { code: 0, stdout: '', stderr: '' }]);
      const read = async () => (await fetch(`${running.statusUrl}/readyz?verbose`)).text();
      if (service === 'discovery') await until('the cluster to tell', async () => (await read()).includes('tokens of'));
      const verbose = await read();
      const checks = verbose.trim().split('\n');
      expect(checks.at(-1)).toBe('readyz check passed');
      const own =
        service === 'webhook'
          ? ['service-account-cache', 'certificate']
          : ['issuer', `documents of ${cluster.issuer}`, `tokens of ${cluster.url}`];
      expect(checks.slice(0, -1)).toEqual(['ping', 'shutdown', ...own].map((name) => `[+]${name} ok`));
    } finally {
      await running.stop();
    }
  });

  it('promtool would find one', async () => {
    const { code, stderr } = await check('# TYPE wrong_name counter\nwrong_name 1\n');
    expect([code, stderr]).toEqual([3, expect.stringContaining('counter metrics should have "_total" suffix')]);
  });
});
