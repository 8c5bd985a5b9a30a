import { expect, test } from 'vitest';
import { createDocuments } from '../../discovery/document.ts';
import { createPublisher, type PublisherOptions } from '../../discovery/publish/publisher.ts';
import { silentLog } from '../../src/log.ts';
import { ec, published, rsa } from './key-material.ts';
import { MemoryTarget } from './memory-target.ts';

const issuer = 'https://issuer.example.com';
const a = published(rsa(), 'a');
const b = published(ec(), 'b');
const both = createDocuments(issuer, [a, b]);
const one = createDocuments(issuer, [a]);

function start(targets: MemoryTarget[], more: Partial<PublisherOptions> = {}) {
  const results: string[] = [];
  const publisher = createPublisher({
    targets,
    owner: async () => 'cluster-1',
    cacheControl: 'max-age=300',
    holdDownMs: 900_000,
    revoked: new Set(),
    clock: Date.now,
    log: silentLog,
    onResult: (_, result) => void results.push(result),
    waits: { firstRetryMs: 10, lastRetryMs: 20, recheckMs: 60_000, limitMs: 1_000 },
    ...more,
  });
  return { publisher, results };
}

test('every change is published, at each target by itself', async () => {
  const [good, bad] = [new MemoryTarget('s3://good'), new MemoryTarget('s3://bad')];
  const warnings: object[] = [];
  bad.before = () => {
    throw new Error('away');
  };
  const log = { ...silentLog, warn: (fields: object, message: string) => void warnings.push({ ...fields, message }) };
  const { publisher, results } = start([good, bad], { log });
  publisher.publish(one);
  await expect.poll(() => good.kids()).toEqual(['a']);
  publisher.publish(both);
  await expect.poll(() => good.kids()).toEqual(['a', 'b']);
  expect(bad.files.size).toBe(0);
  expect(warnings[0]).toEqual({ target: 's3://bad', reason: 'away', retryMs: 10, message: 'publishing failed' });
  bad.before = () => {};
  await expect.poll(() => bad.kids()).toEqual(['a', 'b']);
  expect(results.filter((result) => result === 'written').length).toBeGreaterThanOrEqual(3);
  expect(results).toContain('failed');
  // The last key is gone: what is published stays.
  publisher.publish(undefined);
  await publisher.stop(100);
  expect(good.kids()).toEqual(['a', 'b']);
});

test('what was changed by others is put right at the next look, and counted', async () => {
  const target = new MemoryTarget();
  const { publisher, results } = start([target], { waits: { recheckMs: 20 } });
  publisher.publish(one);
  await expect.poll(() => results.slice(0, 2)).toEqual(['written', 'unchanged']);
  target.files.delete('keys.json');
  await expect.poll(() => target.files.has('keys.json')).toBe(true);
  await publisher.stop(100);
});

test('a key that only the target has is kept for the hold-down, a revoked one is not', async () => {
  const target = new MemoryTarget();
  const first = start([target]);
  first.publisher.publish(both);
  await expect.poll(() => target.kids()).toEqual(['a', 'b']);
  await first.publisher.stop(100);

  let now = 0;
  const { publisher } = start([target], { holdDownMs: 300, clock: () => now });
  publisher.publish(one);
  const looked = target.calls.length;
  await expect.poll(() => target.calls.length).toBeGreaterThanOrEqual(looked + 5);
  expect(target.kids()).toEqual(['a', 'b']);
  now = 300;
  await expect.poll(() => target.kids()).toEqual(['a']);
  await publisher.stop(100);

  const third = start([target]);
  third.publisher.publish(both);
  await expect.poll(() => target.kids()).toEqual(['a', 'b']);
  await third.publisher.stop(100);
  const fourth = start([target], { revoked: new Set(['b']) });
  fourth.publisher.publish(one);
  await expect.poll(() => target.kids()).toEqual(['a']);
  await fourth.publisher.stop(100);
});

test('a key whose hold-down was over before the start goes at once, as the state knows it', async () => {
  const target = new MemoryTarget();
  const first = start([target]);
  first.publisher.publish(both);
  await expect.poll(() => target.kids()).toEqual(['a', 'b']);
  await first.publisher.stop(100);

  const record = { source: 'cluster', firstSeenMs: 0, lastSeenMs: 1_000 };
  const known = [
    { ...record, key: a },
    { ...record, key: b, heldUntilMs: 2_000 },
  ];
  const { publisher } = start([target], { holdDownMs: 1_000, clock: () => 2_001 });
  publisher.publish(one, known);
  await expect.poll(() => target.kids()).toEqual(['a']);
  await publisher.stop(100);
});

test('an owner that is not told yet is asked again', async () => {
  const target = new MemoryTarget();
  let asked = 0;
  const owner = async () => {
    asked += 1;
    if (asked < 3) throw new Error('HTTP 403');
    return 'cluster-1';
  };
  const { publisher } = start([target], { owner });
  publisher.publish(one);
  await expect.poll(() => target.kids()).toEqual(['a']);
  expect(asked).toBe(3);
  await publisher.stop(100);
});

test('the end waits for a write under way, for a bounded time', async () => {
  const target = new MemoryTarget();
  const { publisher } = start([target]);
  target.before = () => new Promise((resolve) => setTimeout(resolve, 10));
  publisher.publish(one);
  await publisher.stop(5_000);
  expect(target.files.size).toBe(5);

  const hanging = start([target]);
  target.before = () => new Promise(() => {});
  hanging.publisher.publish(both);
  const began = performance.now();
  await hanging.publisher.stop(100);
  expect(performance.now() - began).toBeLessThan(2_000);
  expect(target.kids()).toEqual(['a']);
});
