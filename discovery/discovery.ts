import { messageOf } from '../src/fault.ts';
import type { Log } from '../src/log.ts';
import { sleep } from '../src/sleep.ts';
import { createDocuments, type Documents } from './document.ts';
import { createKeyLog } from './key-log.ts';
import { type KeyEvent, type KeyRecord, KeyRing, type KeyRingState } from './key-ring.ts';
import { type KeySource, KeySourceFailure } from './key-source/key-source.ts';
import type { KeyState } from './key-state-store.ts';
import { poll } from './poller.ts';

export interface DiscoveryOptions {
  readonly issuer: string;
  /** With unique names; the later one decides where two give different keys for one kid. */
  readonly sources: readonly KeySource[];
  readonly pollIntervalMs: number;
  readonly holdDownMs: number;
  readonly revoked: Iterable<string>;
  /** Epoch milliseconds. */
  readonly clock: () => number;
  readonly log: Log;
  /** What survives a restart; without it nothing does. */
  readonly keyState?: KeyState | undefined;
  /**
   * Called after the documents changed, with those that are served from now on (`undefined`: no key is left), and with
   * what is known of keys.
   */
  readonly onChange?: (documents: Documents | undefined, known: readonly KeyRecord[]) => void;
}

/** One issuer's documents, kept up to date. */
export interface Discovery {
  /** Starts polling. Resolves when every source has been tried once; never rejects. */
  start(): Promise<void>;
  /** Resolves when nothing is under way any more; the documents stay. */
  stop(): Promise<void>;
  /** Every source has been tried. */
  readonly tried: boolean;
  /** Every source has been tried, and there are documents. */
  readonly ready: boolean;
  /** What to serve now; nothing before the first good key. */
  documents(): Documents | undefined;
  state(): KeyRingState;
}

/** So long a reading waits for the state of the process before. */
const STATE_TIMEOUT_MS = 5_000;
/** And so long the end waits for it to be written: the whole shutdown has 30 s. */
const STATE_STOP_MS = 1_000;
/** A write that failed is repeated, at the latest a minute after it began. */
const STATE_RETRY_MS = 20_000;
/** That nothing changed is worth writing only now and then. */
const STATE_REFRESH_MS = 600_000;
/** The longest time a timer takes. */
const MAX_TIMER_MS = 2 ** 31 - 1;

export function createDiscovery(options: DiscoveryOptions): Discovery {
  const { issuer, sources, clock, log } = options;
  const ring = new KeyRing({ ...options, sources: sources.map(({ name }) => name) });
  const keyLog = createKeyLog(log);
  const stopping = new AbortController();
  const untried = new Set(sources);
  let documents: Documents | undefined;
  let expiry: NodeJS.Timeout | undefined;
  let started: Promise<void> | undefined;
  let polling: Promise<unknown> = Promise.resolve();
  let saved = { mark: '', ms: 0 };
  let saving: Promise<unknown> = Promise.resolve();
  let saveAgain: NodeJS.Timeout | undefined;

  async function restore(from: KeyState): Promise<void> {
    const late = new AbortController();
    const records = await Promise.race([from.load(), sleep(STATE_TIMEOUT_MS, late.signal).then(() => undefined)]);
    late.abort();
    if (records === undefined) log.warn({}, 'the key state does not come, going on without it');
    const published = ring.restore(records ?? []);
    if (published > 0) log.info({ keys: published }, 'keys restored from the key state');
    changed([]);
  }

  /** Writes what is worth it: a key that came or went, and from time to time that all are still seen. */
  function save(atLeast = STATE_REFRESH_MS): void {
    const records = ring.records();
    const mark = JSON.stringify(records.map((each) => ({ ...each, lastSeenMs: 0 })));
    // A clock that was set back must not keep a write that failed from being repeated.
    const isOld = Math.abs(clock() - saved.ms) >= atLeast;
    if (options.keyState === undefined || (mark === saved.mark && !isOld)) return;
    saved = { mark, ms: clock() };
    clearTimeout(saveAgain);
    saving = options.keyState.save(records).then((done) => {
      if (done || stopping.signal.aborted) return;
      clearTimeout(saveAgain);
      saveAgain = setTimeout(() => save(0), STATE_RETRY_MS);
    });
  }

  function changed(events: readonly KeyEvent[]): void {
    keyLog.events(events);
    const keys = ring.keys();
    const next = keys.length === 0 ? undefined : createDocuments(issuer, keys);
    if (next?.jwks.etag !== documents?.jwks.etag) {
      documents = next;
      if (next === undefined) log.error({ issuer }, 'no key is left to publish');
      notify(next);
    }
    clearTimeout(expiry);
    const at = ring.nextExpiry();
    if (at === undefined || stopping.signal.aborted) return;
    expiry = setTimeout(() => changed(ring.expire()), Math.min(Math.max(at - clock(), 0) + 1, MAX_TIMER_MS));
  }

  function notify(next: Documents | undefined): void {
    try {
      options.onChange?.(next, ring.records());
    } catch (error) {
      log.error({ issuer, reason: messageOf(error) }, 'the listener for changed documents failed');
    }
  }

  function run(source: KeySource, tried: () => void): Promise<void> {
    const { name } = source;
    return poll({
      source,
      intervalMs: options.pollIntervalMs,
      signal: stopping.signal,
      onReading(reading) {
        keyLog.succeeded(name);
        keyLog.refused(name, reading.refused);
        changed(ring.succeeded(name, reading));
        save();
        tried();
      },
      onFailure(error) {
        const partial = error instanceof KeySourceFailure ? error.partial : undefined;
        keyLog.failed(name, error);
        if (partial !== undefined) keyLog.refused(name, partial.refused);
        changed(ring.failed(name, partial));
        save();
        tried();
      },
    });
  }

  function begin(tried: () => void): void {
    const loops = sources.map((source) =>
      run(source, () => {
        untried.delete(source);
        if (untried.size === 0) tried();
      }),
    );
    // After `stop` nobody has to wait for sources that were never tried.
    polling = Promise.all(loops).then(tried);
  }

  return {
    start() {
      started ??= new Promise((resolve) => {
        if (options.keyState === undefined) return begin(resolve);
        polling = restore(options.keyState).then(() => {
          if (stopping.signal.aborted) resolve();
          else begin(resolve);
        });
      });
      return started;
    },
    async stop() {
      stopping.abort();
      clearTimeout(expiry);
      clearTimeout(saveAgain);
      await polling;
      // What started meanwhile.
      await polling;
      // Once more where the last one is older than now.
      save(1);
      const late = new AbortController();
      await Promise.race([saving, sleep(STATE_STOP_MS, late.signal)]);
      late.abort();
    },
    get tried() {
      return untried.size === 0;
    },
    get ready() {
      return untried.size === 0 && documents !== undefined;
    },
    documents: () => documents,
    state: () => ring.state(),
  };
}
