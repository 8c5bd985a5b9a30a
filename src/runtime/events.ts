import { messageOf } from '../fault.ts';
import type { KubeEvent } from '../kube-event.ts';
import type { Log } from '../log.ts';
import { sleep } from '../sleep.ts';
import type { KubeClient } from './kube-client.ts';

export interface EventRecorderOptions {
  readonly client: Pick<KubeClient, 'get' | 'post'>;
  /** Who writes: a qualified name for the kind of program, and a name for this one of it. */
  readonly reporter: { readonly controller: string; readonly instance: string };
  readonly clock: { /** Milliseconds; only differences count. */ now(): number };
  readonly count: (result: 'written' | 'suppressed' | 'dropped' | 'failed') => void;
  readonly log: Log;
}

export interface EventRecorder {
  /** Takes note of an event, and writes it later. Never waits and never throws. */
  record(event: KubeEvent): void;
  /** Writes what is still there, for a second at most. */
  stop(): Promise<void>;
}

const MAX_QUEUE = 100;
/** An event like one of the last ten minutes is only counted; the next one after them says how many there were. */
const PERIOD_MS = 10 * 60_000;
/** In each namespace and period: a Pod's author also writes what an event says, and may write something else each time. */
const MAX_IN_NAMESPACE = 30;
/** What is remembered of events and namespaces; the oldest are forgotten first. */
const MAX_REMEMBERED = 1_000;
/** One request at a time, so that API server and network have at most five of them a second. */
const GAP_MS = 200;
const TIMEOUT_MS = 5_000;
const LAST_MS = 1_000;
// kubernetes/pkg/apis/core/validation/events.go: NoteLengthLimit, ReportingInstanceLengthLimit.
const MAX_NOTE_BYTES = 1024;
const MAX_INSTANCE = 128;
/** An event of 1 KiB, or a ServiceAccount; larger ones are not needed. */
const MAX_BYTES = 16 * 1024 * 1024;

interface Seen {
  readonly at: number;
  /** In Unix milliseconds. */
  readonly since: number;
  repeated: number;
}

/** What a namespace has had in its period. */
interface Share {
  readonly at: number;
  events: number;
  /** The API server takes none from us. */
  refused: boolean;
}

interface Waiting {
  readonly key: string;
  readonly event: KubeEvent;
  readonly share: Share;
  /** Unix milliseconds. */
  readonly first: number;
  readonly repeated: number;
}

/**
 * Writes events of `events.k8s.io/v1` beside the work of the service: they are a report, and nobody waits for them. It
 * needs the right to create events and no other, so repeated ones are held back rather than counted up in the old one.
 */
export function createEventRecorder(options: EventRecorderOptions): EventRecorder {
  const { client, clock, count, log } = options;
  const queue: Waiting[] = [];
  const seen = new Map<string, Seen>();
  const namespaces = new Map<string, Share>();
  const hurry = new AbortController();
  const end = new AbortController();
  let writing: Promise<void> | undefined;
  let refusalTold = false;

  function record(wanted: KubeEvent): void {
    const event = { ...wanted, note: cut(wanted.note, MAX_NOTE_BYTES) };
    const key = JSON.stringify([event.regarding, event.reason, event.note]);
    const before = seen.get(key);
    if (before !== undefined && clock.now() - before.at < PERIOD_MS) {
      before.repeated += 1;
      count('suppressed');
      return;
    }
    const share = shareOf(event.regarding.namespace);
    const over = share.refused || share.events >= MAX_IN_NAMESPACE || queue.length >= MAX_QUEUE;
    if (over || hurry.signal.aborted) {
      count('dropped');
      return;
    }
    share.events += 1;
    const { since: first, repeated } =
      before !== undefined && before.repeated > 0 ? before : { since: Date.now(), repeated: 0 };
    remember(seen, key, { at: clock.now(), since: Date.now(), repeated: 0 });
    queue.push({ key, event, share, first, repeated });
    begin();
  }

  function begin(): void {
    writing ??= write().finally(() => {
      writing = undefined;
      // What came between the last look at the queue and this moment.
      if (queue.length > 0) begin();
    });
  }

  function shareOf(namespace: string): Share {
    const now = clock.now();
    let share = namespaces.get(namespace);
    if (share === undefined || now - share.at >= PERIOD_MS) {
      share = { at: now, events: 0, refused: false };
      remember(namespaces, namespace, share);
    }
    return share;
  }

  async function write(): Promise<void> {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      if (end.signal.aborted || next.share.refused) {
        count('dropped');
        continue;
      }
      try {
        count(await writeOne(next));
      } catch (error) {
        count('failed');
        // So that the next one like it is tried.
        seen.delete(next.key);
        log.debug({ reason: messageOf(error) }, 'an event could not be written');
      }
      if (!hurry.signal.aborted) await sleep(GAP_MS, hurry.signal);
    }
  }

  async function writeOne({ event, share, first, repeated }: Waiting): Promise<'written' | 'dropped' | 'failed'> {
    const { namespace } = event.regarding;
    const uid = event.regarding.uid ?? (await uidOf(event.regarding));
    if (uid === undefined) return 'dropped';
    const path = `/apis/events.k8s.io/v1/namespaces/${encodeURIComponent(namespace)}/events`;
    const { status } = await client.post(
      path,
      eventObject({ ...event.regarding, uid }, event, first, repeated),
      limits(),
    );
    if (status === 201) {
      refusalTold = false;
      return 'written';
    }
    if (status === 403) {
      // No right to, a quota, a namespace that is going away: for this namespace none of it passes soon.
      share.refused = true;
      if (!refusalTold) {
        log.warn({ namespace, status }, 'events may not be written here; Pods are admitted as before');
      }
      refusalTold = true;
      return 'failed';
    }
    throw new Error(`writing an event was answered with HTTP ${status}`);
  }

  /** Of a ServiceAccount; events of others name theirs. */
  async function uidOf({ namespace, name }: KubeEvent['regarding']): Promise<string | undefined> {
    const path = `/api/v1/namespaces/${encodeURIComponent(namespace)}/serviceaccounts/${encodeURIComponent(name)}`;
    const { status, body } = await client.get(path, limits());
    if (status === 404) return undefined;
    if (status !== 200) throw new Error(`reading a ServiceAccount was answered with HTTP ${status}`);
    try {
      return (JSON.parse(body.toString()) as { metadata?: { uid?: string } }).metadata?.uid;
    } catch {
      // The parser's message quotes its input.
      throw new Error('a ServiceAccount was answered with something that is not JSON');
    }
  }

  const limits = () => ({ timeoutMs: TIMEOUT_MS, maxBytes: MAX_BYTES, signal: end.signal });

  function eventObject(regarding: object, event: KubeEvent, first: number, repeated: number): object {
    const { controller, instance } = options.reporter;
    return {
      apiVersion: 'events.k8s.io/v1',
      kind: 'Event',
      metadata: { generateName: 'podpass-', namespace: event.regarding.namespace },
      eventTime: microTime(first),
      ...(repeated === 0 ? {} : { series: { count: repeated + 1, lastObservedTime: microTime(Date.now()) } }),
      reportingController: controller,
      reportingInstance: instance.slice(0, MAX_INSTANCE) || 'unknown',
      type: event.type,
      action: event.action,
      reason: event.reason,
      note: event.note,
      regarding,
    };
  }

  return {
    record,
    async stop() {
      hurry.abort();
      await Promise.race([writing, sleep(LAST_MS, end.signal)]);
      end.abort();
    },
  };
}

function remember<T>(into: Map<string, T>, key: string, value: T): void {
  into.delete(key);
  into.set(key, value);
  const [oldest] = into.keys();
  if (into.size > MAX_REMEMBERED && oldest !== undefined) into.delete(oldest);
}

/** RFC 3339 with six digits, as Kubernetes' MicroTime wants it. */
function microTime(ms: number): string {
  return new Date(ms).toISOString().replace('Z', '000Z');
}

/** At most so many bytes of UTF-8, without half a character at the end. */
function cut(text: string, bytes: number): string {
  const all = Buffer.from(text);
  if (all.length <= bytes) return text;
  const ellipsis = '…';
  let end = bytes - Buffer.byteLength(ellipsis);
  while (((all[end] ?? 0) & 0xc0) === 0x80) end -= 1;
  return all.toString('utf8', 0, end) + ellipsis;
}
