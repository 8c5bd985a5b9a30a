import { Failure } from '../src/fault.ts';
import { jwkKey } from './jwk-key.ts';
import { type KeyRecord, RECORD_MS } from './key-ring.ts';
import { sameMaterial } from './public-key.ts';

/** What is known of the keys of each issuer, by its name. */
export type KeyStates = ReadonlyMap<string, readonly KeyRecord[]>;

const KIND = 'podpass.dev/key-state';
const VERSION = 1;

/** As JSON: public keys and times, and nothing else. */
export function keyStateText(states: KeyStates): string {
  const issuers = Object.fromEntries(
    [...states].map(([issuer, records]) => [issuer, { keys: records.map(written) }] as const),
  );
  return `${JSON.stringify({ kind: KIND, version: VERSION, issuers }, undefined, 2)}\n`;
}

function written({ key, source, firstSeenMs, lastSeenMs, heldUntilMs }: KeyRecord) {
  const time = (ms: number) => new Date(ms).toISOString();
  return {
    source,
    firstSeen: time(firstSeenMs),
    lastSeen: time(lastSeenMs),
    ...(heldUntilMs === undefined ? {} : { heldUntil: time(heldUntilMs) }),
    key,
  };
}

/** True for a text that may be replaced: it is empty, or a key state, a damaged one included. */
export function isKeyState(text: string): boolean {
  return text.trim() === '' || text.slice(0, 200).includes(KIND);
}

/** Throws a Failure where the text is no key state of this version; its message never quotes the text. */
export function parseKeyState(text: string): KeyStates {
  if (text.trim() === '') return new Map();
  const { kind, version, issuers } = objectOf(json(text), 'the key state');
  if (kind !== KIND) throw new Failure('it is no key state of podpass');
  if (version !== VERSION) throw new Failure(`its version is not ${VERSION}`);
  const states = new Map<string, readonly KeyRecord[]>();
  for (const [issuer, state] of Object.entries(objectOf(issuers, '"issuers"'))) {
    const { keys } = objectOf(state, 'an issuer');
    if (!Array.isArray(keys)) throw new Failure('the "keys" of an issuer are not a list');
    states.set(issuer, keys.map(recordOf));
  }
  return states;
}

function recordOf(value: unknown): KeyRecord {
  const { source, firstSeen, lastSeen, heldUntil, key } = objectOf(value, 'a key');
  const judged = jwkKey(key);
  if (!judged.ok) throw new Failure(`a key ${judged.refusal.message}`);
  if (typeof source !== 'string') throw new Failure('a key has no "source"');
  return {
    key: judged.key,
    source,
    firstSeenMs: time(firstSeen),
    lastSeenMs: time(lastSeen),
    ...(heldUntil === undefined ? {} : { heldUntilMs: time(heldUntil) }),
  };
}

function json(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Failure('it is not JSON');
  }
}

function objectOf(value: unknown, what: string): Readonly<Record<string, unknown>> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new Failure(`${what} is not an object`);
}

function time(value: unknown): number {
  const ms = typeof value === 'string' ? Date.parse(value) : Number.NaN;
  if (Number.isNaN(ms)) throw new Failure('a time of a key cannot be read');
  return ms;
}

/**
 * One issuer's records after ours were written into what was there: of a key that both know, first and last seen reach
 * from the earlier to the later, and ours says whether it is held. What only another replica knows stays.
 */
export function mergeRecords(
  there: readonly KeyRecord[],
  ours: readonly KeyRecord[],
  nowMs: number,
): readonly KeyRecord[] {
  const merged = new Map(
    there.filter(({ lastSeenMs }) => lastSeenMs + RECORD_MS >= nowMs).map((record) => [record.key.kid, record]),
  );
  for (const record of ours) {
    const other = merged.get(record.key.kid);
    const same = other !== undefined && sameMaterial(other.key, record.key);
    merged.set(
      record.key.kid,
      same
        ? {
            ...record,
            firstSeenMs: Math.min(record.firstSeenMs, other.firstSeenMs),
            lastSeenMs: Math.max(record.lastSeenMs, other.lastSeenMs),
          }
        : record,
    );
  }
  return [...merged.values()].sort((a, b) => (a.key.kid < b.key.kid ? -1 : 1));
}
