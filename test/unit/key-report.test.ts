import { describe, expect, test } from 'vitest';
import { type KeyReportInput, keyReport } from '../../discovery/key-report.ts';
import type { KeyRecord } from '../../discovery/key-ring.ts';
import { ec, published } from './key-material.ts';

const KEY = published(ec());
const NOW = Date.parse('2026-03-01T12:00:00Z');
const MIN = 60_000;
const HOUR = 60 * MIN;

const record = (kid: string, ageMs: number, more: Partial<KeyRecord> = {}): KeyRecord => ({
  key: { ...KEY, kid },
  source: 'cluster',
  firstSeenMs: NOW - ageMs,
  lastSeenMs: NOW,
  ...more,
});

function report(records: KeyRecord[], more: Partial<KeyReportInput> = {}) {
  const all = keyReport({
    records,
    remembered: new Set(records.map(({ key }) => key.kid)),
    revoked: new Set(),
    pollIntervalMs: MIN,
    cacheMaxAgeMs: 5 * MIN,
    verifierCacheMs: 3 * HOUR,
    tokenLifetimeMs: 24 * HOUR,
    nowMs: NOW,
    ...more,
  });
  return Object.fromEntries(all.map((each) => [each.kid, each]));
}

describe('a key is', () => {
  test('published while its source has it, held until its time, then dropped; revoked beats all', () => {
    const found = report(
      [
        record('a', HOUR),
        record('b', HOUR, { heldUntilMs: NOW + 1 }),
        record('c', HOUR, { heldUntilMs: NOW }),
        record('d', HOUR),
      ],
      { revoked: new Set(['d']) },
    );
    expect(Object.values(found).map(({ kid, state, untilMs }) => [kid, state, untilMs])).toEqual([
      ['a', 'published', undefined],
      ['b', 'held', NOW + 1],
      ['c', 'dropped', NOW],
      ['d', 'revoked', undefined],
    ]);
  });
});

describe('signing with a key is safe', () => {
  const needed = MIN + 5 * MIN + 3 * HOUR;

  test('one poll interval, one max-age and one verifier cache after it was seen first, and not a moment before', () => {
    expect(report([record('a', needed)]).a?.sign).toMatchObject({ safe: true, atMs: NOW });
    expect(report([record('a', needed - 1)]).a?.sign).toMatchObject({ safe: false, atMs: NOW + 1 });
    for (const [setting, ms] of [
      ['pollIntervalMs', MIN],
      ['cacheMaxAgeMs', 5 * MIN],
      ['verifierCacheMs', 3 * HOUR],
    ] as const) {
      expect(report([record('a', needed - ms)], { [setting]: 0 }).a?.sign.safe).toBe(true);
      expect(report([record('a', needed - ms)]).a?.sign.safe).toBe(false);
    }
  });

  test('never where its source does not have it, and unknown where no state remembers it', () => {
    expect(report([record('a', 99 * HOUR, { heldUntilMs: NOW + HOUR })]).a?.sign).toEqual({
      safe: false,
      why: 'it is held',
    });
    expect(report([record('a', 99 * HOUR)], { remembered: new Set() }).a).toMatchObject({ sign: { safe: 'unknown' } });
    expect(report([record('a', 99 * HOUR)], { remembered: new Set() }).a).not.toHaveProperty('firstSeenMs');
  });
});

describe('removing a key is safe', () => {
  const pair = [record('old', 99 * HOUR), record('new', 50 * HOUR)];
  const after = 24 * HOUR + 5 * MIN;

  test('the longest token lifetime and five minutes after the last API server left it', () => {
    expect(report(pair, { rotatedAtMs: NOW - after }).old?.remove).toMatchObject({ safe: true, atMs: NOW });
    expect(report(pair, { rotatedAtMs: NOW - after + 1 }).old?.remove).toMatchObject({ safe: false, atMs: NOW + 1 });
  });

  test('unknown without the time of the rotation, whatever the ages', () => {
    expect(report(pair).old?.remove.safe).toBe('unknown');
    expect(report(pair, { signingKid: 'new' }).old?.remove.why).toContain('--rotated-at');
  });

  test('never of the key that signs: the newest at the rotation, or the one that is named', () => {
    expect(report(pair, { rotatedAtMs: NOW - after }).new?.remove).toEqual({ safe: false, why: 'it signs' });
    const next = [...pair, record('next', HOUR)];
    expect(report(next, { rotatedAtMs: NOW - after }).new?.remove.why).toBe('it signs');
    const named = report(pair, { rotatedAtMs: NOW - after, signingKid: 'old' });
    expect([named.old?.remove.why, named.new?.remove.safe]).toEqual(['it signs', true]);
    expect(report([record('only', HOUR)]).only?.remove.why).toBe('it signs');
  });

  test('never while the key that signs is not published', () => {
    const held = [record('old', 99 * HOUR), record('new', 50 * HOUR, { heldUntilMs: NOW + 1 })];
    expect(report(held, { rotatedAtMs: NOW - after, signingKid: 'new' }).old?.remove.safe).toBe(false);
    expect(report(pair, { rotatedAtMs: NOW - after, signingKid: 'nobody' }).old?.remove.safe).toBe(false);
  });

  test('unknown where two keys came at once and none is named', () => {
    const twins = [record('a', 50 * HOUR), record('b', 50 * HOUR)];
    expect(report(twins, { rotatedAtMs: NOW - after }).a?.remove.why).toContain('--signing-kid');
  });
});
