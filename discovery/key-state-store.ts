import { Failure, messageOf } from '../src/fault.ts';
import type { Log } from '../src/log.ts';
import type { KeyRecord } from './key-ring.ts';
import { isKeyState, type KeyStates, keyStateText, mergeRecords, parseKeyState } from './key-state.ts';

/** A place for one text, which others may write as well. */
export interface StatePlace {
  /** As logs name it. */
  readonly name: string;
  /** Nothing where there is none yet. `version` is for `write` alone. Throws where it cannot tell. */
  read(): Promise<{ readonly text: string; readonly version: string } | undefined>;
  /** False where somebody else wrote it since then. Without a version there must be none yet. */
  write(text: string, version: string | undefined): Promise<boolean>;
}

/** What survives a restart of one issuer's keys. Neither rejects: a state that fails is told, and done without. */
export interface KeyState {
  load(): Promise<readonly KeyRecord[]>;
  /** False where it could not be written. */
  save(records: readonly KeyRecord[]): Promise<boolean>;
}

export interface KeyStateStore {
  of(issuer: string): KeyState;
}

const TRIES = 5;

export function createKeyStateStore(place: StatePlace, clock: () => number, log: Log): KeyStateStore {
  let failing = false;
  // One at a time: the issuers of a process share the place.
  let last: Promise<unknown> = Promise.resolve();

  function tell(error: unknown, message: string): void {
    if (!failing) log.warn({ state: place.name, reason: messageOf(error) }, message);
    failing = true;
  }

  function statesIn(text: string): KeyStates {
    try {
      return parseKeyState(text);
    } catch (error) {
      tell(error, 'the key state cannot be used and is ignored');
      return new Map();
    }
  }

  async function load(issuer: string): Promise<readonly KeyRecord[]> {
    try {
      return statesIn((await place.read())?.text ?? '').get(issuer) ?? [];
    } catch (error) {
      tell(error, 'the key state cannot be read');
      return [];
    }
  }

  async function save(issuer: string, records: readonly KeyRecord[]): Promise<boolean> {
    try {
      for (let tries = 0; tries < TRIES; tries++) {
        const there = await place.read();
        if (there !== undefined && !isKeyState(there.text)) {
          throw new Failure('something else is there, which is left as it is');
        }
        const states = new Map(statesIn(there?.text ?? ''));
        states.set(issuer, mergeRecords(states.get(issuer) ?? [], records, clock()));
        if (await place.write(keyStateText(states), there?.version)) {
          failing = false;
          return true;
        }
      }
      throw new Failure(`others wrote it ${TRIES} times meanwhile`);
    } catch (error) {
      tell(error, 'the key state cannot be written');
      return false;
    }
  }

  return {
    of: (issuer) => ({
      load: () => load(issuer),
      save(records) {
        const saved = last.then(() => save(issuer, records));
        last = saved;
        return saved;
      },
    }),
  };
}
