import { messageOf } from '../../src/fault.ts';
import type { Log } from '../../src/log.ts';
import { sleep } from '../../src/sleep.ts';
import { createDocuments, type Documents } from '../document.ts';
import type { KeyRecord } from '../key-ring.ts';
import type { ProviderMetadata } from '../provider-metadata.ts';
import type { PublicKey } from '../public-key.ts';
import { publicKeysFromJwkSet } from '../read-keys.ts';
import { type Kept, KeptKeys } from './kept-keys.ts';
import { publishTo } from './publish-to.ts';
import type { Target, TargetKind } from './target.ts';

export type PublishResult = 'written' | 'unchanged' | 'failed';

export interface PublisherOptions {
  readonly targets: readonly Target[];
  /** Asked before the first write, and until it answers. */
  readonly owner: (issuer: string, signal: AbortSignal) => Promise<string>;
  readonly cacheControl: string;
  readonly holdDownMs: number;
  readonly revoked: ReadonlySet<string>;
  /** Epoch milliseconds. */
  readonly clock: () => number;
  readonly log: Log;
  readonly onResult: (target: TargetKind, result: PublishResult) => void;
  /** Other waits than the usual ones, in milliseconds. */
  readonly waits?: Partial<typeof WAITS>;
}

/** The copies of one issuer's documents, kept up to date. */
export interface Publisher {
  /** What to publish from now on, and what is known of keys; returns at once. Without a key what is published stays. */
  publish(documents: Documents | undefined, known?: readonly KeyRecord[]): void;
  /** Begins nothing more; what is under way has `graceMs` to end. */
  stop(graceMs: number): Promise<void>;
}

/** A try that failed at its limit is repeated within a minute of its beginning. */
const WAITS = { firstRetryMs: 1_000, lastRetryMs: 20_000, limitMs: 30_000, recheckMs: 300_000 };

const LEFT_BEHIND_MS = 500;

interface Wanted {
  readonly issuer: string;
  readonly documents: Documents;
  readonly keys: readonly PublicKey[];
  readonly known: readonly KeyRecord[];
}

/** Each target is written by itself: one that fails holds up no other. */
export function createPublisher(options: PublisherOptions): Publisher {
  const waits = { ...WAITS, ...options.waits };
  const { log, clock } = options;
  const ending = new AbortController();
  const giveUp = new AbortController();
  let wanted: Wanted | undefined;
  let changed = new AbortController();
  let owner: string | undefined;
  let loops: Promise<unknown> | undefined;

  async function follow(target: Target): Promise<void> {
    const keptKeys = new KeptKeys(options);
    let retryMs = waits.firstRetryMs;
    while (!ending.signal.aborted && wanted !== undefined) {
      const { signal } = changed;
      let waitMs = waits.recheckMs;
      try {
        const nextExpiry = await write(target, wanted, keptKeys);
        if (nextExpiry !== undefined) waitMs = Math.min(waitMs, Math.max(nextExpiry - clock(), 0) + 1);
        retryMs = waits.firstRetryMs;
      } catch (error) {
        if (giveUp.signal.aborted) return;
        waitMs = retryMs;
        retryMs = Math.min(retryMs * 2, waits.lastRetryMs);
        options.onResult(target.kind, 'failed');
        log.warn({ target: target.name, reason: messageOf(error), retryMs: waitMs }, 'publishing failed');
      }
      await sleep(waitMs, AbortSignal.any([signal, ending.signal]));
    }
  }

  async function write(target: Target, now: Wanted, keptKeys: KeptKeys): Promise<number | undefined> {
    const signal = AbortSignal.any([giveUp.signal, AbortSignal.timeout(waits.limitMs)]);
    owner ??= await options.owner(now.issuer, signal);
    let kept: Kept = { keys: [], news: [], nextExpiry: undefined };
    const decide = (published: readonly PublicKey[] | 'unreadable') => {
      kept = keptKeys.keep(now.keys, published === 'unreadable' ? [] : published, now.known);
      for (const kid of kept.news) log.warn({ target: target.name, kid }, 'published key is in no source, held');
      return kept.keys.length === 0 ? now.documents : createDocuments(now.issuer, [...now.keys, ...kept.keys]);
    };
    const { issuer } = now;
    const files = await publishTo(target, { issuer, owner, cacheControl: options.cacheControl, decide }, signal).catch(
      (error) => {
        throw signal.aborted ? new Error(`nothing within ${waits.limitMs} ms`, { cause: error }) : error;
      },
    );
    keptKeys.published(now.keys, kept.keys);
    options.onResult(target.kind, files.length === 0 ? 'unchanged' : 'written');
    if (files.length > 0) log.info({ target: target.name, issuer, files }, 'published');
    return kept.nextExpiry;
  }

  return {
    publish(documents, known = []) {
      if (documents === undefined) return;
      const { issuer } = JSON.parse(documents.metadata.bytes.toString('utf8')) as ProviderMetadata;
      const { keys } = publicKeysFromJwkSet(documents.jwks.bytes.toString('utf8'), 'documents');
      wanted = { issuer, documents, keys, known };
      changed.abort();
      changed = new AbortController();
      loops ??= Promise.all(options.targets.map(follow));
    },
    async stop(graceMs) {
      ending.abort();
      const done = new AbortController();
      const ended = Promise.resolve(loops).then(() => done.abort());
      const timer = setTimeout(() => giveUp.abort(), graceMs);
      // A file system that does not answer is left behind.
      await Promise.race([ended, sleep(graceMs + LEFT_BEHIND_MS, done.signal)]);
      clearTimeout(timer);
    },
  };
}
