import { messageOf } from '../src/fault.ts';
import type { Log } from '../src/log.ts';
import type { KubeClient } from '../src/runtime/kube-client.ts';
import {
  type Annotations,
  type ServiceAccountLookup,
  type ServiceAccountSource,
  ServiceAccountUnavailable,
} from './service-accounts/account.ts';
import type { Clock } from './service-accounts/clock.ts';
import { createFeed, type Feed } from './service-accounts/feed.ts';
import { createLiveReads } from './service-accounts/live-reads.ts';
import { createRecentChanges } from './service-accounts/recent-changes.ts';
import { createStore } from './service-accounts/store.ts';

export {
  type FoundServiceAccount,
  type ServiceAccount,
  type ServiceAccountLookup,
  type ServiceAccountSource,
  ServiceAccountUnavailable,
} from './service-accounts/account.ts';
export { systemClock } from './service-accounts/clock.ts';
export { readServiceAccount } from './service-accounts/read.ts';

export interface ServiceAccountMetrics {
  lookups(source: 'cache' | 'live' | 'not_found' | 'error'): void;
  size(entries: number): void;
  connected(is: boolean): void;
}

export interface ServiceAccountCache extends ServiceAccountSource, Feed {
  readonly size: number;
}

// While live reads fail, an entry at hand is used at once for this long, instead of after a time limit each.
const GIVE_UP_MS = 1_000;

const NOT_FOUND: ServiceAccountLookup = { found: false, source: 'live' };

/** Answers from a store that a feed keeps up to date; where that has no answer or may be behind, one live read does. */
export function createServiceAccountCache(dependencies: {
  readonly client: KubeClient;
  readonly annotationPrefixes: readonly string[];
  readonly lookupTimeoutMs: number;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: ServiceAccountMetrics;
  readonly random?: () => number;
}): ServiceAccountCache {
  const { client, annotationPrefixes, lookupTimeoutMs, clock, log, metrics, random = Math.random } = dependencies;
  const wanted = (key: string) => annotationPrefixes.some((prefix) => key.startsWith(prefix));
  const now = () => clock.now();
  const store = createStore();
  const changes = createRecentChanges(now);
  const readLive = createLiveReads({ client, wanted, timeoutMs: lookupTimeoutMs, now });
  const feed = createFeed({
    ...{ client, store, wanted, clock, random, log },
    onConnected: (is) => metrics.connected(is),
    onUpdate(changed) {
      if (changed !== undefined) changes.note(changed.namespace, changed.name);
      metrics.size(store.size);
    },
  });
  let failedAt: number | undefined;

  async function get(namespace: string, name: string): Promise<ServiceAccountLookup> {
    const known = store.get(namespace, name);
    const isCurrent = feed.connected && !changes.has(namespace, name);
    const givenUp = failedAt !== undefined && now() - failedAt < GIVE_UP_MS;
    if (known !== undefined && (isCurrent || givenUp)) return fromCache(namespace, name, known);
    try {
      const serviceAccount = await readLive(namespace, name);
      failedAt = undefined;
      if (serviceAccount === undefined) {
        metrics.lookups('not_found');
        return NOT_FOUND;
      }
      metrics.lookups('live');
      return { found: true, serviceAccount, source: 'live' };
    } catch (error) {
      failedAt = now();
      const fallback = store.get(namespace, name);
      if (fallback !== undefined) return fromCache(namespace, name, fallback);
      metrics.lookups('error');
      log.warn({ namespace, serviceAccount: name, reason: messageOf(error) }, 'ServiceAccount cannot be read');
      throw new ServiceAccountUnavailable(namespace, name, error);
    }
  }

  function fromCache(namespace: string, name: string, annotations: Annotations): ServiceAccountLookup {
    metrics.lookups('cache');
    return { found: true, serviceAccount: { namespace, name, annotations }, source: 'cache' };
  }

  return {
    start: feed.start,
    stop: feed.stop,
    get,
    get size() {
      return store.size;
    },
    get hasSynced() {
      return feed.hasSynced;
    },
    get connected() {
      return feed.connected;
    },
    get stalenessMs() {
      return feed.stalenessMs;
    },
  };
}
