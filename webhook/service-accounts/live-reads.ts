import type { KubeClient } from '../../src/runtime/kube-client.ts';
import { pick, type ServiceAccount, type Wanted } from './account.ts';
import { readServiceAccount } from './read.ts';

const MAX_LIVE_READS = 64;

/** Reads one ServiceAccount; undefined when there is none. Rejects when the API server does not tell in time. */
export type ReadLive = (namespace: string, name: string) => Promise<ServiceAccount | undefined>;

interface Reading {
  readonly result: Promise<ServiceAccount | undefined>;
  next: Promise<ServiceAccount | undefined> | undefined;
}

/**
 * Live reads, each within a time limit and only so many at once. Their results are not stored: the watch brings them
 * anyway, and an answer that was long on its way could replace a newer event (resourceVersions are only comparable for
 * equality before Kubernetes 1.35).
 */
export function createLiveReads(dependencies: {
  readonly client: Pick<KubeClient, 'get'>;
  readonly wanted: Wanted;
  readonly timeoutMs: number;
  readonly now: () => number;
}): ReadLive {
  const { client, wanted, timeoutMs: limitMs, now } = dependencies;
  const readings = new Map<string, Reading>();
  const queue: (() => void)[] = [];
  let running = 0;

  async function readOnce(namespace: string, name: string, deadline: number): Promise<ServiceAccount | undefined> {
    // Places are held for the time limit at most and handed on in order, so waiting ends within it as well (within
    // twice as much for a read that waited for another one before).
    if (running >= MAX_LIVE_READS) await new Promise<void>((resolve) => queue.push(resolve));
    else running += 1;
    try {
      const timeoutMs = Math.min(limitMs, deadline - now());
      if (timeoutMs <= 0) throw new Error('too many reads of ServiceAccounts are waiting');
      const found = await readServiceAccount(client, namespace, name, timeoutMs);
      return found && { namespace, name, annotations: pick(found.annotations, wanted) };
    } finally {
      const waiting = queue.shift();
      if (waiting === undefined) running -= 1;
      else waiting();
    }
  }

  // Reads are shared between callers, but never one that was already under way when the caller came: its answer may be
  // older than the ServiceAccount that the caller's Pod was created right after.
  return (namespace, name) => {
    const key = `${namespace}/${name}`;
    const deadline = now() + limitMs;
    const begin = () => {
      const reading: Reading = { result: readOnce(namespace, name, deadline), next: undefined };
      const forget = () => {
        if (readings.get(key) === reading) readings.delete(key);
      };
      readings.set(key, reading);
      reading.result.then(forget, forget);
      return reading.result;
    };
    const current = readings.get(key);
    if (current === undefined) return begin();
    current.next ??= current.result.then(begin, begin);
    return current.next;
  };
}
