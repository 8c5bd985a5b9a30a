import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { createDiscovery, type Discovery, type DiscoveryOptions } from '../../discovery/discovery.ts';
import type { Documents } from '../../discovery/document.ts';
import { type KeySource, KeySourceFailure } from '../../discovery/key-source/key-source.ts';
import type { KeyReading, PublicKey } from '../../discovery/public-key.ts';
import { ec, published } from './key-material.ts';

const KEY = published(ec());
const named = (kid: string): PublicKey => ({ ...KEY, kid });
const reading = (...kids: string[]): KeyReading => ({ keys: kids.map(named), refused: [] });
const failure = () => new KeySourceFailure('GET /openid/v1/jwks: HTTP 500');

let discovery: Discovery | undefined;
let logged: string[];
beforeEach(() => {
  vi.useFakeTimers({ now: 1_000_000_000 });
  logged = [];
});
afterEach(async () => {
  await discovery?.stop();
  vi.useRealTimers();
});

/** A source that gives what it is told to give, and counts its readings. */
function fake(name: string, ...answers: (KeyReading | Error | 'hangs')[]) {
  const source = {
    name,
    reads: 0,
    answer: (answers[0] ?? reading('a')) as KeyReading | Error | 'hangs',
    signal: undefined as AbortSignal | undefined,
    read(signal: AbortSignal): Promise<KeyReading> {
      source.signal = signal;
      const answer = answers[source.reads++] ?? source.answer;
      if (answer === 'hangs') return new Promise(() => undefined);
      return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer);
    },
  };
  return source satisfies KeySource;
}

function start(sources: KeySource[], options: Partial<DiscoveryOptions> = {}): Discovery {
  const note = (level: string) => (fields: object, message: string) =>
    logged.push(`${level} ${message} ${JSON.stringify(fields)}`);
  discovery = createDiscovery({
    issuer: 'https://issuer.example.com',
    sources,
    pollIntervalMs: 60_000,
    holdDownMs: 900_000,
    revoked: [],
    clock: Date.now,
    log: { debug: note('debug'), info: note('info'), warn: note('warn'), error: note('error') },
    ...options,
  });
  void discovery.start();
  return discovery;
}

const kids = (it: Discovery) =>
  (JSON.parse(it.documents()?.jwks.bytes.toString() ?? '{"keys":[]}') as { keys: { kid: string }[] }).keys.map(
    ({ kid }) => kid,
  );
const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

describe('polling', () => {
  test('nothing is read before the start, and at once after it', async () => {
    const source = fake('files');
    const it = createDiscovery({
      issuer: 'https://h',
      sources: [source],
      pollIntervalMs: 1000,
      holdDownMs: 0,
      revoked: [],
      clock: Date.now,
      log: console,
    });
    await pass(10_000);
    expect(source.reads).toBe(0);
    expect(it.ready).toBe(false);
    expect(it.documents()).toBeUndefined();
    await it.stop();
  });

  test('on the interval, however often the documents are asked for', async () => {
    const source = fake('cluster');
    const it = start([source]);
    await pass(0);
    for (let asked = 0; asked < 10_000; asked++) it.documents();
    await pass(59_999);
    expect(source.reads).toBe(1);
    await pass(1);
    expect(source.reads).toBe(2);
    await pass(600_000);
    expect(source.reads).toBe(12);
  });

  test('sooner after a failure: 1, 2, 4 … s, at most the interval, and again from 1 s after a success', async () => {
    const source = fake('cluster');
    start([source]);
    await pass(0);
    source.answer = failure();
    await pass(60_000);
    const times: number[] = [];
    for (let second = 1; second <= 200; second++) {
      const before = source.reads;
      await pass(1000);
      if (source.reads > before) times.push(second);
    }
    expect(times).toEqual([1, 3, 7, 15, 31, 63, 123, 183]);
  });

  test('a short interval is the longest wait', async () => {
    const source = fake('cluster', failure(), failure(), failure());
    start([source], { pollIntervalMs: 200 });
    await pass(401);
    expect(source.reads).toBe(3);
  });

  test('a source that hangs is given up after 15 s, is not read twice at once, and delays no other', async () => {
    const hanging = fake('cluster', 'hangs', 'hangs');
    const good = fake('files');
    const it = start([hanging, good]);
    await pass(0);
    expect(kids(it)).toEqual(['a']);
    expect(it.ready).toBe(false);
    await pass(14_999);
    expect(it.ready).toBe(false);
    await pass(1);
    expect(it.ready).toBe(true);
    expect(hanging.signal?.aborted).toBe(true);
    await pass(300_000);
    expect(hanging.reads).toBe(1);
    expect(good.reads).toBe(6);
    expect(logged).toContain(
      'warn key source failed, its last keys stay {"source":"cluster","reason":"nothing within 15000 ms"}',
    );
  });

  test('a source that throws before it promises does no harm', async () => {
    const source: KeySource = {
      name: 'files',
      read() {
        throw new Error('at once');
      },
    };
    const it = start([source, fake('cluster')]);
    await pass(5000);
    expect(it.ready).toBe(true);
  });

  test('stop ends a reading under way and every timer', async () => {
    const hanging = fake('cluster', 'hangs');
    const it = start([hanging, fake('files', reading('a', 'b'), reading('a'))]);
    await pass(61_000);
    const tried = it.start();
    await it.stop();
    await tried;
    expect(hanging.signal?.aborted).toBe(true);
    expect(vi.getTimerCount()).toBe(0);
    expect(kids(it)).toEqual(['a', 'b']);
  });
});

describe('ready', () => {
  test('once every source was tried and there is a good key', async () => {
    const it = start([fake('files', failure()), fake('cluster', reading('a'))]);
    expect(it.ready).toBe(false);
    await it.start();
    expect(it.ready).toBe(true);
  });

  test('not without a key, and with the first one', async () => {
    const source = fake('cluster', failure(), failure(), reading('a'));
    const it = start([source]);
    await it.start();
    expect(it.ready).toBe(false);
    expect(it.documents()).toBeUndefined();
    await pass(3000);
    expect(it.ready).toBe(true);
    expect(logged).toContain('info key source answers again {"source":"cluster"}');
  });

  test('not where every key is revoked', async () => {
    const it = start([fake('files', reading('bad'))], { revoked: ['bad'] });
    await it.start();
    expect(it.ready).toBe(false);
    expect(logged).toEqual(['warn key is revoked and not published {"kid":"bad","source":"files"}']);
  });

  test('it stays so when a source is lost later, and the documents stay, too', async () => {
    const source = fake('cluster', reading('a'));
    const it = start([source]);
    await pass(0);
    const before = it.documents();
    source.answer = failure();
    await pass(86_400_000);
    expect(it.ready).toBe(true);
    expect(it.documents()).toBe(before);
    expect(it.state().sources).toEqual([{ name: 'cluster', failing: true, lastSuccess: 1_000_000 }]);
  });
});

describe('documents', () => {
  test('stay the same object while the keys are the same', async () => {
    const it = start([fake('files', reading('a', 'b'), reading('b', 'a'))]);
    await pass(0);
    const before = it.documents();
    await pass(60_000);
    expect(it.documents()).toBe(before);
  });

  test('follow the keys, with one word to the listener for each change', async () => {
    const changes: (Documents | undefined)[] = [];
    const held: (string | undefined)[] = [];
    const source = fake('files', reading('a'), reading('a', 'b'));
    source.answer = reading('b');
    const it = start([source], {
      onChange(documents, known) {
        changes.push(documents);
        held.push(known.find(({ heldUntilMs }) => heldUntilMs !== undefined)?.key.kid);
      },
    });
    await pass(0);
    expect(kids(it)).toEqual(['a']);
    await pass(60_000);
    expect(kids(it)).toEqual(['a', 'b']);
    await pass(60_000 + 899_999);
    expect(kids(it)).toEqual(['a', 'b']);
    await pass(1);
    expect(kids(it)).toEqual(['b']);
    expect(changes).toHaveLength(3);
    expect(changes[2]).toBe(it.documents());
    // By then it has gone.
    expect(held).toEqual([undefined, undefined, 'a']);
  });

  test('a hold-down shorter than the interval ends by itself', async () => {
    const source = fake('files', reading('a', 'b'));
    source.answer = reading('a');
    const it = start([source], { holdDownMs: 2000 });
    await pass(60_000);
    expect(it.state().keys).toEqual({ published: 1, held: 1, refused: 0 });
    await pass(2001);
    expect(kids(it)).toEqual(['a']);
    expect(it.state().keys).toEqual({ published: 1, held: 0, refused: 0 });
  });

  test('a hold-down of years does not end at once', async () => {
    const source = fake('files', reading('a', 'b'));
    source.answer = reading('a');
    const it = start([source], { holdDownMs: 365 * 86_400_000 });
    await pass(120_000);
    expect(kids(it)).toEqual(['a', 'b']);
  });

  test('there are none any more when the last key that is not revoked is gone', async () => {
    const source = fake('files', reading('a'));
    source.answer = reading('bad');
    const it = start([source], { revoked: ['bad'], holdDownMs: 1000 });
    await pass(62_000);
    expect(it.documents()).toBeUndefined();
    expect(logged.at(-1)).toBe('error no key is left to publish {"issuer":"https://issuer.example.com"}');
  });

  test('a listener that throws does no harm', async () => {
    const it = start([fake('files')], {
      onChange() {
        throw new Error('listener');
      },
    });
    await pass(0);
    expect(it.ready).toBe(true);
    expect(it.state().sources[0]?.failing).toBe(false);
  });
});

describe('the log', () => {
  const refused = {
    source: '/keys/a.pem',
    position: 2,
    kid: 'weak',
    reason: 'rsa_size',
    message: 'has 1024 bits',
  } as const;

  test('names a refused key once, and again when it was gone', async () => {
    const source = fake(
      'files',
      { ...reading('a'), refused: [refused] },
      { ...reading('a'), refused: [refused] },
      reading('a'),
    );
    source.answer = { ...reading('a'), refused: [refused] };
    start([source]);
    await pass(60_000);
    const lines = () => logged.filter((line) => line.includes('key refused'));
    expect(lines()).toEqual([
      'warn key refused {"source":"files","place":"/keys/a.pem","position":2,"kid":"weak","reason":"rsa_size","detail":"has 1024 bits"}',
    ]);
    await pass(120_000);
    expect(lines()).toHaveLength(2);
  });

  test('names those of a reading that failed, too, and counts them', async () => {
    const partial = { keys: [named('a')], refused: [refused] };
    const it = start([fake('files', new KeySourceFailure('/keys/b.pem: does not exist', { partial }))]);
    await pass(0);
    expect(it.state().keys).toEqual({ published: 1, held: 0, refused: 1 });
    expect(it.ready).toBe(true);
    expect(logged.map((line) => line.replace(/ \{.*/, ''))).toEqual([
      'warn key source failed, its last keys stay',
      'warn key refused',
      'info key published',
    ]);
  });
});
