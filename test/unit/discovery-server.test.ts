import { describe, expect, test } from 'vitest';
import type { KeySource } from '../../discovery/key-source/key-source.ts';
import { type DiscoveredIssuer, startDiscovery } from '../../discovery/server.ts';
import { silentLog } from '../../src/log.ts';
import { createMetrics } from '../../src/runtime/metrics.ts';
import { sleep } from '../../src/sleep.ts';
import { ec, published, rsa } from './key-material.ts';

const TIMES = { pollIntervalMs: 20, holdDownMs: 0, revoked: [], cacheMaxAgeSeconds: 300 };

function service(issuer: string | ((signal: AbortSignal) => Promise<string>), source: KeySource) {
  return serve({ issuer, sources: [source] });
}

function serve(...issuers: Pick<DiscoveredIssuer, 'issuer' | 'sources' | 'cluster'>[]) {
  return startDiscovery({
    issuers: issuers.map((each) => ({ ...each, ...TIMES })),
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

test('a cluster whose tokens are from another issuer is listed and counted, and does not count for readiness', async () => {
  const cluster = { server: 'https://10.0.0.1:6443', issuer: async () => 'https://issuer.example.com/a/' };
  const source = { name: 'cluster', read: async () => ({ keys: [published(ec())], refused: [] }) };
  const started = await serve({ issuer: 'https://issuer.example.com/a', sources: [source], cluster });
  const verbose = async () => (await fetch(`http://127.0.0.1:${started.metricsPort}/readyz?verbose`)).text();
  await expect
    .poll(verbose)
    .toContain(
      '[-]tokens of https://10.0.0.1:6443 failed, only a warning: its tokens are from "https://issuer.example.com/a/", ' +
        'and the keys are served for "https://issuer.example.com/a": they differ in the slash at the end\nreadyz check passed\n',
    );
  const { status } = await fetch(`http://127.0.0.1:${started.metricsPort}/readyz`);
  const metrics = await (await fetch(`http://127.0.0.1:${started.metricsPort}/metrics`)).text();
  expect([status, metrics]).toEqual([200, expect.stringContaining('podpass_cluster_issuer_mismatch 1\n')]);
  await started.stop(100);
});

describe('several issuers', () => {
  test('of one cluster: one of them is enough, and one that is not known yet is waited for', async () => {
    const cluster = { server: 'https://10.0.0.1:6443', issuer: async () => 'https://a.example/new' };
    const source = () => ({ name: 'cluster', read: async () => ({ keys: [published(ec())], refused: [] }) });
    let tell: (issuer: string) => void = () => {};
    const asked = new Promise<string>((resolve) => {
      tell = resolve;
    });
    const started = await serve(
      { issuer: 'https://a.example/old', sources: [source()], cluster },
      { issuer: () => asked, sources: [source()], cluster },
    );
    const get = async (path: string) => (await fetch(`http://127.0.0.1:${started.metricsPort}${path}`)).text();
    await expect.poll(() => get('/readyz?verbose')).toContain('[+]documents of https://a.example/old ok');
    await sleep(100);
    expect(await get('/readyz?verbose')).not.toContain('tokens of');
    tell('https://a.example/new');
    await expect.poll(() => get('/readyz?verbose')).toContain('[+]tokens of https://10.0.0.1:6443 ok\n');
    expect(await get('/metrics')).toContain('podpass_cluster_issuer_mismatch 0\n');
    await started.stop(100);
  });

  const KEY = published(ec());
  const good = (kid: string): KeySource => ({
    name: 'files',
    read: async () => ({ keys: [{ ...KEY, kid }], refused: [] }),
  });
  const away: KeySource = { name: 'cluster', read: () => Promise.reject(new Error('away')) };
  const NOT_KNOWN = () => Promise.reject(new Error('away'));
  const status = async (port: number, path: string) =>
    (await fetch(`http://127.0.0.1:${port}${path}/openid/v1/jwks`)).status;

  test('one that fails answers 503 by itself, is listed, and keeps neither the others nor readiness waiting', async () => {
    const started = await serve(
      { issuer: 'https://a.example/a', sources: [good('a')] },
      { issuer: 'https://a.example/b', sources: [away] },
      { issuer: NOT_KNOWN, sources: [away] },
    );
    await expect.poll(async () => (await fetch(`http://127.0.0.1:${started.metricsPort}/readyz`)).status).toBe(200);
    expect(await status(started.port, '/a')).toBe(200);
    expect(await status(started.port, '/b')).toBe(503);
    // It may be the path of the one that is not known.
    expect(await status(started.port, '/c')).toBe(503);
    const verbose = await (await fetch(`http://127.0.0.1:${started.metricsPort}/readyz?verbose`)).text();
    expect(verbose).toBe(
      [
        '[+]ping ok',
        '[+]shutdown ok',
        '[+]issuers[0] ok',
        '[+]documents of https://a.example/a ok',
        '[+]issuers[1] ok',
        '[-]documents of https://a.example/b failed, the others serve: a key source has not been tried yet, or none has given a key',
        '[-]issuers[2] failed, the others serve: the issuer is not known yet',
        'readyz check passed',
        '',
      ].join('\n'),
    );
    const metrics = await (await fetch(`http://127.0.0.1:${started.metricsPort}/metrics`)).text();
    expect(metrics).toContain('podpass_keys{state="published"} 1\n');
    expect(metrics).toContain('podpass_key_source_last_success_timestamp_seconds 0\n');
    await started.stop(100);
  });

  test('not ready while a source has not been tried, or while none has documents', async () => {
    const never: KeySource = { name: 'cluster', read: () => new Promise(() => undefined) };
    const waiting = await serve(
      { issuer: 'https://a.example/a', sources: [good('a')] },
      { issuer: 'https://a.example/b', sources: [never] },
    );
    await expect.poll(() => status(waiting.port, '/a')).toBe(200);
    const failing = await serve(
      { issuer: 'https://a.example/a', sources: [away] },
      { issuer: NOT_KNOWN, sources: [away] },
    );
    await sleep(100);
    for (const { metricsPort } of [waiting, failing]) {
      expect((await fetch(`http://127.0.0.1:${metricsPort}/readyz`)).status).toBe(503);
    }
    await Promise.all([waiting.stop(100), failing.stop(100)]);
  });

  test('keys are added up, and the oldest success is told', async () => {
    let now = 1_000_000;
    const started = await startDiscovery({
      issuers: [
        { issuer: 'https://a.example/a', sources: [good('a')], ...TIMES, pollIntervalMs: 3_600_000 },
        { issuer: 'https://a.example/b', sources: [good('b')], ...TIMES, pollIntervalMs: 20 },
      ],
      clock: () => now,
      address: '127.0.0.1',
      port: 0,
      metricsPort: 0,
      metrics: createMetrics('discovery'),
      log: silentLog,
    });
    await expect.poll(async () => (await fetch(`http://127.0.0.1:${started.metricsPort}/readyz`)).status).toBe(200);
    now = 2_000_000;
    await sleep(100);
    const metrics = await (await fetch(`http://127.0.0.1:${started.metricsPort}/metrics`)).text();
    for (const line of [
      'podpass_keys{state="published"} 2',
      'podpass_key_source_last_success_timestamp_seconds 1000',
      'podpass_key_source_poll_interval_seconds 3600',
    ])
      expect(metrics).toContain(`${line}\n`);
    await started.stop(100);
  });

  test('one that turns out to have the place of another is not served', async () => {
    const started = await serve(
      { issuer: 'https://a.example/a', sources: [good('a')] },
      { issuer: async () => 'https://a.example/a/', sources: [good('b')] },
    );
    const verbose = async () => (await fetch(`http://127.0.0.1:${started.metricsPort}/readyz?verbose`)).text();
    await expect
      .poll(verbose)
      .toContain(
        '[-]issuers[1] failed, the others serve: it has the host and path of https://a.example/a\nreadyz check passed',
      );
    const { keys } = (await (await fetch(`http://127.0.0.1:${started.port}/a/openid/v1/jwks`)).json()) as {
      keys: { kid: string }[];
    };
    expect(keys.map(({ kid }) => kid)).toEqual(['a']);
    expect(await status(started.port, '/c')).toBe(404);
    await started.stop(100);
  });
});
