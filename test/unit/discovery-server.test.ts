import { expect, test } from 'vitest';
import type { KeySource } from '../../discovery/key-source/key-source.ts';
import { startDiscovery } from '../../discovery/server.ts';
import { silentLog } from '../../src/log.ts';
import { createMetrics } from '../../src/runtime/metrics.ts';
import { sleep } from '../../src/sleep.ts';
import { published, rsa } from './key-material.ts';

function service(issuer: string | ((signal: AbortSignal) => Promise<string>), source: KeySource) {
  return startDiscovery({
    issuer,
    sources: [source],
    pollIntervalMs: 20,
    holdDownMs: 0,
    revoked: [],
    cacheMaxAgeSeconds: 300,
    clock: Date.now,
    address: '127.0.0.1',
    port: 0,
    metricsPort: 0,
    metrics: createMetrics('discovery'),
    log: silentLog,
  });
}

test('until the issuer is known, every path is 503, and the service is not ready', async () => {
  const source = { name: 'files', read: async () => ({ keys: [], refused: [] }) };
  const started = await service(() => Promise.reject(new Error('away')), source);
  const { status, headers } = await fetch(`http://127.0.0.1:${started.port}/p/.well-known/openid-configuration`);
  expect({ status, retry: headers.get('retry-after'), cors: headers.get('access-control-allow-origin') }).toEqual({
    status: 503,
    retry: '5',
    cors: '*',
  });
  const verbose = await fetch(`http://127.0.0.1:${started.metricsPort}/readyz?verbose`);
  expect([verbose.status, await verbose.text()]).toEqual([
    503,
    '[+]ping ok\n[+]shutdown ok\n[-]issuer failed: the issuer is not known yet\nreadyz check failed\n',
  ]);
  const metrics = await (await fetch(`http://127.0.0.1:${started.metricsPort}/metrics`)).text();
  for (const line of [
    'podpass_keys{state="published"} 0',
    'podpass_key_source_last_success_timestamp_seconds 0',
    'podpass_key_source_poll_interval_seconds 0.02',
  ])
    expect(metrics).toContain(`${line}\n`);
  await started.stop(100);
});

test('/readyz?verbose has a check for the documents of the issuer, and one for being shut down', async () => {
  const keys = { keys: [published(rsa())], refused: [] };
  let read = async () => ({ ...keys, keys: [] as typeof keys.keys });
  const started = await service('https://issuer.example.com/a', { name: 'files', read: () => read() });
  const ask = async () => (await fetch(`http://127.0.0.1:${started.metricsPort}/readyz?verbose`)).text();
  expect(await ask()).toContain('[+]issuer ok\n[-]documents of https://issuer.example.com/a failed: a key source');
  read = async () => keys;
  const ready =
    '[+]ping ok\n[+]shutdown ok\n[+]issuer ok\n[+]documents of https://issuer.example.com/a ok\nreadyz check passed\n';
  await expect.poll(ask).toBe(ready);
  started.drain();
  expect(await ask()).toContain('[-]shutdown failed: shutting down\n[+]issuer ok');
  await started.stop(100);
});

test('an issuer that is told after the end starts nothing', async () => {
  let tell: (issuer: string) => void = () => {};
  let reads = 0;
  const read = async () => {
    reads += 1;
    return { keys: [], refused: [] };
  };
  const asked = new Promise<string>((resolve) => {
    tell = resolve;
  });
  const started = await service(() => asked, { name: 'files', read });
  const stopped = started.stop(100);
  tell('https://issuer.example.com');
  await stopped;
  await sleep(100);
  expect(reads).toBe(0);
});
