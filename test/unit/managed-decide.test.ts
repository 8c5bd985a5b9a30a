import { describe, expect, test } from 'vitest';
import type { Authority } from '../../src/managed-tls/authority.ts';
import type { Configuration } from '../../src/managed-tls/configuration.ts';
import {
  type Decision,
  decide,
  type Instant,
  type Own,
  type Seen,
  settleMs,
  type View,
} from '../../src/managed-tls/decide.ts';
import type { Leaf } from '../../src/managed-tls/leaf.ts';
import type { SecretContent } from '../../src/managed-tls/secret-content.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const LIFETIMES = { authorityMs: 300 * DAY, leafMs: 6 * DAY };
/** The time of every row. */
const T = Date.UTC(2030, 0, 1);
const SETTLED = settleMs(LIFETIMES);

function ca(name: string, ageDays: number, { key = true, days = 300 } = {}): Authority {
  const issuedAt = T - ageDays * DAY;
  const times = { notBefore: issuedAt - 2 * HOUR, issuedAt, notAfter: issuedAt + days * DAY };
  return { cert: `${name}\n`, fingerprint: name, key: key ? `key of ${name}` : undefined, ...times };
}

const fresh = ca('fresh', 10);
const aged = ca('aged', 201);
const next = ca('next', 0);
const expired = ca('expired', 301);
const gone = ca('gone', 330);
const leafOf = (authority: Authority, ageDays: number, days = 6): Leaf => {
  const issuedAt = T - ageDays * DAY;
  return { cert: '', key: '', authority, issuedAt, notBefore: issuedAt - 2 * HOUR, notAfter: issuedAt + days * DAY };
};
const stored = (...authorities: Authority[]): SecretContent => ({ authorities, problems: [] });
const holds = (...bundles: Authority[][]): Configuration => ({
  version: '1',
  bundles: bundles.map((authorities) => ({ authorities, others: [], garbage: false })),
});

interface Row {
  secret: Seen<SecretContent>;
  configuration: Seen<Configuration>;
  leaf?: Leaf;
  remembered?: Authority[];
  /** Fingerprints that have been published for long enough. */
  settled?: string[];
}

function decideRow({ secret, configuration, leaf, remembered = [], settled = [] }: Row, now: Partial<Instant> = {}) {
  const view: View = { secret, configurations: new Map([['podpass', configuration]]) };
  const publishedSince = new Map(settled.map((each) => [each, 0]));
  const own: Own = { leaf, authorities: remembered, publishedSince };
  return decide(view, own, { wall: T, monotonic: SETTLED, ...now }, LIFETIMES);
}

/** What is done, in short. */
function told({ store, publish, trusted, sign, unready }: Decision) {
  return {
    store:
      store &&
      `${store.renew ?? 'tidy'}: ${store.keep.map(({ fingerprint, key }) => (key ? fingerprint : `(${fingerprint})`)).join(' ')}`,
    publish: publish.length === 0 ? undefined : trusted.map(({ fingerprint }) => fingerprint).join(' '),
    sign: sign?.fingerprint,
    ready: unready.length === 0,
  };
}

const nothing = { store: undefined, publish: undefined, sign: undefined, ready: true };

describe('what is done', () => {
  test.each<[string, Row, Partial<ReturnType<typeof told>>]>([
    ['at the start, before anything was read', { secret: 'unknown', configuration: 'unknown' }, { ready: false }],
    ['on an empty Secret', { secret: stored(), configuration: holds([]) }, { store: 'there is none: ', ready: false }],
    ['without a Secret', { secret: 'absent', configuration: 'absent' }, { store: 'there is none: ', ready: false }],
    [
      'a CA that is not published yet',
      { secret: stored(fresh), configuration: holds([], [fresh]) },
      { publish: 'fresh', ready: false },
    ],
    [
      'a CA, and a configuration that was not read',
      { secret: stored(fresh), configuration: 'unknown' },
      { ready: false },
    ],
    [
      'a CA that was published just now, and no other',
      { secret: stored(fresh), configuration: holds([fresh]) },
      { sign: 'fresh', ready: false },
    ],
    [
      'a CA without a configuration',
      { secret: stored(fresh), configuration: 'absent' },
      { sign: 'fresh', ready: false },
    ],
    [
      'a configuration without webhooks',
      { secret: stored(fresh), configuration: holds() },
      { sign: 'fresh', ready: false },
    ],
    ['all is well', { secret: stored(fresh), configuration: holds([fresh]), leaf: leafOf(fresh, 1) }, {}],
    [
      'a certificate at two thirds',
      { secret: stored(fresh), configuration: holds([fresh]), leaf: leafOf(fresh, 4) },
      { sign: 'fresh' },
    ],
    [
      'a certificate that has expired',
      { secret: stored(fresh), configuration: holds([fresh]), leaf: leafOf(fresh, 7) },
      { sign: 'fresh' },
    ],
    [
      'the same without the API server ever since',
      { secret: 'unknown', configuration: 'unknown', remembered: [fresh], leaf: leafOf(fresh, 4) },
      { sign: 'fresh' },
    ],

    [
      'a CA at two thirds',
      { secret: stored(aged), configuration: holds([aged]), leaf: leafOf(aged, 1), settled: ['aged'] },
      { store: 'two thirds of its lifetime are over: aged' },
    ],
    [
      'its successor, stored',
      { secret: stored(next, aged), configuration: holds([aged]), leaf: leafOf(aged, 1), settled: ['aged'] },
      { publish: 'next aged' },
    ],
    [
      'its successor, published in one of two',
      {
        secret: stored(next, aged),
        configuration: holds([next, aged], [aged]),
        leaf: leafOf(aged, 4),
        settled: ['aged'],
      },
      { publish: 'next aged', sign: 'aged' },
    ],
    [
      'its successor, published just now',
      { secret: stored(next, aged), configuration: holds([next, aged]), leaf: leafOf(aged, 1), settled: ['aged'] },
      {},
    ],
    [
      'its successor, just now, and a certificate at two thirds',
      { secret: stored(next, aged), configuration: holds([next, aged]), leaf: leafOf(aged, 4), settled: ['aged'] },
      { sign: 'aged' },
    ],
    [
      'its successor, settled',
      {
        secret: stored(next, aged),
        configuration: holds([next, aged]),
        leaf: leafOf(aged, 1),
        settled: ['aged', 'next'],
      },
      { sign: 'next' },
    ],
    [
      'a start in the middle of that',
      { secret: stored(next, aged), configuration: holds([next, aged]) },
      { sign: 'aged', ready: false },
    ],
    [
      'a start in the middle, before it is published',
      { secret: stored(next, aged), configuration: holds([aged]) },
      { publish: 'next aged', sign: 'aged', ready: false },
    ],

    [
      'a wiped caBundle',
      { secret: stored(next, aged), configuration: holds([]), leaf: leafOf(next, 1) },
      { publish: 'next aged' },
    ],
    [
      'garbage in it',
      {
        secret: stored(fresh),
        configuration: { version: '1', bundles: [{ authorities: [fresh], others: [], garbage: true }] },
        leaf: leafOf(fresh, 1),
      },
      { publish: 'fresh' },
    ],
    [
      'certificates of others in it',
      {
        secret: stored(fresh),
        configuration: { version: '1', bundles: [{ authorities: [fresh], others: ['x'], garbage: false }] },
        leaf: leafOf(fresh, 1),
      },
      {},
    ],
    [
      'a wiped caBundle while the certificate is at two thirds',
      { secret: stored(fresh), configuration: holds([]), leaf: leafOf(fresh, 4) },
      { publish: 'fresh', sign: 'fresh' },
    ],
    ['a deleted configuration', { secret: stored(fresh), configuration: 'absent', leaf: leafOf(fresh, 1) }, {}],

    [
      'a deleted Secret: its CA stays trusted, but without its key',
      { secret: 'absent', configuration: holds([fresh]), leaf: leafOf(fresh, 1), remembered: [fresh] },
      { store: 'there is none: (fresh)' },
    ],
    [
      'a deleted Secret that cannot be made: memory goes on',
      { secret: 'absent', configuration: holds([fresh]), leaf: leafOf(fresh, 4), remembered: [fresh] },
      { store: 'there is none: (fresh)', sign: 'fresh' },
    ],
    [
      'a deleted Secret and a wiped caBundle',
      { secret: 'absent', configuration: holds([]), leaf: leafOf(fresh, 1) },
      { store: 'there is none: (fresh)', publish: 'fresh' },
    ],
    [
      'a CA that expired half an hour ago in a caBundle',
      { secret: stored(fresh), configuration: holds([fresh, ca('late', 300 + 1 / 48)]), leaf: leafOf(fresh, 1) },
      {},
    ],
    [
      'a deleted Secret, and a replica that knows nothing',
      { secret: 'absent', configuration: holds([fresh]) },
      { store: 'there is none: (fresh)', ready: false },
    ],
    [
      'a Secret without its key',
      {
        secret: { authorities: [{ ...fresh, key: undefined }], problems: ['no key'] },
        configuration: holds([fresh]),
        leaf: leafOf(fresh, 1),
      },
      { store: 'none is usable: (fresh)' },
    ],
    [
      'something beside in the Secret',
      { secret: { authorities: [fresh], problems: ['x'] }, configuration: holds([fresh]), leaf: leafOf(fresh, 1) },
      { store: 'tidy: fresh' },
    ],

    [
      'an expired CA',
      { secret: stored(expired), configuration: holds([expired]), leaf: leafOf(expired, 10) },
      { store: 'none is usable: ' },
    ],
    [
      'its successor in place, and a certificate that has expired',
      { secret: stored(next), configuration: holds([expired, next]), leaf: leafOf(expired, 10) },
      { sign: 'next', publish: 'next' },
    ],
    [
      'its successor that nobody may publish',
      { secret: stored(next), configuration: holds([expired]), leaf: leafOf(expired, 10) },
      { publish: 'next', sign: 'next' },
    ],
    [
      'a CA that has expired long ago, in the Secret',
      { secret: stored(fresh, gone), configuration: holds([fresh]), leaf: leafOf(fresh, 1) },
      { store: 'tidy: fresh' },
    ],
    [
      'and in a caBundle',
      { secret: stored(fresh), configuration: holds([fresh, gone]), leaf: leafOf(fresh, 1) },
      { publish: 'fresh' },
    ],
    [
      'a CA of a caBundle that no Secret knows, in another one too',
      { secret: stored(fresh), configuration: holds([fresh, aged], [fresh]), leaf: leafOf(fresh, 1) },
      { publish: 'fresh aged' },
    ],
  ])('%s', (_, row, expected) => {
    expect(told(decideRow(row))).toEqual({ ...nothing, ...expected });
  });

  test.each([-1, 1])('a clock that jumps by %i h does nothing of itself', (hours) => {
    const row = { secret: stored(fresh), configuration: holds([fresh]), leaf: leafOf(fresh, 1), settled: ['fresh'] };
    expect(told(decideRow(row, { wall: T + hours * HOUR }))).toEqual(nothing);
    // Made the moment before.
    const made = { secret: stored(next), configuration: holds([next]), leaf: leafOf(next, 0), settled: ['next'] };
    expect(told(decideRow(made, { wall: T + hours * HOUR }))).toEqual(nothing);
  });

  test('a clock that was set back far makes new ones', () => {
    const row = { secret: stored(next), configuration: holds([next]), leaf: leafOf(next, 0), settled: ['next'] };
    expect(told(decideRow(row, { wall: T - 3 * HOUR }))).toMatchObject({ store: 'none is usable: next' });
  });

  test('a new CA counts as settled only after it has been in every caBundle without a break', () => {
    const row = { secret: stored(next, aged), configuration: holds([next, aged]), leaf: leafOf(aged, 1) };
    const first = decideRow(row, { monotonic: 5 });
    expect(first.publishedSince.get('next')).toBe(5);
    const wiped = decideRow({ ...row, configuration: holds([aged]), settled: ['next'] }, { monotonic: 9 });
    expect(wiped.publishedSince.has('next')).toBe(false);
  });

  test('no more than ten CAs are kept', () => {
    const many = Array.from({ length: 30 }, (_, i) => ca(`ca-${i}`, i + 210));
    const { store, trusted } = decideRow({ secret: stored(...many), configuration: holds([]), leaf: leafOf(fresh, 1) });
    expect(trusted).toHaveLength(10);
    expect(store?.keep).toHaveLength(9);
  });

  test('states count configurations', () => {
    const configurations = new Map<string, Seen<Configuration>>([
      ['a', 'unknown'],
      ['b', 'absent'],
      ['c', holds([fresh])],
      ['d', holds([])],
    ]);
    const own: Own = { leaf: undefined, authorities: [], publishedSince: new Map() };
    const { states } = decide({ secret: stored(fresh), configurations }, own, { wall: T, monotonic: 0 }, LIFETIMES);
    expect(states).toEqual({ in_sync: 1, out_of_sync: 2, missing: 1 });
  });
});

// ---- many replicas, many mishaps -------------------------------------------------------------------------------------

/** A random number generator with a seed (mulberry32), so that a failure can be had again. */
function randomOf(seed: number): () => number {
  let a = seed;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/**
 * Three replicas of the real decision function on a cluster that is simulated: writes hold for the version that they were
 * decided on, each replica sees changes some time later, and may be killed between any two of its writes.
 */
class World {
  wall = T;
  monotonic = 0;
  secret: { version: number; content: Seen<SecretContent> } = { version: 0, content: stored() };
  bundles: { version: number; lists: Authority[][] } | undefined = { version: 0, lists: [[], []] };
  readonly made: Authority[] = [];
  readonly replicas: Replica[];
  readonly random: () => number;
  readonly lifetimes: typeof LIFETIMES;

  constructor(seed: number, lifetimes: typeof LIFETIMES) {
    this.random = randomOf(seed);
    this.lifetimes = lifetimes;
    this.replicas = Array.from({ length: 3 }, () => new Replica(this));
  }

  chance(probability: number): boolean {
    return this.random() < probability;
  }
}

class Replica {
  readonly #world: World;
  #secret: World['secret'] | undefined;
  #bundles: World['bundles'] | 'unknown' = 'unknown';
  own: { leaf: Leaf | undefined; authorities: readonly Authority[]; publishedSince: ReadonlyMap<string, number> };
  /** Ahead of the cluster's clock by. */
  skewMs = 0;

  constructor(world: World) {
    this.#world = world;
    this.own = { leaf: undefined, authorities: [], publishedSince: new Map() };
  }

  kill(): void {
    this.own = { leaf: undefined, authorities: [], publishedSince: new Map() };
    this.#secret = undefined;
    this.#bundles = 'unknown';
  }

  look(): void {
    const { secret, bundles } = this.#world;
    this.#secret = { ...secret };
    this.#bundles = bundles && { ...bundles };
    if (typeof secret.content === 'object' && secret.content.authorities.some(({ key }) => key !== undefined)) {
      this.own.authorities = secret.content.authorities;
    }
  }

  step(): void {
    const world = this.#world;
    const wall = world.wall + this.skewMs;
    const configuration: Seen<Configuration> =
      this.#bundles === 'unknown' ? 'unknown' : this.#bundles === undefined ? 'absent' : holds(...this.#bundles.lists);
    const view: View = {
      secret: this.#secret?.content ?? 'unknown',
      configurations: new Map([['podpass', configuration]]),
    };
    const decision = decide(view, this.own, { wall, monotonic: world.monotonic }, world.lifetimes);
    this.own.publishedSince = decision.publishedSince;
    if (decision.sign !== undefined) {
      const notAfter = Math.min(wall + world.lifetimes.leafMs, decision.sign.notAfter);
      this.own.leaf = {
        cert: '',
        key: '',
        authority: decision.sign,
        issuedAt: wall,
        notBefore: wall - 2 * HOUR,
        notAfter,
      };
    }
    if (world.chance(0.02)) {
      this.kill();
      return;
    }
    const bundles = this.#bundles;
    if (decision.publish.length > 0 && typeof bundles === 'object' && world.bundles?.version === bundles.version) {
      const entries = decision.publish[0]?.entries ?? [];
      const lists = world.bundles.lists.map((list, i) => (entries.includes(i) ? [...decision.trusted] : list));
      world.bundles = { version: world.bundles.version + 1, lists };
    }
    if (world.chance(0.02)) {
      this.kill();
      return;
    }
    if (decision.store !== undefined && world.secret.version === this.#secret?.version) {
      const authorities = [...decision.store.keep];
      if (decision.store.renew !== undefined) {
        const issuedAt = wall;
        const times = { issuedAt, notBefore: issuedAt - 2 * HOUR, notAfter: issuedAt + world.lifetimes.authorityMs };
        const name = `ca-${world.made.length}`;
        const made: Authority = { cert: `${name}\n`, fingerprint: name, key: `key of ${name}`, ...times };
        world.made.push(made);
        authorities.unshift(made);
      }
      world.secret = { version: world.secret.version + 1, content: { authorities, problems: [] } };
    }
  }
}

/** Why a client with this caBundle refuses the certificate of a replica; undefined where it takes it. */
function refusal(leaf: Leaf, bundle: readonly Authority[], wall: number): string | undefined {
  const { authority } = leaf;
  if (!bundle.some(({ fingerprint }) => fingerprint === authority.fingerprint))
    return `${authority.fingerprint} is not in the caBundle`;
  if (wall < leaf.notBefore || wall < authority.notBefore) return 'not valid yet';
  if (wall >= leaf.notAfter || wall >= authority.notAfter) return 'expired';
  return undefined;
}

describe('in a cluster where things go wrong', () => {
  const MINUTE = 60_000;
  test.each(Array.from({ length: 40 }, (_, i) => i + 1))('every handshake succeeds (seed %i)', (seed) => {
    // A tenth of the defaults, so that CAs rotate several times; a step is up to an hour.
    const lifetimes = { authorityMs: 30 * DAY, leafMs: 5 * DAY };
    const world = new World(seed, lifetimes);
    const settle = settleMs(lifetimes);
    const refusals: string[] = [];
    let before = world.bundles?.lists ?? [];
    let handshakes = 0;
    for (let round = 0; round < 3_000; round++) {
      const step = world.chance(0.3) ? 100 : world.chance(0.5) ? settle / 3 : 50 * MINUTE;
      world.wall += step;
      world.monotonic += step;
      // One clock is up to an hour wrong for a while, then another one.
      if (world.chance(0.01)) {
        for (const replica of world.replicas) replica.skewMs = 0;
        const unlucky = world.replicas[Math.floor(world.random() * 3)];
        if (unlucky !== undefined) unlucky.skewMs = world.chance(0.5) ? HOUR : -HOUR;
      }
      // Someone deletes the Secret, or takes its keys.
      if (world.chance(0.005))
        world.secret = { version: world.secret.version + 1, content: world.chance(0.5) ? 'absent' : stored() };
      // The API server is away for a day at most: nobody sees or writes anything.
      for (const replica of world.replicas) if (world.chance(0.8)) replica.look();
      for (const replica of world.replicas) replica.step();
      // An API server may know only the caBundles of the round before; then a client with either must be served.
      for (const { own } of world.replicas) {
        if (own.leaf === undefined) continue;
        for (const bundle of [...before, ...(world.bundles?.lists ?? [])]) {
          const why = refusal(own.leaf, bundle, world.wall);
          handshakes++;
          if (why !== undefined) refusals.push(`round ${round}: ${why}`);
        }
      }
      before = world.bundles?.lists ?? [];
    }
    expect(refusals.slice(0, 5)).toEqual([]);
    expect(handshakes).toBeGreaterThan(10_000);
    expect(world.made.length).toBeGreaterThan(4);
  });
});
