import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type Drainable, shutDown } from '../../src/runtime/lifecycle.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const log = { debug() {}, info() {}, warn() {}, error() {} };
/** A service that notes what is done to it and when, in seconds; `busyUntil` is when its requests end. */
function fakeService(busyUntil = 0): Drainable & { done: string[] } {
  const done: string[] = [];
  const began = performance.now();
  const now = () => (performance.now() - began) / 1000;
  return {
    done,
    drain: () => void done.push(`drain at ${now()}`),
    get lastRequest() {
      return began + Math.min(performance.now() - began, busyUntil * 1000);
    },
    async stop(graceMs) {
      done.push(`stop at ${Math.floor(now())}, grace ${graceMs / 1000}`);
    },
  };
}

async function end(
  service: Drainable,
  ...[signal, delay]: [signal: 'SIGTERM' | 'SIGINT', delay: number]
): Promise<number> {
  const began = performance.now();
  const ended = shutDown(service, signal, delay, log).then(() => performance.now() - began);
  await vi.runAllTimersAsync();
  return (await ended) / 1000;
}

test('SIGTERM: drains at once, serves for the delay, and stops after a quiet second', async () => {
  const service = fakeService();
  await end(service, 'SIGTERM', 6);
  expect(service.done).toEqual(['drain at 0', expect.stringMatching(/^stop at 6,/)]);
});

test('serves on while requests come in', async () => {
  const service = fakeService(10);
  await end(service, 'SIGTERM', 6);
  expect(service.done[1]).toMatch(/^stop at 11,/);
});

test('is over within 30 s, whatever comes in and whatever the longest delay', async () => {
  for (const delay of [0, 6, 25]) {
    const service = fakeService(1000);
    const seconds = await end(service, 'SIGTERM', delay);
    const grace = Number(/grace (.*)/.exec(service.done[1] ?? '')?.[1]);
    expect(seconds + grace).toBeLessThan(30);
    expect(grace).toBeGreaterThan(0);
  }
});

test('a clock that is set back in between does not hold it up', async () => {
  const service = fakeService();
  setTimeout(() => vi.setSystemTime(0), 3_000);
  await end(service, 'SIGTERM', 6);
  expect(service.done[1]).toMatch(/^stop at 6,/);
});

test('Ctrl-C does not wait', async () => {
  const service = fakeService(1000);
  expect(await end(service, 'SIGINT', 6)).toBeLessThan(1);
  expect(service.done).toEqual(['drain at 0', expect.stringMatching(/^stop at 0,/)]);
});

const lifecycle = fileURLToPath(new URL('../../src/runtime/lifecycle.ts', import.meta.url));
const program = `
  import { firstSignal } from ${JSON.stringify(lifecycle)};
  const signal = firstSignal();
  setInterval(() => {}, 1000);
  console.log('up');
  console.log(await signal);
  if (process.env.ONCE) process.exit(0);
`;

/** What a program that waits for its first signal prints, and its exit code, when it is sent these. */
async function signalled(signals: readonly NodeJS.Signals[], env: Record<string, string> = {}) {
  vi.useRealTimers();
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', program], {
    env: { ...process.env, ...env },
  });
  const printed = text(child.stdout);
  let seen = 0;
  child.stdout.on('data', () => {
    const signal = signals[seen++];
    if (signal !== undefined) child.kill(signal);
  });
  const code = await new Promise((resolve) => child.on('close', resolve));
  return [code, (await printed).trim().split('\n')];
}

test.each(['SIGTERM', 'SIGINT'] as const)(
  '%s is caught, and handed over',
  async (signal) => {
    expect(await signalled([signal], { ONCE: '1' })).toEqual([0, ['up', signal]]);
  },
  20_000,
);

test('a second signal ends the process at once', async () => {
  expect(await signalled(['SIGTERM', 'SIGTERM'])).toEqual([1, ['up', 'SIGTERM']]);
}, 20_000);
