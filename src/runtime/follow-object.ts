import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf } from '../fault.ts';
import { lines } from '../lines.ts';
import type { Log } from '../log.ts';
import { watchLife } from '../watch-life.ts';
import type { KubeClient } from './kube-client.ts';

export interface Follower {
  /** Begins to follow, for ever, whatever fails. */
  start(): void;
  stop(): Promise<void>;
  /** Reads the object now. Rejects where the API server does not answer as it should. */
  refresh(): Promise<void>;
}

export interface FollowOptions {
  readonly client: Pick<KubeClient, 'get' | 'stream'>;
  /** The path of the collection: `/api/v1/namespaces/podpass/secrets`. */
  readonly collection: string;
  readonly name: string;
  /** Called with the object each time it was read or has changed, and with undefined where there is none. */
  readonly seen: (object: object | undefined) => void;
  readonly log: Log;
  readonly random: () => number;
}

const TIMEOUT_MS = 5_000;
const [FIRST_RETRY_MS, LAST_RETRY_MS] = [100, 2_000];
// An object is at most 1.5 MiB in etcd, and JSON may write a byte of it as six.
const MAX_BYTES = 16 * 1024 * 1024;

/**
 * Follows one object by its name, with list and watch: these two tell that it is absent, too, and RBAC narrows both to
 * the name where the request selects it.
 */
export function followObject({ client, collection, name, seen, log, random }: FollowOptions): Follower {
  const selector = `fieldSelector=${encodeURIComponent(`metadata.name=${name}`)}`;
  const stopping = new AbortController();
  const { signal } = stopping;
  let following: Promise<void> | undefined;
  let newest: bigint | undefined;

  async function follow(): Promise<void> {
    let failures = 0;
    let told = '';
    while (!signal.aborted) {
      const began = performance.now();
      try {
        await watch(await list());
        [failures, told] = [0, ''];
        // A server that takes watches only to end them at once gets no more than one a second.
        if (performance.now() - began < 1_000) await pause(1_000);
      } catch (error) {
        if (signal.aborted) return;
        if (performance.now() - began >= 1_000) failures = 0;
        failures += 1;
        const retryInMs = Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** (failures - 1)) * (0.5 + random() / 2);
        const reason = messageOf(error);
        log[reason === told ? 'debug' : 'warn']({ name, reason, failures }, 'object not followed; trying again');
        told = reason;
        await pause(retryInMs);
      }
    }
  }

  async function list(): Promise<string> {
    const answer = await client.get(`${collection}?${selector}`, {
      timeoutMs: TIMEOUT_MS,
      maxBytes: MAX_BYTES,
      signal,
    });
    if (answer.status !== 200) throw new Error(`listing ${collection} was answered with HTTP ${answer.status}`);
    const { metadata, items } = parse<ObjectList>(answer.body);
    take(items?.find((item) => item.metadata?.name === name));
    return String(metadata?.resourceVersion ?? '');
  }

  async function watch(version: string): Promise<void> {
    const { timeoutSeconds, ...life } = watchLife(random);
    const query = `watch=true&${selector}&timeoutSeconds=${timeoutSeconds}&resourceVersion=${encodeURIComponent(version)}`;
    const limits = { signal, connectTimeoutMs: TIMEOUT_MS, ...life };
    const { body } = await client.stream(`${collection}?${query}`, limits);
    for await (const line of lines(body, MAX_BYTES, () => new Error('an event of the watch was too large'))) {
      const { type, object } = parse<WatchEvent>(line);
      if (type === 'ERROR') throw new Error(`the watch was ended with ${object?.code} ${object?.reason}`);
      if (object?.metadata?.name !== name || isOlder(object)) continue;
      take(type === 'DELETED' ? undefined : object);
    }
  }

  function take(object: KubeObject | undefined): void {
    newest = versionOf(object);
    seen(object);
  }

  /** An event may come after a read that was newer. */
  function isOlder(object: KubeObject): boolean {
    const version = versionOf(object);
    return version !== undefined && newest !== undefined && version < newest;
  }

  async function pause(ms: number): Promise<void> {
    await sleep(ms, undefined, { signal }).catch(() => undefined);
  }

  return {
    start() {
      following ??= follow();
    },
    async stop() {
      stopping.abort();
      await following;
    },
    async refresh() {
      const answer = await client.get(`${collection}/${name}`, { timeoutMs: TIMEOUT_MS, maxBytes: MAX_BYTES, signal });
      const object = parse<KubeObject>(answer.body);
      // Something between us and the API server may answer 404 as well, but not with this reason.
      if (answer.status === 404 && object.reason === 'NotFound') return take(undefined);
      if (answer.status !== 200)
        throw new Error(`reading ${collection}/${name} was answered with HTTP ${answer.status}`);
      take(object);
    },
  };
}

interface KubeObject {
  readonly metadata?: { readonly name?: string; readonly resourceVersion?: string };
  readonly code?: number;
  readonly reason?: string;
}

interface ObjectList {
  readonly metadata?: { readonly resourceVersion?: string };
  readonly items?: readonly KubeObject[] | null;
}

interface WatchEvent {
  readonly type?: string;
  readonly object?: KubeObject;
}

/** Versions are numbers in fact, and by promise since Kubernetes 1.35; where one is not, nothing is compared. */
function versionOf(object: KubeObject | undefined): bigint | undefined {
  const version = object?.metadata?.resourceVersion;
  return version !== undefined && /^\d+$/.test(version) ? BigInt(version) : undefined;
}

function parse<T extends object>(bytes: Buffer): T {
  try {
    const value: unknown = JSON.parse(bytes.toString());
    if (typeof value === 'object' && value !== null) return value as T;
  } catch {
    // The parser's message quotes its input, which may be a Secret.
  }
  throw new Error('the API server sent something that is not a JSON object');
}
