import type { KeyRecord } from './key-ring.ts';

/** The times that decide, in milliseconds, each by the setting that gives it. */
export interface RotationTimes {
  readonly pollIntervalMs: number;
  readonly cacheMaxAgeMs: number;
  readonly verifierCacheMs: number;
  readonly tokenLifetimeMs: number;
}

export interface KeyReportInput extends RotationTimes {
  readonly records: readonly KeyRecord[];
  /** The kids of which a state tells when they were seen first; of others nobody knows. */
  readonly remembered: ReadonlySet<string>;
  readonly revoked: ReadonlySet<string>;
  /** The key that signs; without it the one that was seen first last. */
  readonly signingKid?: string | undefined;
  /** When the last API server began to sign with it, in epoch milliseconds. */
  readonly rotatedAtMs?: number | undefined;
  readonly nowMs: number;
}

/** Whether something may be done now. `unknown` where a time is missing that would decide it. */
export interface Advice {
  readonly safe: boolean | 'unknown';
  /** Epoch milliseconds from which on it is safe. */
  readonly atMs?: number;
  readonly why: string;
}

export interface KeyReport {
  readonly kid: string;
  readonly alg: string;
  readonly source: string;
  readonly firstSeenMs?: number;
  readonly lastSeenMs: number;
  readonly state: 'published' | 'held' | 'dropped' | 'revoked';
  readonly why: string;
  /** When it goes, or went. */
  readonly untilMs?: number;
  readonly sign: Advice;
  readonly remove: Advice;
}

/** Clocks differ: what verifiers commonly allow for. */
const SKEW_MS = 300_000;

/**
 * Every key, newest first. A key may sign when every verifier can have it: the last replica reads it one poll interval
 * after the first, caches on the way have the set before for its max-age, verifiers for as long as they do. A key may go
 * when the last token that it signed has expired.
 */
export function keyReport(input: KeyReportInput): KeyReport[] {
  const records = [...input.records].sort((a, b) => b.firstSeenMs - a.firstSeenMs || (a.key.kid < b.key.kid ? -1 : 1));
  const signing = signingKid(records, input);
  return records.map((record) => {
    const { key, source, firstSeenMs, lastSeenMs, heldUntilMs } = record;
    return {
      kid: key.kid,
      alg: key.alg,
      source,
      ...(input.remembered.has(key.kid) ? { firstSeenMs } : {}),
      lastSeenMs,
      ...stateOf(record, input),
      ...(heldUntilMs === undefined ? {} : { untilMs: heldUntilMs }),
      sign: signAdvice(record, input),
      remove: removeAdvice(record, signing, records, input),
    };
  });
}

function stateOf(
  { key, heldUntilMs }: KeyRecord,
  { revoked, nowMs }: KeyReportInput,
): Pick<KeyReport, 'state' | 'why'> {
  if (revoked.has(key.kid)) return { state: 'revoked', why: 'it is revoked' };
  if (heldUntilMs === undefined) return { state: 'published', why: 'its source has it' };
  if (heldUntilMs > nowMs) return { state: 'held', why: 'it vanished from its source and stays for the hold-down' };
  return { state: 'dropped', why: 'it vanished from its source, and the hold-down is over' };
}

function signAdvice(record: KeyRecord, input: KeyReportInput): Advice {
  const { state } = stateOf(record, input);
  if (state !== 'published') return { safe: false, why: `it is ${state}` };
  if (!input.remembered.has(record.key.kid)) {
    return { safe: 'unknown', why: 'no state tells since when it is published' };
  }
  const { pollIntervalMs, cacheMaxAgeMs, verifierCacheMs, nowMs } = input;
  const atMs = record.firstSeenMs + pollIntervalMs + cacheMaxAgeMs + verifierCacheMs;
  const why = 'first seen + poll interval + cache max-age + verifier cache';
  return { safe: atMs <= nowMs, atMs, why };
}

function removeAdvice(
  record: KeyRecord,
  signing: string | undefined,
  all: readonly KeyRecord[],
  input: KeyReportInput,
): Advice {
  const { state } = stateOf(record, input);
  if (state === 'dropped' || state === 'revoked') return { safe: true, why: `it is ${state}` };
  if (signing === undefined)
    return { safe: 'unknown', why: 'which key signs is not known: name it with --signing-kid' };
  if (record.key.kid === signing) return { safe: false, why: 'it signs' };
  const successor = all.find(({ key }) => key.kid === signing);
  if (successor === undefined || stateOf(successor, input).state !== 'published') {
    return { safe: false, why: 'the key that signs is not published' };
  }
  const { rotatedAtMs, tokenLifetimeMs, nowMs } = input;
  if (rotatedAtMs === undefined) {
    const why = 'when it signed last is not known: tell with --rotated-at when the last API server took the other key';
    return { safe: 'unknown', why };
  }
  const atMs = rotatedAtMs + tokenLifetimeMs + SKEW_MS;
  return { safe: atMs <= nowMs, atMs, why: 'rotated at + token lifetime + 5 min for clocks' };
}

/** The newest key that was there when the API servers took another one; nothing where that does not tell. */
function signingKid(newestFirst: readonly KeyRecord[], input: KeyReportInput): string | undefined {
  if (input.signingKid !== undefined) return input.signingKid;
  const published = newestFirst.filter((record) => stateOf(record, input).state === 'published');
  if (published.length === 1) return published[0]?.key.kid;
  // Without a time of rotation the newest one may still wait for its turn.
  if (input.rotatedAtMs === undefined || published.some(({ key }) => !input.remembered.has(key.kid))) return undefined;
  const { rotatedAtMs } = input;
  const [first, second] = published.filter(({ firstSeenMs }) => firstSeenMs <= rotatedAtMs);
  return first === undefined || first.firstSeenMs === second?.firstSeenMs ? undefined : first.key.kid;
}
