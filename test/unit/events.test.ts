import { beforeEach, expect, test, vi } from 'vitest';
import type { KubeEvent } from '../../src/kube-event.ts';
import { createEventRecorder } from '../../src/runtime/events.ts';

const MINUTE = 60_000;
const event = (more: Partial<KubeEvent> = {}, regarding: Partial<KubeEvent['regarding']> = {}): KubeEvent => ({
  type: 'Warning',
  action: 'Admit',
  reason: 'PodDenied',
  note: 'because',
  regarding: { apiVersion: 'apps/v1', kind: 'ReplicaSet', namespace: 'shop', name: 'web', uid: 'u', ...regarding },
  ...more,
});

let now: number;
let counted: Record<string, number>;
let logged: string[];
let sent: { path: string; json: Record<string, unknown> }[];
let answer: (path: string) => Promise<number>;
let account: number;
beforeEach(() => {
  vi.useFakeTimers({ now: Date.UTC(2026, 0, 2, 3, 4, 5, 678) });
  now = 0;
  counted = {};
  logged = [];
  sent = [];
  answer = async () => 201;
  account = 200;
  return () => vi.useRealTimers();
});

function recorder() {
  const note = (_: object, message: string) => void logged.push(message);
  const response = (status: number, body: unknown) => ({
    status,
    headers: {},
    body: Buffer.from(JSON.stringify(body)),
  });
  return createEventRecorder({
    client: {
      get: async () => response(account, { metadata: { uid: 'account-uid' } }),
      async post(path, json) {
        sent.push({ path, json: json as Record<string, unknown> });
        return response(await answer(path), {});
      },
    },
    reporter: { controller: 'podpass.dev/webhook', instance: 'podpass-webhook-0' },
    clock: { now: () => now },
    count: (result) => {
      counted[result] = (counted[result] ?? 0) + 1;
    },
    log: { debug() {}, info: note, warn: note, error: note },
  });
}

test('an event has what events.k8s.io/v1 asks for', async () => {
  recorder().record(event());
  await vi.advanceTimersByTimeAsync(0);
  expect(sent).toEqual([
    {
      path: '/apis/events.k8s.io/v1/namespaces/shop/events',
      json: {
        apiVersion: 'events.k8s.io/v1',
        kind: 'Event',
        metadata: { generateName: 'podpass-', namespace: 'shop' },
        eventTime: '2026-01-02T03:04:05.678000Z',
        reportingController: 'podpass.dev/webhook',
        reportingInstance: 'podpass-webhook-0',
        type: 'Warning',
        action: 'Admit',
        reason: 'PodDenied',
        note: 'because',
        regarding: { apiVersion: 'apps/v1', kind: 'ReplicaSet', namespace: 'shop', name: 'web', uid: 'u' },
      },
    },
  ]);
  expect(counted).toEqual({ written: 1 });
});

test('one like it is held back for ten minutes, and the next one says how many there were', async () => {
  const events = recorder();
  for (let index = 0; index < 1_000; index++) events.record(event());
  await vi.advanceTimersByTimeAsync(MINUTE);
  expect([sent.length, counted]).toEqual([1, { written: 1, suppressed: 999 }]);
  events.record(event({ note: 'because of something else' }));
  events.record(event({}, { name: 'another', uid: 'v' }));
  await vi.advanceTimersByTimeAsync(MINUTE);
  expect(sent).toHaveLength(3);
  now = 10 * MINUTE;
  await vi.advanceTimersByTimeAsync(8 * MINUTE);
  events.record(event());
  await vi.advanceTimersByTimeAsync(MINUTE);
  expect(sent[3]?.json).toMatchObject({
    eventTime: '2026-01-02T03:04:05.678000Z',
    series: { count: 1_000, lastObservedTime: '2026-01-02T03:14:05.678000Z' },
  });
  now = 20 * MINUTE;
  events.record(event());
  await vi.advanceTimersByTimeAsync(MINUTE);
  expect(sent[4]?.json).not.toHaveProperty('series');
});

test('at most five a second are sent, a hundred wait, and the rest is dropped and counted', async () => {
  const events = recorder();
  for (let index = 0; index < 150; index++) events.record(event({}, { namespace: `n-${index}` }));
  expect(counted).toEqual({ dropped: 49 });
  await vi.advanceTimersByTimeAsync(999);
  expect(sent).toHaveLength(5);
  await vi.advanceTimersByTimeAsync(MINUTE);
  expect([sent.length, counted]).toEqual([101, { dropped: 49, written: 101 }]);
});

test('a namespace has thirty in ten minutes, however they differ', async () => {
  const events = recorder();
  for (let index = 0; index < 40; index++) events.record(event({ note: `${index}` }));
  events.record(event({}, { namespace: 'other' }));
  await vi.advanceTimersByTimeAsync(MINUTE);
  expect([sent.length, counted]).toEqual([31, { dropped: 10, written: 31 }]);
  now = 10 * MINUTE;
  events.record(event({ note: 'later' }));
  await vi.advanceTimersByTimeAsync(MINUTE);
  expect(sent).toHaveLength(32);
});

test('where they may not be written, that is logged once, and nothing is tried there for ten minutes', async () => {
  answer = async (path) => (path.includes('/other/') ? 201 : 403);
  const events = recorder();
  for (let index = 0; index < 20; index++) events.record(event({ note: `${index}` }));
  await vi.advanceTimersByTimeAsync(MINUTE);
  events.record(event({ note: 'one more' }));
  await vi.advanceTimersByTimeAsync(MINUTE);
  expect([sent.length, counted]).toEqual([1, { failed: 1, dropped: 20 }]);
  events.record(event({}, { namespace: 'third' }));
  await vi.advanceTimersByTimeAsync(MINUTE);
  expect(logged).toEqual(['events may not be written here; Pods are admitted as before']);
  events.record(event({}, { namespace: 'other' }));
  await vi.advanceTimersByTimeAsync(MINUTE);
  expect(counted).toMatchObject({ written: 1 });
});

test('another failure is counted, and the next one like it is tried', async () => {
  answer = () => Promise.reject(new Error('away'));
  const events = recorder();
  events.record(event());
  await vi.advanceTimersByTimeAsync(MINUTE);
  answer = async () => 500;
  events.record(event());
  await vi.advanceTimersByTimeAsync(MINUTE);
  answer = async () => 201;
  events.record(event());
  await vi.advanceTimersByTimeAsync(MINUTE);
  expect([sent.length, counted, logged]).toEqual([3, { failed: 2, written: 1 }, []]);
});

test('of a ServiceAccount the uid is read, and where there is none there is no event', async () => {
  const events = recorder();
  const { uid: _, ...regarding } = { ...event().regarding, apiVersion: 'v1', kind: 'ServiceAccount' };
  events.record(event({ regarding }));
  await vi.advanceTimersByTimeAsync(MINUTE);
  expect(sent[0]?.json).toMatchObject({ regarding: { kind: 'ServiceAccount', uid: 'account-uid' } });
  account = 404;
  events.record(event({ regarding: { ...regarding, name: 'gone' } }));
  await vi.advanceTimersByTimeAsync(MINUTE);
  expect([sent.length, counted]).toEqual([1, { written: 1, dropped: 1 }]);
});

test('a note is cut to 1 KiB between two characters', async () => {
  recorder().record(event({ note: 'ä'.repeat(2_000) }));
  await vi.advanceTimersByTimeAsync(0);
  const note = String(sent[0]?.json.note);
  expect(note).toMatch(/^ä+…$/);
  expect(Buffer.byteLength(note)).toBeGreaterThan(1_020);
  expect(Buffer.byteLength(note)).toBeLessThanOrEqual(1_024);
});

test('the end writes what is left without a pause, and takes nothing more', async () => {
  const events = recorder();
  for (let index = 0; index < 50; index++) events.record(event({}, { namespace: `n-${index}` }));
  const stopped = events.stop();
  await vi.advanceTimersByTimeAsync(10);
  await stopped;
  events.record(event({ note: 'late' }));
  expect([sent.length, counted]).toEqual([50, { written: 50, dropped: 1 }]);
});

test('the end waits a second at most', async () => {
  answer = () => new Promise((_, reject) => setTimeout(() => reject(new Error('timeout')), 5_000));
  const events = recorder();
  for (let index = 0; index < 3; index++) events.record(event({}, { namespace: `n-${index}` }));
  let over = false;
  void events.stop().then(() => {
    over = true;
  });
  await vi.advanceTimersByTimeAsync(1_001);
  expect([over, sent.length]).toEqual([true, 1]);
});
