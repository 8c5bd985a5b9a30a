import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { createDiscovery, type Discovery } from '../../discovery/discovery.ts';
import { type KeyRecord, KeyRing, RECORD_MS } from '../../discovery/key-ring.ts';
import type { KeySource } from '../../discovery/key-source/key-source.ts';
import { keyStateText, mergeRecords, parseKeyState } from '../../discovery/key-state.ts';
import { createKeyStateStore, type KeyState, type StatePlace } from '../../discovery/key-state-store.ts';
import { createStateConfigMap } from '../../src/runtime/state-config-map.ts';
import { createStateFile } from '../../src/runtime/state-file.ts';
import { ec, published, rsa } from './key-material.ts';

const KEY = published(ec());
const OTHER = published(ec());
const ISSUER = 'https://issuer.example.com';
const START = Date.parse('2026-03-01T12:00:00Z');
const MIN = 60_000;
const DAY = 24 * 60 * MIN;

const named = (kid: string) => ({ ...KEY, kid });
const record = (kid: string, more: Partial<KeyRecord> = {}): KeyRecord => ({
  key: named(kid),
  source: 'files',
  firstSeenMs: START - DAY,
  lastSeenMs: START,
  ...more,
});

let warnings: { message: string; reason?: unknown }[];
const log = {
  debug() {},
  info() {},
  warn: (fields: { reason?: unknown }, message: string) => void warnings.push({ message, reason: fields.reason }),
  error() {},
};
let folder: string;
beforeEach(() => {
  warnings = [];
  folder = mkdtempSync(join(tmpdir(), 'podpass-state-'));
});
afterEach(() => {
  vi.useRealTimers();
  rmSync(folder, { recursive: true, force: true });
});
const file = () => join(folder, 'state.json');

describe('as text', () => {
  const states = new Map([
    [ISSUER, [record('a'), { ...record('b'), key: published(rsa(), 'b'), heldUntilMs: START + MIN }]],
    [`${ISSUER}/p`, [record('a')]],
  ]);

  test('it is read as it was written', () => {
    expect(parseKeyState(keyStateText(states))).toEqual(states);
    expect(parseKeyState('')).toEqual(new Map());
  });

  test('what is no state, or of another version, or has a key that may not be published, is refused by its reason', () => {
    const text = keyStateText(states);
    const secret = text.replace('"kty": "EC",', '"kty": "EC", "d": "AAAA",');
    for (const [wrong, reason] of [
      ['{', 'not JSON'],
      ['[]', 'not an object'],
      ['{"kind":"ConfigMap"}', 'no key state'],
      [text.replace('"version": 1', '"version": 2'), 'version'],
      [text.replace(/"firstSeen": "[^"]*"/, '"firstSeen": "x"'), 'a time'],
      [secret, 'the private member "d"'],
    ] as const) {
      expect(wrong).not.toBe(text);
      expect(() => parseKeyState(wrong)).toThrow(reason);
    }
  });

  test('of two replicas, first and last seen reach from one to the other, and what one alone knows stays', () => {
    const there = [
      record('a', { firstSeenMs: START - 3 * DAY, lastSeenMs: START + MIN }),
      record('b'),
      record('old', { lastSeenMs: START - RECORD_MS - 1 }),
      record('c', { key: { ...OTHER, kid: 'c' }, firstSeenMs: START - 9 * DAY }),
    ];
    const merged = mergeRecords(there, [record('a', { heldUntilMs: START + DAY }), record('c')], START);
    expect(merged).toEqual([
      record('a', { firstSeenMs: START - 3 * DAY, lastSeenMs: START + MIN, heldUntilMs: START + DAY }),
      record('b'),
      // Another key with a known kid is a new one.
      record('c'),
    ]);
  });
});

describe('a key ring that is restored', () => {
  function ring(records: KeyRecord[], options: { at?: number; holdDownMs?: number; revoked?: string[] } = {}) {
    const time = { now: options.at ?? START };
    const it = new KeyRing({
      sources: ['files'],
      holdDownMs: options.holdDownMs ?? 15 * MIN,
      revoked: options.revoked ?? [],
      clock: () => time.now,
    });
    it.restore(records);
    const kids = () => it.keys().map(({ kid }) => kid);
    return { it, time, kids };
  }

  test('publishes what was published, until its source has spoken', () => {
    const { it, kids } = ring([record('a'), record('b')]);
    expect(kids()).toEqual(['a', 'b']);
    it.failed('files');
    it.succeeded('files', { keys: [named('a')], refused: [] });
    expect([it.state().keys.published, it.state().keys.held]).toEqual([1, 1]);
    expect(it.records()).toEqual([record('a'), record('b', { heldUntilMs: START + 15 * MIN })]);
  });

  test('goes on with a hold-down where it was, and drops the key at its time', () => {
    const { it, time, kids } = ring([record('a', { heldUntilMs: START + 5 * MIN })]);
    expect([kids(), it.nextExpiry()]).toEqual([['a'], START + 5 * MIN]);
    it.succeeded('files', { keys: [named('b')], refused: [] });
    time.now = START + 5 * MIN;
    it.expire();
    expect(kids()).toEqual(['b']);
    expect(it.records().map(({ key }) => key.kid)).toEqual(['a', 'b']);
    time.now += RECORD_MS;
    it.succeeded('files', { keys: [named('b')], refused: [] });
    expect(it.records().map(({ key }) => key.kid)).toEqual(['b']);
  });

  test.each([
    ['is revoked', record('a'), { revoked: ['a'] }],
    ['was held until before now', record('a', { heldUntilMs: START }), {}],
    ['was seen last more than a day ago', record('a', { lastSeenMs: START - DAY }), {}],
    ['is from the future', record('a', { lastSeenMs: START + 1 }), {}],
    ['is of a source that is none any more', record('a', { source: 'cluster' }), {}],
    ['may not be held at all', record('a'), { holdDownMs: 0 }],
  ] as const)('does not publish a key that %s', (_, one, options) => {
    expect(
      ring([one], { ...options, ...('revoked' in options ? { revoked: [...options.revoked] } : {}) } as object).kids(),
    ).toEqual([]);
  });

  test('knows since when a key is there', () => {
    const { it, time } = ring([record('a', { firstSeenMs: START - 9 * DAY })]);
    time.now += MIN;
    it.succeeded('files', { keys: [named('a'), named('b')], refused: [] });
    expect(it.records().map(({ key, firstSeenMs }) => [key.kid, firstSeenMs])).toEqual([
      ['a', START - 9 * DAY],
      ['b', START + MIN],
    ]);
  });
});

describe('discovery with a state', () => {
  let running: Discovery | undefined;
  afterEach(() => running?.stop());

  function start(keyState: KeyState, read: KeySource['read']): Discovery {
    running = createDiscovery({
      issuer: ISSUER,
      sources: [{ name: 'files', read }],
      pollIntervalMs: MIN,
      holdDownMs: 15 * MIN,
      revoked: [],
      clock: Date.now,
      log,
      keyState,
    });
    void running.start();
    return running;
  }
  const kids = (it: Discovery) =>
    (JSON.parse(it.documents()?.jwks.bytes.toString() ?? '{"keys":[]}') as { keys: { kid: string }[] }).keys.map(
      ({ kid }) => kid,
    );
  function memory(records: readonly KeyRecord[] = []) {
    const it = {
      records,
      saves: 0,
      fails: false,
      load: async () => it.records,
      save: async (next: readonly KeyRecord[]) => {
        it.saves += 1;
        if (!it.fails) it.records = next;
        return !it.fails;
      },
    };
    return it;
  }

  test('serves after a restart while its source is away, and a hold-down outlives two processes', async () => {
    vi.useFakeTimers({ now: START });
    const state = memory();
    let keys = [named('a'), named('b')];
    const read = async () => ({ keys, refused: [] });
    const first = start(state, read);
    await vi.advanceTimersByTimeAsync(0);
    keys = [named('b')];
    await vi.advanceTimersByTimeAsync(MIN);
    expect(kids(first)).toEqual(['a', 'b']);
    await first.stop();

    const away = start(state, () => Promise.reject(new Error('away')));
    await vi.advanceTimersByTimeAsync(MIN);
    expect([kids(away), away.ready]).toEqual([['a', 'b'], true]);
    await away.stop();

    const third = start(state, read);
    await vi.advanceTimersByTimeAsync(0);
    expect(kids(third)).toEqual(['a', 'b']);
    // 15 min after it vanished, two of which are over.
    await vi.advanceTimersByTimeAsync(14 * MIN - 1);
    expect(kids(third)).toEqual(['a', 'b']);
    await vi.advanceTimersByTimeAsync(10);
    expect(kids(third)).toEqual(['b']);
  });

  test('writes when something changed, and else every ten minutes and at the end', async () => {
    vi.useFakeTimers({ now: START });
    const state = memory();
    const it = start(state, async () => ({ keys: [named('a')], refused: [] }));
    await vi.advanceTimersByTimeAsync(9 * MIN);
    expect(state.saves).toBe(1);
    await vi.advanceTimersByTimeAsync(10 * MIN);
    expect(state.saves).toBe(2);
    await vi.advanceTimersByTimeAsync(MIN);
    await it.stop();
    expect(state.saves).toBe(3);
    expect(state.records[0]?.lastSeenMs).toBe(START + 20 * MIN);
  });

  test('writes again within a minute what could not be written, with the newest there is, and not after the end', async () => {
    vi.useFakeTimers({ now: START });
    const state = memory();
    state.fails = true;
    let keys = [named('a')];
    const it = start(state, async () => ({ keys, refused: [] }));
    await vi.advanceTimersByTimeAsync(0);
    expect([state.saves, state.records]).toEqual([1, []]);
    await vi.advanceTimersByTimeAsync(MIN - 1);
    expect(state.saves).toBe(3);
    keys = [named('a'), named('b')];
    await vi.advanceTimersByTimeAsync(1);
    state.fails = false;
    await vi.advanceTimersByTimeAsync(MIN - 1);
    expect(state.records.map(({ key }) => key.kid)).toEqual(['a', 'b']);
    const { saves } = state;
    await vi.advanceTimersByTimeAsync(8 * MIN);
    expect(state.saves).toBe(saves);

    state.fails = true;
    await it.stop();
    const last = state.saves;
    await vi.advanceTimersByTimeAsync(MIN);
    expect([state.saves, vi.getTimerCount()]).toEqual([last, 0]);
  });

  test('writes again what could not be written, also where the clock was set back meanwhile', async () => {
    vi.useFakeTimers({ now: START });
    const state = memory();
    state.fails = true;
    start(state, async () => ({ keys: [named('a')], refused: [] }));
    await vi.advanceTimersByTimeAsync(0);
    expect(state.records).toEqual([]);
    vi.setSystemTime(START - 60 * MIN);
    state.fails = false;
    await vi.advanceTimersByTimeAsync(MIN);
    expect(state.records.map(({ key }) => key.kid)).toEqual(['a']);
  });

  test('does not wait for a state that does not come', async () => {
    vi.useFakeTimers({ now: START });
    const it = start({ load: () => new Promise(() => {}), save: async () => true }, async () => ({
      keys: [named('a')],
      refused: [],
    }));
    await vi.advanceTimersByTimeAsync(4_999);
    expect(it.tried).toBe(false);
    await vi.advanceTimersByTimeAsync(1);
    expect(kids(it)).toEqual(['a']);
    expect(warnings).toMatchObject([{ message: 'the key state does not come, going on without it' }]);
  });
});

describe('a state in a file', () => {
  const store = () => createKeyStateStore(createStateFile(file()), () => START, log);

  test('is for its owner alone, has both issuers, and leaves nothing beside it', async () => {
    const it = store();
    await Promise.all([it.of(ISSUER).save([record('a')]), it.of(`${ISSUER}/p`).save([record('b')])]);
    expect(statSync(file()).mode & 0o777).toBe(0o600);
    expect(readdirSync(folder)).toEqual(['state.json']);
    expect(await store().of(ISSUER).load()).toEqual([record('a')]);
    expect(await store().of(`${ISSUER}/p`).load()).toEqual([record('b')]);
    expect(warnings).toEqual([]);
  });

  test('that is damaged is told and replaced; a file of somebody else is told and left alone', async () => {
    await store()
      .of(ISSUER)
      .save([record('a')]);
    const half = readFileSync(file(), 'utf8').slice(0, 200);
    writeFileSync(file(), half);
    expect(await store().of(ISSUER).load()).toEqual([]);
    expect(warnings).toEqual([{ message: 'the key state cannot be used and is ignored', reason: 'it is not JSON' }]);
    await store()
      .of(ISSUER)
      .save([record('b')]);
    expect(await store().of(ISSUER).load()).toEqual([record('b')]);

    const foreign = 'apiVersion: v1\nkind: Secret\n';
    writeFileSync(file(), foreign);
    warnings = [];
    await store()
      .of(ISSUER)
      .save([record('a')]);
    expect(readFileSync(file(), 'utf8')).toBe(foreign);
    expect(warnings).toEqual([
      { message: 'the key state cannot be written', reason: 'something else is there, which is left as it is' },
    ]);
  });

  test('that cannot be written is told once, and nothing is left behind', async () => {
    const it = createKeyStateStore(createStateFile(join(folder, 'none', 'x')), () => START, log).of(ISSUER);
    expect(await it.save([record('a')])).toBe(false);
    expect(await it.save([record('a')])).toBe(false);
    expect(warnings).toHaveLength(1);
    expect(warnings[0]?.reason).toContain('cannot be written (ENOENT)');
    expect(existsSync(join(folder, 'none'))).toBe(false);
  });
});

describe('a state in a ConfigMap', () => {
  /** An API server with one ConfigMap, and what happens between a read and a write. */
  function server(before: () => void = () => {}) {
    const held = {
      object: undefined as undefined | { metadata: { resourceVersion: string }; data?: Record<string, string> },
      writes: [] as string[],
    };
    const answer = (status: number, body: unknown = {}) => ({
      status,
      headers: {},
      body: Buffer.from(JSON.stringify(body)),
    });
    const write = (kind: string) => async (_path: string, json: unknown) => {
      before();
      const next = json as NonNullable<typeof held.object>;
      const version = held.object?.metadata.resourceVersion;
      if (next.metadata.resourceVersion !== version) return answer(409);
      held.writes.push(kind);
      held.object = { ...next, metadata: { ...next.metadata, resourceVersion: String(Number(version ?? 0) + 1) } };
      return answer(200);
    };
    const client = {
      get: async () => (held.object === undefined ? answer(404) : answer(200, held.object)),
      post: write('POST'),
      put: write('PUT'),
    };
    return { held, place: createStateConfigMap(client, 'podpass', 'keys') };
  }
  const store = (place: StatePlace) => createKeyStateStore(place, () => START, log).of(ISSUER);

  test('is made, then updated, and other data stay', async () => {
    const { held, place } = server();
    expect(await store(place).save([record('a')])).toBe(true);
    if (held.object?.data) held.object.data.other = 'x';
    await store(place).save([record('b')]);
    expect(held.writes).toEqual(['POST', 'PUT']);
    expect(held.object?.data?.other).toBe('x');
    expect(await store(place).load()).toEqual([record('a'), record('b')]);
  });

  test('that another replica wrote meanwhile is read again, and both are there', async () => {
    let interfere = true;
    const { held, place } = server(() => {
      if (!interfere) return;
      interfere = false;
      const data = { 'state.json': keyStateText(new Map([[ISSUER, [record('theirs')]]])) };
      held.object = { metadata: { resourceVersion: '7' }, data };
    });
    await store(place).save([record('ours')]);
    expect((await store(place).load()).map(({ key }) => key.kid)).toEqual(['ours', 'theirs']);
    expect(warnings).toEqual([]);
  });

  test('that may not be read or written is told, and nothing more', async () => {
    const answer = { status: 403, headers: {}, body: Buffer.from('secret') };
    const forbidden = async () => answer;
    const it = store(createStateConfigMap({ get: forbidden, post: forbidden, put: forbidden }, 'podpass', 'keys'));
    expect(await it.load()).toEqual([]);
    await it.save([record('a')]);
    expect(warnings).toEqual([
      { message: 'the key state cannot be read', reason: 'GET /api/v1/namespaces/podpass/configmaps/keys: HTTP 403' },
    ]);
  });
});
