import { beforeEach, describe, expect, test } from 'vitest';
import { type KeyEvent, KeyRing } from '../../discovery/key-ring.ts';
import type { PublicKey, RefusedKey } from '../../discovery/public-key.ts';
import { ec, published } from './key-material.ts';

const KEY = published(ec());
const OTHER = published(ec());
const named = (kid: string, material: PublicKey = KEY): PublicKey => ({ ...material, kid });
const refusal: RefusedKey = { source: 'f', position: 1, reason: 'private', message: 'is a private key' };
const told = (events: readonly KeyEvent[]) => events.map(({ kind, kid, source }) => `${kind} ${kid} ${source}`);
const HOLD = 900_000;

let now = 0;
beforeEach(() => {
  now = 1_000_000;
});

function ring(options: { sources?: string[]; holdDownMs?: number; revoked?: string[] } = {}) {
  const it = new KeyRing({ sources: ['files'], holdDownMs: HOLD, revoked: [], clock: () => now, ...options });
  return {
    it,
    reads: (...kids: (string | PublicKey)[]) => from('files', ...kids),
    from,
    kids: () =>
      it
        .keys()
        .map(({ kid }) => kid)
        .sort(),
  };
  function from(source: string, ...keys: (string | PublicKey)[]) {
    const given = keys.map((key) => (typeof key === 'string' ? named(key) : key));
    return told(it.succeeded(source, { keys: given, refused: [] }));
  }
}

describe('one source', () => {
  test('starts empty', () => {
    const { it } = ring();
    expect(it.keys()).toEqual([]);
    expect(it.state()).toEqual({
      keys: { published: 0, held: 0, refused: 0 },
      sources: [{ name: 'files', failing: false }],
    });
  });

  test('publishes what it reads, and tells once', () => {
    const { reads, kids, it } = ring();
    expect(reads('a', 'b')).toEqual(['published a files', 'published b files']);
    expect(reads('b', 'a')).toEqual([]);
    expect(kids()).toEqual(['a', 'b']);
    expect(it.state().sources).toEqual([{ name: 'files', failing: false, lastSuccess: 1000 }]);
  });

  test('a key that vanishes stays for the hold-down, to the millisecond', () => {
    const { reads, kids, it } = ring();
    reads('a', 'b');
    now += 60_000;
    expect(reads('a')).toEqual(['held b files']);
    expect(kids()).toEqual(['a', 'b']);
    expect(it.state().keys).toEqual({ published: 1, held: 1, refused: 0 });
    expect(it.nextExpiry()).toBe(now + HOLD);
    now += HOLD - 1;
    expect(it.expire()).toEqual([]);
    expect(reads('a')).toEqual([]);
    expect(kids()).toEqual(['a', 'b']);
    now += 1;
    expect(told(it.expire())).toEqual(['dropped b files']);
    expect(kids()).toEqual(['a']);
    expect(it.nextExpiry()).toBeUndefined();
  });

  test('a reading drops what is over, too', () => {
    const { reads, kids } = ring();
    reads('a', 'b');
    reads('a');
    now += HOLD;
    expect(reads('a')).toEqual(['dropped b files']);
    expect(kids()).toEqual(['a']);
  });

  test('a key that comes back is published again, and its next hold-down starts anew', () => {
    const { reads, it } = ring();
    reads('a', 'b');
    reads('a');
    now += HOLD - 1;
    expect(reads('a', 'b')).toEqual(['published b files']);
    expect(it.state().keys).toEqual({ published: 2, held: 0, refused: 0 });
    expect(reads('a')).toEqual(['held b files']);
    expect(it.nextExpiry()).toBe(now + HOLD);
  });

  test('replicas that give different keys do not make the set flap', () => {
    const { reads, kids } = ring();
    for (let poll = 0; poll < 100; poll++) {
      reads(...(poll % 2 === 0 ? ['old'] : ['old', 'new']));
      now += 60_000;
      if (poll > 0) expect(kids()).toEqual(['new', 'old']);
    }
  });

  test('without a hold-down a key goes at once', () => {
    const { reads, kids } = ring({ holdDownMs: 0 });
    reads('a', 'b');
    expect(reads('a')).toEqual(['held b files', 'dropped b files']);
    expect(kids()).toEqual(['a']);
  });

  test('another key under a known kid replaces it, with a warning', () => {
    const { reads, it } = ring();
    reads('a');
    expect(reads(named('a', OTHER))).toEqual(['replaced a files']);
    expect(it.keys()).toEqual([named('a', OTHER)]);
    expect(it.state().keys.held).toBe(0);
    expect(reads(named('a', OTHER))).toEqual([]);
  });

  test('also where the known one is held', () => {
    const { reads, it } = ring();
    reads('a', 'b');
    reads('b');
    expect(reads(named('a', OTHER), 'b')).toEqual(['replaced a files', 'published a files']);
    expect(it.keys()).toHaveLength(2);
  });

  test('of two keys with one kid in one reading the later stays, with one warning', () => {
    const { reads, it } = ring();
    expect(reads('a', named('a', OTHER))).toEqual(['replaced a files', 'published a files']);
    expect(it.keys()).toEqual([named('a', OTHER)]);
    expect(reads('a', named('a', OTHER))).toEqual([]);
  });

  test('the same key twice is one, without a warning', () => {
    const { reads, it } = ring();
    expect(reads('a', 'a')).toEqual(['published a files']);
    expect(it.keys()).toHaveLength(1);
  });
});

describe('a reading that failed', () => {
  test('changes nothing but says so', () => {
    const { reads, kids, it } = ring();
    reads('a', 'b');
    now += 5000;
    expect(it.failed('files')).toEqual([]);
    expect(kids()).toEqual(['a', 'b']);
    expect(it.state()).toEqual({
      keys: { published: 2, held: 0, refused: 0 },
      sources: [{ name: 'files', failing: true, lastSuccess: 1000 }],
    });
  });

  test('keeps the held keys, for it cannot say that they are still gone; the next good one drops them', () => {
    const { reads, kids, it } = ring();
    reads('a', 'b');
    reads('a');
    it.failed('files');
    now += HOLD + 1;
    expect(it.nextExpiry()).toBeUndefined();
    expect(it.expire()).toEqual([]);
    expect(kids()).toEqual(['a', 'b']);
    expect(reads('a')).toEqual(['dropped b files']);
  });

  test('adds what it read nevertheless, and takes nothing away', () => {
    const { reads, kids, it } = ring();
    reads('a', 'b');
    expect(told(it.failed('files', { keys: [named('b'), named('c')], refused: [refusal] }))).toEqual([
      'published c files',
    ]);
    expect(kids()).toEqual(['a', 'b', 'c']);
    expect(it.state().keys).toEqual({ published: 3, held: 0, refused: 1 });
    expect(reads('a')).toEqual(['held b files', 'held c files']);
  });

  test('counts what it refused', () => {
    const { it } = ring();
    it.failed('files', { keys: [], refused: [refusal, refusal] });
    expect(it.state().keys.refused).toBe(2);
    it.succeeded('files', { keys: [KEY], refused: [] });
    expect(it.state().keys.refused).toBe(0);
  });
});

describe('revoked kids', () => {
  test('are dropped whatever source gives them, and named once', () => {
    const { from, kids, it } = ring({ sources: ['files', 'cluster'], revoked: ['bad', 'unknown'] });
    expect(from('files', 'bad', 'good')).toEqual(['revoked bad files', 'published good files']);
    expect(from('files', 'bad', 'good')).toEqual([]);
    expect(from('cluster', 'bad')).toEqual(['revoked bad cluster']);
    expect(kids()).toEqual(['good']);
    expect(it.state().keys).toEqual({ published: 1, held: 0, refused: 0 });
  });

  test('are not held when they vanish', () => {
    const { reads, kids } = ring({ revoked: ['bad'] });
    reads('bad', 'good');
    expect(reads('good')).toEqual([]);
    expect(kids()).toEqual(['good']);
  });
});

describe('several sources', () => {
  const two = () => ring({ sources: ['cluster', 'files'] });

  test('their union is published', () => {
    const { from, kids } = two();
    from('cluster', 'a', 'b');
    from('files', 'b', 'c');
    expect(kids()).toEqual(['a', 'b', 'c']);
  });

  test('a key is held when the last of them lost it', () => {
    const { from, it } = two();
    from('cluster', 'a', 'b');
    from('files', 'a', 'b');
    expect(from('cluster', 'a')).toEqual([]);
    expect(from('files', 'a')).toEqual(['held b files']);
    expect(it.state().keys).toEqual({ published: 1, held: 1, refused: 0 });
  });

  test('one that fails does not keep the held keys of the others', () => {
    const { from, it, kids } = two();
    from('cluster', 'a');
    from('files', 'b', 'c');
    from('files', 'b');
    it.failed('cluster');
    now += HOLD;
    expect(told(it.expire())).toEqual(['dropped c files']);
    expect(kids()).toEqual(['a', 'b']);
  });

  test.each([
    ['cluster first', ['cluster', 'files']],
    ['files first', ['files', 'cluster']],
  ])('where they disagree the later one decides, whoever was read first: %s', (_, order) => {
    const { from, it } = two();
    const given = { cluster: named('a'), files: named('a', OTHER) };
    const events = order.flatMap((source) => from(source, given[source as 'cluster' | 'files']));
    expect(it.keys()).toEqual([named('a', OTHER)]);
    expect(events).toEqual(
      order[0] === 'cluster'
        ? ['published a cluster', 'replaced a files']
        : ['published a files', 'overruled a cluster'],
    );
    expect([...from('cluster', given.cluster), ...from('files', given.files)]).toEqual([]);
  });

  test('when the later one loses the kid, the earlier one decides again', () => {
    const { from, it } = two();
    from('cluster', 'a');
    from('files', named('a', OTHER), 'b');
    expect(from('files', 'b')).toEqual(['replaced a files']);
    expect(it.keys()).toContainEqual(named('a'));
  });

  test('two of one name are a mistake', () => {
    expect(() => ring({ sources: ['files', 'files'] })).toThrow('two key sources have one name');
  });
});
