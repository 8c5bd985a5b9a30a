import { expect, test } from 'vitest';
import type { KeySource } from '../../discovery/key-source/key-source.ts';
import { startDiscovery } from '../../discovery/server.ts';
import { silentLog } from '../../src/log.ts';
import { createMetrics } from '../../src/runtime/metrics.ts';
import { sleep } from '../../src/sleep.ts';

function service(issuer: (signal: AbortSignal) => Promise<string>, source: KeySource) {
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
  expect((await fetch(`http://127.0.0.1:${started.metricsPort}/readyz`)).status).toBe(503);
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
