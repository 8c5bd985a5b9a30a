import { messageOf } from '../src/fault.ts';
import type { Log } from '../src/log.ts';
import type { KeyEvent, KeyEventKind } from './key-ring.ts';
import type { RefusedKey } from './public-key.ts';

const SAID: Readonly<Record<KeyEventKind, { readonly level: 'info' | 'warn'; readonly message: string }>> = {
  published: { level: 'info', message: 'key published' },
  held: { level: 'info', message: 'key vanished from its source, held' },
  dropped: { level: 'info', message: 'key dropped after its hold-down' },
  replaced: { level: 'warn', message: 'key replaced by another one with its kid' },
  overruled: { level: 'warn', message: 'key ignored, a later source has another one with its kid' },
  revoked: { level: 'warn', message: 'key is revoked and not published' },
};

export interface KeyLog {
  events(events: readonly KeyEvent[]): void;
  /** Names each refused key once, not at every reading. */
  refused(source: string, refused: readonly RefusedKey[]): void;
  failed(source: string, error: unknown): void;
  succeeded(source: string): void;
}

/** What happens to keys and sources, as log lines. Key IDs and places, never keys. */
export function createKeyLog(log: Log): KeyLog {
  const named = new Map<string, ReadonlySet<string>>();
  const failing = new Set<string>();
  return {
    events(events) {
      for (const { kind, kid, source } of events) log[SAID[kind].level]({ kid, source }, SAID[kind].message);
    },
    refused(source, refused) {
      const before = named.get(source);
      const now = new Set<string>();
      for (const { source: place, position, kid, reason, message } of refused) {
        const mark = JSON.stringify([place, position, kid, reason]);
        now.add(mark);
        if (!before?.has(mark)) log.warn({ source, place, position, kid, reason, detail: message }, 'key refused');
      }
      named.set(source, now);
    },
    failed(source, error) {
      failing.add(source);
      log.warn({ source, reason: messageOf(error) }, 'key source failed, its last keys stay');
    },
    succeeded(source) {
      if (failing.delete(source)) log.info({ source }, 'key source answers again');
    },
  };
}
