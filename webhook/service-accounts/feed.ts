import { messageOf } from '../../src/fault.ts';
import { lines } from '../../src/lines.ts';
import type { Log } from '../../src/log.ts';
import type { KubeClient } from '../../src/runtime/kube-client.ts';
import { watchLife } from '../../src/watch-life.ts';
import { pick, type Wanted } from './account.ts';
import type { Clock } from './clock.ts';
import { codeOf, type KubeObject, MAX_BYTES, OutOfStep, PATH, parse } from './kube-json.ts';
import { list } from './list.ts';
import { newestVersion } from './newest-version.ts';
import type { Store } from './store.ts';

const CONNECT_TIMEOUT_MS = 10_000;
// After so many watches in a row that were open, said nothing and were not ended, something on the way takes watches and
// passes nothing on: then lists are all that there is.
const MAX_OVERDUE = 3;
// From 100 ms up to 2 s: a restarted API server has us back within 5 s, and one that stays away gets little load.
const [FIRST_RETRY_MS, LAST_RETRY_MS] = [100, 2_000];

/** Keeps a store as the API server is: list, watch from where the list was, and again. */
export interface Feed {
  /** Begins to follow the API server, for ever, whatever fails. */
  start(): void;
  stop(): Promise<void>;
  /** All ServiceAccounts were read at least once. */
  readonly hasSynced: boolean;
  /** A watch is open, so that the store is as new as can be known. */
  readonly connected: boolean;
  /** Since the API server last sent anything, a bookmark included; undefined before the first time. */
  readonly stalenessMs: number | undefined;
}

export function createFeed(dependencies: {
  readonly client: KubeClient;
  readonly store: Store;
  readonly wanted: Wanted;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
  readonly onConnected: (is: boolean) => void;
  /** After a list, and after each event of the watch; `changed` is what that one was about. */
  readonly onUpdate: (changed?: { readonly namespace: string; readonly name: string }) => void;
}): Feed {
  const { client, store, wanted, clock, random, log, onConnected, onUpdate } = dependencies;
  let hasSynced = false;
  let connected = false;
  let heardAt: number | undefined;
  let following: { stop: AbortController; ended: Promise<void> } | undefined;

  async function follow(signal: AbortSignal): Promise<void> {
    let version: string | undefined;
    let failures = 0;
    let told = '';
    // Of the watches in a row that were open and said nothing.
    let [mute, overdue] = [false, 0];
    while (!signal.aborted) {
      const attempt: Attempt = { version, openedAt: undefined, heard: false };
      let failure: unknown;
      try {
        if (mute && attempt.version !== undefined && (await isBehind(attempt.version, signal))) {
          attempt.version = undefined;
        }
        attempt.version ??= await listAll(signal);
        await watch(attempt, attempt.version, signal);
      } catch (error) {
        failure = error;
      }
      setConnected(false);
      if (signal.aborted) return;
      const resumed = version !== undefined;
      // A server that takes watches only to end them at once counts as failing, so that nothing here can spin.
      const lasted = attempt.openedAt !== undefined && clock.now() - attempt.openedAt >= 1_000;
      const useful = attempt.heard || lasted;
      if (useful) mute = !attempt.heard;
      if (attempt.heard || (lasted && failure === undefined)) overdue = 0;
      else if (lasted && codeOf(failure) === 'timeout') overdue += 1;
      version = mustList(failure) || overdue >= MAX_OVERDUE ? undefined : attempt.version;
      if (version === undefined) [mute, overdue] = [false, 0];

      if (useful) told = '';
      // A resumed watch that was refused with 410 is an answer too: the list is not to wait for it.
      if (useful || (resumed && version === undefined)) failures = 0;
      if (useful && failure === undefined) continue;
      failures += 1;
      const retryInMs = Math.round(
        Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** (failures - 1)) * (0.5 + random() / 2),
      );
      const reason = failure === undefined ? 'the watch was ended at once' : messageOf(failure);
      log[reason === told ? 'debug' : 'warn']({ reason, failures, retryInMs }, 'ServiceAccount watch interrupted');
      told = reason;
      await Promise.resolve(clock.sleep(retryInMs, signal)).catch(() => undefined);
    }
  }

  /**
   * The API server never says a word of a version that it has not come to yet. That is so after etcd was restored from a
   * backup, and where nothing has happened at all.
   */
  async function isBehind(version: string, signal: AbortSignal): Promise<boolean> {
    const newest = await newestVersion(client, signal);
    // Versions are numbers in fact, and by promise since Kubernetes 1.35; where one is not, nothing is compared.
    if (![newest, version].every((each) => /^\d+$/.test(each)) || BigInt(newest) >= BigInt(version)) return false;
    log.warn({ version, newest }, 'the API server is behind what it was; listing ServiceAccounts again');
    return true;
  }

  async function listAll(signal: AbortSignal): Promise<string> {
    const heard = () => {
      heardAt = clock.now();
    };
    const version = await list({ client, store, wanted, heard }, signal);
    hasSynced = true;
    onUpdate();
    log.info({ size: store.size }, 'ServiceAccounts listed');
    return version;
  }

  async function watch(attempt: Attempt, from: string, signal: AbortSignal): Promise<void> {
    const { timeoutSeconds, ...life } = watchLife(random);
    const query = `watch=true&allowWatchBookmarks=true&timeoutSeconds=${timeoutSeconds}&resourceVersion=${encodeURIComponent(from)}`;
    const limits = { signal, connectTimeoutMs: CONNECT_TIMEOUT_MS, ...life };
    const { body } = await client.stream(`${PATH}?${query}`, limits);
    attempt.openedAt = heardAt = clock.now();
    setConnected(true);
    for await (const line of lines(body, MAX_BYTES, tooLarge)) {
      attempt.version = apply(parse<WatchEvent>(line));
      attempt.heard = true;
      heardAt = clock.now();
    }
  }

  function apply({ type, object }: WatchEvent): string {
    // A Status, mostly 410 Gone: https://kubernetes.io/docs/reference/using-api/api-concepts/#410-gone-responses
    if (type === 'ERROR') throw new OutOfStep(`the watch was ended with ${object?.code} ${object?.reason}`);
    const { resourceVersion, namespace, name, annotations } = object?.metadata ?? {};
    if (typeof resourceVersion !== 'string' || resourceVersion === '') {
      throw new OutOfStep('an event had no resourceVersion');
    }
    if (namespace && name) {
      if (type === 'ADDED' || type === 'MODIFIED') {
        store.put(namespace, name, pick(annotations, wanted));
        onUpdate({ namespace, name });
      } else if (type === 'DELETED') {
        store.delete(namespace, name);
        onUpdate();
      }
    }
    return resourceVersion;
  }

  function setConnected(is: boolean): void {
    if (connected !== is) onConnected(is);
    connected = is;
  }

  return {
    start() {
      if (following !== undefined) return;
      const stop = new AbortController();
      following = { stop, ended: follow(stop.signal) };
    },
    async stop() {
      following?.stop.abort();
      await following?.ended;
      following = undefined;
    },
    get hasSynced() {
      return hasSynced;
    },
    get connected() {
      return connected;
    },
    get stalenessMs() {
      return heardAt === undefined ? undefined : clock.now() - heardAt;
    },
  };
}

interface WatchEvent {
  readonly type?: string;
  readonly object?: KubeObject;
}

/** One round of list and watch: where it stands, and whether it got anywhere. */
interface Attempt {
  version: string | undefined;
  openedAt: number | undefined;
  heard: boolean;
}

function mustList(failure: unknown): boolean {
  if (failure instanceof OutOfStep) return true;
  const status = (failure as { status?: unknown } | undefined)?.status;
  // An API server that starts answers 401, 403 or 5xx for a while, which is no reason to read everything again.
  return typeof status === 'number' && status < 500 && ![401, 403, 429].includes(status);
}

const tooLarge = () => new OutOfStep('an event of the watch was too large');
