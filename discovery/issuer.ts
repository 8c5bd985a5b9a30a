import { messageOf } from '../src/fault.ts';
import { withFields } from '../src/log.ts';
import { sleep } from '../src/sleep.ts';
import { createDiscovery, type Discovery, type DiscoveryOptions } from './discovery.ts';
import type { Documents } from './document.ts';
import type { KeyRingState } from './key-ring.ts';
import type { KeyStateStore } from './key-state-store.ts';

export interface IssuerOptions extends Omit<DiscoveryOptions, 'issuer' | 'keyState'> {
  readonly keyStates?: KeyStateStore | undefined;
  /** The issuer, or how to ask for it; that is tried until it answers. */
  readonly issuer: string | ((signal: AbortSignal) => Promise<string>);
  /** Called when the issuer is known, before its keys are read. What it throws keeps the issuer from being served. */
  readonly onKnown: (issuer: string) => void;
}

/** An issuer whose name may have to be asked for first. */
export interface Issuer {
  /** Asks for the issuer where it is not named, and begins to read its keys. */
  start(): void;
  /** Resolves when nothing is under way any more. */
  stop(): Promise<void>;
  readonly issuer: string | undefined;
  /** Its name is still asked for. */
  readonly pending: boolean;
  /** Every source has been tried; of an issuer that is not known, the one that would tell it. */
  readonly tried: boolean;
  /** Why it has no documents; absent where it has. */
  readonly missing: string | undefined;
  documents(): Documents | undefined;
  /** Absent before the issuer is known. */
  state(): KeyRingState | undefined;
}

const FIRST_RETRY_MS = 500;
const LAST_RETRY_MS = 10_000;

export function createIssuer(options: IssuerOptions): Issuer {
  const { issuer, log } = options;
  const stopping = new AbortController();
  let known: string | undefined;
  let asked = false;
  let refused: string | undefined;
  let discovery: Discovery | undefined;
  let finding: Promise<void> = Promise.resolve();

  function serve(name: string): void {
    if (stopping.signal.aborted) return;
    try {
      options.onKnown(name);
    } catch (error) {
      refused = messageOf(error);
      log.error({ issuer: name, reason: refused }, 'the issuer cannot be served');
      return;
    }
    known = name;
    discovery = createDiscovery({
      ...options,
      issuer: name,
      log: withFields(log, { issuer: name }),
      keyState: options.keyStates?.of(name),
    });
    void discovery.start();
    log.info({ issuer: name, sources: options.sources.map((source) => source.name) }, 'reading keys');
  }

  async function find(ask: (signal: AbortSignal) => Promise<string>): Promise<void> {
    const { signal } = stopping;
    for (let retryMs = FIRST_RETRY_MS; !signal.aborted; retryMs = Math.min(retryMs * 2, LAST_RETRY_MS)) {
      try {
        return serve(await ask(signal));
      } catch (error) {
        if (signal.aborted) return;
        log.warn({ reason: messageOf(error), retryMs }, 'the issuer could not be read from the cluster');
        asked = true;
        await sleep(retryMs, signal);
      }
    }
  }

  return {
    start() {
      if (typeof issuer === 'string') serve(issuer);
      else finding = find(issuer);
    },
    async stop() {
      stopping.abort();
      await finding;
      await discovery?.stop();
    },
    get issuer() {
      return known;
    },
    get pending() {
      return known === undefined && refused === undefined;
    },
    get tried() {
      return discovery?.tried ?? (asked || refused !== undefined);
    },
    get missing() {
      if (discovery === undefined) return refused ?? 'the issuer is not known yet';
      if (discovery.ready) return undefined;
      return 'a key source has not been tried yet, or none has given a key';
    },
    documents: () => discovery?.documents(),
    state: () => discovery?.state(),
  };
}
