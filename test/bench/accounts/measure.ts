/** All figures of one size. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { ControlPlane } from '../../cluster/control-plane.ts';
import { admissions } from './admissions.ts';
import { MeasuredWebhook } from './measured-webhook.ts';

export interface Plan {
  /** How often it is started; the last one is measured further. */
  readonly starts: number;
  /** How many reviews it then answers. */
  readonly requests: number;
  readonly nodeFlags: readonly string[];
}

/** Until what a start or a relist leaves behind has been collected, as far as it is by itself. */
const SETTLE_MS = 5_000;

const mib = (bytes: number) => Number((bytes / 1024 / 1024).toFixed(1));
const ms = (value: number) => Number(value.toFixed(1));
const median = (numbers: readonly number[]) => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? 0;

export async function measure(
  controlPlane: ControlPlane,
  size: number,
  { starts, requests, nodeFlags }: Plan,
): Promise<Record<string, number>> {
  const readyMs: number[] = [];
  for (let i = 1; i < starts; i++) {
    const webhook = await MeasuredWebhook.start(controlPlane, nodeFlags);
    readyMs.push(webhook.readyMs);
    await webhook.stop();
  }
  const webhook = await MeasuredWebhook.start(controlPlane, nodeFlags);
  readyMs.push(webhook.readyMs);
  const started = await webhook.look();
  const startPeak = webhook.peakRss;
  await sleep(SETTLE_MS);
  const steady = await webhook.look();

  await webhook.startOver();
  let relisting = true;
  const meanwhile = admissions(webhook, size, { parallel: 8, pauseMs: 40, goOn: () => relisting });
  const relistMs = await webhook.relist();
  relisting = false;
  const answered = await meanwhile;
  const relisted = await webhook.look();
  const relistPeak = webhook.peakRss;
  await sleep(SETTLE_MS);
  const afterRelist = await webhook.look();

  // The first of them fill pools and compile code; what comes after must not grow.
  const load = (count: number) => admissions(webhook, size, { parallel: 8, pauseMs: 0, goOn: (sent) => sent < count });
  await load(requests / 5);
  const before = await webhook.collect();
  await webhook.startOver();
  const loaded = await load(requests);
  const underLoad = await webhook.look();
  const loadPeak = webhook.peakRss;
  const after = await webhook.collect();
  await webhook.stop();
  return {
    ServiceAccounts: size,
    'start to ready, ms (median)': ms(median(readyMs)),
    'start to ready, ms (highest)': ms(Math.max(...readyMs)),
    'start: CPU time of the process, ms': ms(started.cpuMs),
    'start: loop delay p99, ms': ms(started.p99),
    'start: loop delay max, ms': ms(started.max),
    'start: RSS peak, MiB': mib(startPeak),
    'RSS 5 s later, MiB': mib(steady.rss),
    'relist, ms': ms(relistMs),
    'relist: loop delay p99, ms': ms(relisted.p99),
    'relist: loop delay max, ms': ms(relisted.max),
    'relist: RSS peak, MiB': mib(relistPeak),
    'relist: RSS 5 s later, MiB': mib(afterRelist.rss),
    'relist: admissions meanwhile': answered.sent,
    'relist: of them failed': answered.failed,
    'relist: admission p99, ms': ms(answered.p99),
    requests: loaded.sent,
    'requests: failed': loaded.failed,
    'requests: loop delay p99, ms': ms(underLoad.p99),
    'requests: loop delay max, ms': ms(underLoad.max),
    'requests: RSS peak, MiB': mib(loadPeak),
    'requests: RSS before, collected, MiB': mib(before.rss),
    'requests: RSS after, collected, MiB': mib(after.rss),
    'requests: heap before, collected, MiB': mib(before.heapUsed),
    'requests: heap after, collected, MiB': mib(after.heapUsed),
  };
}
