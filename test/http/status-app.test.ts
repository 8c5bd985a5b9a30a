import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { metricRows } from '../../src/catalog/metrics.ts';
import { type Check, check } from '../../src/runtime/check.ts';
import { createMetrics, type Metrics } from '../../src/runtime/metrics.ts';
import { createStatusApp } from '../../src/runtime/status-app.ts';

let server: Server;
let metrics: Metrics;
let reasons: string[];
let others: Check[];
beforeEach(async () => {
  reasons = [];
  others = [];
  metrics = createMetrics('webhook');
  server = createServer(createStatusApp(metrics, () => [...others, { name: 'service-account-cache', reasons }]));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});
afterEach(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

async function ask(path: string, method = 'GET') {
  const response = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`, { method });
  return { status: response.status, headers: response.headers, text: await response.text() };
}

test('/healthz is 200, even where it is not ready', async () => {
  reasons = ['starting'];
  expect(await ask('/healthz')).toMatchObject({ status: 200, text: 'ok\n' });
});

test('/readyz is 200 without reasons against it, else 503 with all of them', async () => {
  expect(await ask('/readyz')).toMatchObject({ status: 200, text: 'ok\n' });
  reasons = ['shutting down', 'no cache'];
  expect(await ask('/readyz')).toMatchObject({ status: 503, text: expect.stringMatching(/shutting down.*no cache/) });
  reasons = [];
  expect(await ask('/readyz')).toMatchObject({ status: 200 });
});

test('?verbose lists the checks in the words of the API server, with the same status', async () => {
  others = [check('shutdown', true, 'shutting down')];
  expect(await ask('/readyz?verbose')).toMatchObject({
    status: 200,
    text: '[+]ping ok\n[+]shutdown ok\n[+]service-account-cache ok\nreadyz check passed\n',
  });
  reasons = ['not read yet', 'nor asked'];
  for (const query of ['verbose', 'verbose=', 'a=b&verbose=1']) {
    const { status, headers, text } = await ask(`/readyz?${query}`);
    expect([status, headers.get('content-type')]).toEqual([503, 'text/plain; charset=utf-8']);
    expect(text).toBe(
      '[+]ping ok\n[+]shutdown ok\n[-]service-account-cache failed: not read yet; nor asked\nreadyz check failed\n',
    );
  }
  expect(await ask('/readyz?quiet')).toMatchObject({ status: 503, text: 'not ready: not read yet; nor asked\n' });
  expect(await ask('/healthz?verbose')).toMatchObject({ status: 200, text: '[+]ping ok\nhealthz check passed\n' });
});

test('/metrics has every metric of the catalog for this service, counters at 0', async () => {
  const { status, headers, text } = await ask('/metrics');
  expect(status).toBe(200);
  expect(headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/);
  for (const [name, { service, type, help }] of Object.entries(metricRows)) {
    if (service === 'discovery') expect(text).not.toContain(name);
    else {
      expect(text).toContain(`# HELP ${name} ${help}\n`);
      expect(text).toContain(`# TYPE ${name} ${type}\n`);
    }
  }
  for (const result of ['injected', 'unchanged', 'denied', 'error'])
    expect(text).toContain(`podpass_admission_requests_total{result="${result}"} 0\n`);
  for (const source of ['cache', 'live', 'not_found', 'error'])
    expect(text).toContain(`podpass_service_account_lookups_total{source="${source}"} 0\n`);
  expect(text).toContain('podpass_certificate_reload_errors_total 0\n');
  expect(text).toContain('podpass_admission_duration_seconds_count 0\n');
});

test('/metrics is made once for all who ask at the same time, and anew for the next', async () => {
  let times = 0;
  const { expose } = metrics;
  metrics.expose = async () => {
    times += 1;
    await new Promise((resolve) => setTimeout(resolve, 200));
    return expose.call(metrics);
  };
  const answers = await Promise.all(Array.from({ length: 10 }, () => ask('/metrics')));
  expect(answers.map(({ status }) => status)).toEqual(Array(10).fill(200));
  expect(times).toBeLessThan(5);
  const before = times;
  await ask('/metrics');
  expect(times).toBe(before + 1);
});

test('/metrics shows what was counted, set and observed', async () => {
  metrics.count('podpass_admission_requests_total', { result: 'denied' });
  metrics.set('podpass_service_account_cache_size', {}, 7);
  metrics.observe('podpass_admission_duration_seconds', 0.003);
  metrics.onExpose(() => metrics.set('podpass_api_server_connected', {}, 1));
  const { text } = await ask('/metrics');
  for (const line of [
    'podpass_admission_requests_total{result="denied"} 1',
    'podpass_service_account_cache_size 7',
    'podpass_api_server_connected 1',
    'podpass_admission_duration_seconds_bucket{le="0.0025"} 0',
    'podpass_admission_duration_seconds_bucket{le="0.005"} 1',
  ]) {
    expect(text).toContain(`${line}\n`);
  }
});

test('HEAD is as GET, without the body', async () => {
  for (const path of ['/healthz', '/readyz', '/metrics', '/nowhere']) {
    const [head, get] = [await ask(path, 'HEAD'), await ask(path)];
    expect([head.status, head.text]).toEqual([get.status, '']);
    expect(head.headers.get('content-type')).toBe(get.headers.get('content-type'));
  }
});

test('answers are not stored', async () => {
  for (const path of ['/healthz', '/readyz', '/metrics', '/nowhere'])
    expect((await ask(path)).headers.get('cache-control')).toBe('no-store');
});

test('other methods are 405 with Allow, other paths 404', async () => {
  for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS']) {
    const reply = await ask('/metrics', method);
    expect([reply.status, reply.headers.get('allow')]).toEqual([405, 'GET, HEAD']);
  }
  for (const path of ['/', '/metrics/', '/mutate', '/healthz2', '/Metrics']) expect((await ask(path)).status).toBe(404);
});
