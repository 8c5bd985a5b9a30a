import { setTimeout } from 'node:timers/promises';
import { Fault, messageOf } from '../src/fault.ts';
import { lines } from '../src/lines.ts';
import type { Log } from '../src/log.ts';
import type { KubeClient, KubeErrorCode } from '../src/runtime/kube-client.ts';

/** A ServiceAccount as far as it matters here: of its annotations only those under the prefixes asked for. */
export interface ServiceAccount {
  readonly namespace: string;
  readonly name: string;
  readonly annotations: Readonly<Record<string, string>>;
}

export type ServiceAccountLookup =
  | { readonly found: true; readonly serviceAccount: ServiceAccount; readonly source: 'cache' | 'live' }
  | { readonly found: false; readonly source: 'live' };

export interface ServiceAccountSource {
  /** Rejects with ServiceAccountUnavailable when nobody could tell in time. */
  get(namespace: string, name: string): Promise<ServiceAccountLookup>;
}

/** Neither the cache nor the API server could tell: HTTP 503, so that the webhook's failurePolicy decides. */
export class ServiceAccountUnavailable extends Fault {
  constructor(namespace: string, name: string, cause: unknown) {
    super('unavailable', `ServiceAccount ${namespace}/${name} cannot be read at the moment`, { cause });
    this.name = 'ServiceAccountUnavailable';
  }
}

export interface ServiceAccountMetrics {
  lookups(source: 'cache' | 'live' | 'not_found' | 'error'): void;
  size(entries: number): void;
  connected(is: boolean): void;
}

export interface Clock {
  /** Milliseconds; only differences count. */
  now(): number;
  /** Ends early, or rejects, when the signal aborts. */
  sleep(ms: number, signal: AbortSignal): Promise<unknown>;
}

/** Time that no one can set back, as the system has it. */
export const systemClock: Clock = {
  now: () => performance.now(),
  sleep: (ms, signal) => setTimeout(ms, undefined, { signal }),
};

export interface ServiceAccountCache extends ServiceAccountSource {
  /** Begins to follow the API server, for ever, whatever fails. */
  start(): void;
  stop(): Promise<void>;
  /** All ServiceAccounts were read at least once. */
  readonly hasSynced: boolean;
  readonly size: number;
  /** A watch is open, so that the cache is as new as can be known. */
  readonly connected: boolean;
  /** Since the API server last sent anything for the cache, a bookmark included; undefined before the first time. */
  readonly stalenessMs: number | undefined;
}

const PATH = '/api/v1/serviceaccounts';
// The page size of client-go's pager: https://pkg.go.dev/k8s.io/client-go/tools/pager
const PAGE_SIZE = 500;
const PAGE_TIMEOUT_MS = 30_000;
// One object is at most 1.5 MiB in etcd, and JSON may write a byte of it as six: 9 MiB, with room for the rest.
const MAX_BYTES = 16 * 1024 * 1024;
// A ServiceAccount with more than this under our prefixes is read live each time rather than held in memory.
const MAX_CACHED = 16 * 1024;
const CONNECT_TIMEOUT_MS = 10_000;
// Bookmarks come about once a minute (https://kubernetes.io/docs/reference/using-api/api-concepts/#watch-bookmarks;
// the period is defaultBookmarkFrequency in k8s.io/apiserver's storage/cacher), so this is two of them missed.
const SILENCE_MS = 150_000;
// client-go's reflector also ends its watches after 5 to 10 minutes, so that load spreads over API servers.
const [WATCH_MIN_S, WATCH_SPREAD_S] = [300, 300];
// From 100 ms up to 2 s: a restarted API server has us back within 5 s, and one that stays away gets little load.
const [FIRST_RETRY_MS, LAST_RETRY_MS] = [100, 2_000];
const MAX_LIVE_READS = 64;
// An entry that just changed may be about to change again: create, annotate, create a Pod, faster than a watch event.
const SETTLE_MS = 1_000;
// While live reads fail, an entry at hand is used at once for this long, instead of after a time limit each.
const GIVE_UP_MS = 1_000;

type Annotations = ServiceAccount['annotations'];
const NONE: Annotations = Object.freeze({});
const NOT_FOUND: ServiceAccountLookup = { found: false, source: 'live' };

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
  let entries = new Map<string, Annotations>();
  let hasSynced = false;
  let connected = false;
  let heardAt: number | undefined;
  let following: { stop: AbortController; ended: Promise<void> } | undefined;
  const changedAt = new Map<string, number>();

  // The feed: list, watch from where the list was, and again.

  async function follow(signal: AbortSignal): Promise<void> {
    let version: string | undefined;
    let failures = 0;
    let told = '';
    while (!signal.aborted) {
      const attempt: Attempt = { version, openedAt: undefined, heard: false };
      let failure: unknown;
      try {
        attempt.version ??= await list(signal);
        await watch(attempt, attempt.version, signal);
      } catch (error) {
        failure = error;
      }
      setConnected(false);
      if (signal.aborted) return;
      const resumed = version !== undefined;
      version = mustList(failure, attempt) ? undefined : attempt.version;

      // A server that takes watches only to end them at once counts as failing, so that nothing here can spin.
      const useful = attempt.heard || (attempt.openedAt !== undefined && clock.now() - attempt.openedAt >= 1_000);
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

  /** Reads everything, page by page, into a new map that takes the old one's place only when it is complete. */
  async function list(signal: AbortSignal): Promise<string> {
    const next = new Map<string, Annotations>();
    let limit = PAGE_SIZE;
    let version: string | undefined;
    let token = '';
    for (;;) {
      const query = new URLSearchParams({ limit: String(limit), ...(token === '' ? {} : { continue: token }) });
      const page = await readPage(`${PATH}?${query}`, signal);
      if (page === 'too-large' && limit === 1) throw new Error('a ServiceAccount is too large to be read');
      if (page === 'too-large') {
        limit = Math.ceil(limit / 8);
        continue;
      }
      for (const { metadata } of page.items ?? []) put(next, metadata);
      // The first page fixes the version of the whole list, and so where the watch has to begin.
      version ??= page.metadata.resourceVersion;
      token = page.metadata.continue ?? '';
      heardAt = clock.now();
      if (token === '') break;
    }
    entries = next;
    hasSynced = true;
    metrics.size(entries.size);
    log.info({ size: entries.size }, 'ServiceAccounts listed');
    return version;
  }

  async function readPage(path: string, signal: AbortSignal): Promise<ServiceAccountList | 'too-large'> {
    try {
      const answer = await client.get(path, { timeoutMs: PAGE_TIMEOUT_MS, maxBytes: MAX_BYTES, signal });
      // The rest of a list is kept for about 5 minutes; begin again after that:
      // https://kubernetes.io/docs/reference/using-api/api-concepts/#retrieving-large-results-sets-in-chunks
      if (answer.status !== 200) throw new Error(`listing ServiceAccounts was answered with HTTP ${answer.status}`);
      return parse<ServiceAccountList>(answer.body);
    } catch (error) {
      if (codeOf(error) === 'too-large') return 'too-large';
      throw error;
    }
  }

  async function watch(attempt: Attempt, from: string, signal: AbortSignal): Promise<void> {
    const timeoutSeconds = WATCH_MIN_S + Math.floor(random() * WATCH_SPREAD_S);
    const query = `watch=true&allowWatchBookmarks=true&timeoutSeconds=${timeoutSeconds}&resourceVersion=${encodeURIComponent(from)}`;
    const limits = { signal, connectTimeoutMs: CONNECT_TIMEOUT_MS, silenceTimeoutMs: SILENCE_MS };
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
    const version = object?.metadata?.resourceVersion;
    if (typeof version !== 'string' || version === '') throw new OutOfStep('an event had no resourceVersion');
    if (type === 'ADDED' || type === 'MODIFIED') noteChange(put(entries, object?.metadata));
    if (type === 'DELETED') entries.delete(keyOf(object?.metadata?.namespace, object?.metadata?.name));
    metrics.size(entries.size);
    return version;
  }

  /** Keeps what the rules can ask for: a large cluster's ServiceAccounts are mostly ones without our annotations. */
  function put(into: Map<string, Annotations>, metadata: Metadata | undefined): string {
    const key = keyOf(metadata?.namespace, metadata?.name);
    const annotations = pick(metadata?.annotations);
    if (annotations !== NONE && JSON.stringify(annotations).length > MAX_CACHED) into.delete(key);
    else into.set(key, annotations);
    return key;
  }

  function pick(annotations: Metadata['annotations']): Annotations {
    let picked: Record<string, string> | undefined;
    for (const key in annotations) {
      if (!annotationPrefixes.some((prefix) => key.startsWith(prefix))) continue;
      picked ??= {};
      picked[key] = String(annotations[key]);
    }
    return picked === undefined ? NONE : Object.freeze(picked);
  }

  /** Remembers what changed within the last second, the oldest first. */
  function noteChange(key: string): void {
    const now = clock.now();
    changedAt.delete(key);
    changedAt.set(key, now);
    for (const [old, at] of changedAt) {
      if (now - at < SETTLE_MS) break;
      changedAt.delete(old);
    }
  }

  function setConnected(is: boolean): void {
    if (connected !== is) metrics.connected(is);
    connected = is;
  }

  // Live reads. Their results are not stored: the watch brings them anyway, and an answer that was long on its way
  // could replace a newer event (resourceVersions are only comparable for equality before Kubernetes 1.35).

  const readings = new Map<string, Reading>();
  const queue: (() => void)[] = [];
  let running = 0;
  let failedAt: number | undefined;

  /**
   * Shares reads between callers, but never one that was already under way when the caller came: its answer may be
   * older than the ServiceAccount that the caller's Pod was created right after.
   */
  function readLive(namespace: string, name: string): Promise<ServiceAccount | undefined> {
    const key = keyOf(namespace, name);
    const deadline = clock.now() + lookupTimeoutMs;
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
  }

  async function readOnce(namespace: string, name: string, deadline: number): Promise<ServiceAccount | undefined> {
    // Places are held for the time limit at most and handed on in order, so waiting ends within it as well (within
    // twice as much for a read that waited for another one before).
    if (running >= MAX_LIVE_READS) await new Promise<void>((resolve) => queue.push(resolve));
    else running += 1;
    try {
      const timeoutMs = Math.min(lookupTimeoutMs, deadline - clock.now());
      if (timeoutMs <= 0) throw new Error('too many reads of ServiceAccounts are waiting');
      const found = await readServiceAccount(client, namespace, name, timeoutMs);
      return found && { namespace, name, annotations: pick(found.annotations) };
    } finally {
      const waiting = queue.shift();
      if (waiting === undefined) running -= 1;
      else waiting();
    }
  }

  async function get(namespace: string, name: string): Promise<ServiceAccountLookup> {
    const key = keyOf(namespace, name);
    const known = fromCache(namespace, name);
    if (known !== undefined && (isCurrent(key) || isWithin(GIVE_UP_MS, failedAt))) return counted('cache', known);
    try {
      const serviceAccount = await readLive(namespace, name);
      failedAt = undefined;
      if (serviceAccount === undefined) return counted('not_found', NOT_FOUND);
      return counted('live', { found: true, serviceAccount, source: 'live' });
    } catch (error) {
      failedAt = clock.now();
      const fallback = fromCache(namespace, name);
      if (fallback !== undefined) return counted('cache', fallback);
      metrics.lookups('error');
      log.warn({ namespace, serviceAccount: name, reason: messageOf(error) }, 'ServiceAccount cannot be read');
      throw new ServiceAccountUnavailable(namespace, name, error);
    }
  }

  function fromCache(namespace: string, name: string): ServiceAccountLookup | undefined {
    const annotations = entries.get(keyOf(namespace, name));
    if (annotations === undefined) return undefined;
    return { found: true, serviceAccount: { namespace, name, annotations }, source: 'cache' };
  }

  function counted(source: 'cache' | 'live' | 'not_found', lookup: ServiceAccountLookup): ServiceAccountLookup {
    metrics.lookups(source);
    return lookup;
  }

  function isCurrent(key: string): boolean {
    return connected && !isWithin(SETTLE_MS, changedAt.get(key));
  }

  function isWithin(ms: number, at: number | undefined): boolean {
    return at !== undefined && clock.now() - at < ms;
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
    get,
    get hasSynced() {
      return hasSynced;
    },
    get size() {
      return entries.size;
    },
    get connected() {
      return connected;
    },
    get stalenessMs() {
      return heardAt === undefined ? undefined : clock.now() - heardAt;
    },
  };
}

// DNS labels and subdomains: https://kubernetes.io/docs/concepts/overview/working-with-objects/names/
const NAMESPACE = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;
const NAME = /^(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;

/** One read of a ServiceAccount with all its annotations; undefined when there is none. */
export async function readServiceAccount(
  client: Pick<KubeClient, 'get'>,
  namespace: string,
  name: string,
  timeoutMs: number,
): Promise<ServiceAccount | undefined> {
  // A mutating webhook sees names that nobody has validated yet; no ServiceAccount can have such a one.
  if (!NAMESPACE.test(namespace) || !NAME.test(name)) return undefined;
  const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${name}`;
  const { status, body } = await client.get(path, { timeoutMs, maxBytes: MAX_BYTES });
  if (status !== 200 && status !== 404) throw new Error(`reading a ServiceAccount was answered with HTTP ${status}`);
  const { kind, reason, metadata } = parse<KubeObject>(body);
  // Something between us and the API server may answer 404 as well, but not with this reason.
  if (status === 404 && reason === 'NotFound') return undefined;
  if (kind !== 'ServiceAccount') throw new Error('reading a ServiceAccount was answered with something else');
  return { namespace, name, annotations: metadata?.annotations ?? NONE };
}

interface Metadata {
  readonly namespace?: string;
  readonly name?: string;
  readonly resourceVersion?: string;
  readonly annotations?: Readonly<Record<string, string>> | null;
}

interface KubeObject {
  readonly kind?: string;
  readonly metadata?: Metadata;
  readonly code?: number;
  readonly reason?: string;
}

interface ServiceAccountList {
  readonly metadata: { readonly resourceVersion: string; readonly continue?: string };
  readonly items?: readonly KubeObject[] | null;
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

interface Reading {
  readonly result: Promise<ServiceAccount | undefined>;
  next: Promise<ServiceAccount | undefined> | undefined;
}

/** The server's history does not reach back to where we are, or where we are cannot be told: list again. */
class OutOfStep extends Error {}

function mustList(failure: unknown, { openedAt, heard }: Attempt): boolean {
  if (failure instanceof OutOfStep) return true;
  // A first silence may be the network; a watch that never says a word may wait for a version that never comes, as
  // after etcd was restored from a backup.
  if (codeOf(failure) === 'timeout') return openedAt !== undefined && !heard;
  const status = (failure as { status?: unknown } | undefined)?.status;
  // An API server that starts answers 401, 403 or 5xx for a while, which is no reason to read everything again.
  return typeof status === 'number' && status < 500 && ![401, 403, 429].includes(status);
}

const tooLarge = () => new OutOfStep('an event of the watch was too large');

function codeOf(error: unknown): KubeErrorCode | undefined {
  return error instanceof Error && error.name === 'KubeError'
    ? (error as Error & { code: KubeErrorCode }).code
    : undefined;
}

function keyOf(namespace: string | undefined, name: string | undefined): string {
  return `${namespace}/${name}`;
}

function parse<T extends object>(bytes: Buffer): T {
  try {
    const value: unknown = JSON.parse(bytes.toString());
    if (typeof value === 'object' && value !== null) return value as T;
  } catch {
    // The parser's message quotes its input, so it is not passed on.
  }
  throw new OutOfStep('the API server sent something that is not a JSON object');
}
