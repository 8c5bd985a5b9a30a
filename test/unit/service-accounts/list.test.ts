import { setImmediate } from 'node:timers/promises';
import { expect, it, vi } from 'vitest';
import { type KubeClient, KubeError, type KubeResponse } from '../../../src/runtime/kube-client.ts';
import { NO_ANNOTATIONS } from '../../../webhook/service-accounts/account.ts';
import { list } from '../../../webhook/service-accounts/list.ts';
import { createStore, type Store } from '../../../webhook/service-accounts/store.ts';
import { listOf } from './protobuf-writer.ts';

const PROTOBUF = 'application/vnd.kubernetes.protobuf';
const accounts = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, i) => ({ namespace: 'shop', name: `sa-${from + i}` }));

const compact = (from: number, to: number, next = '', version = '7') => ({
  status: 200,
  headers: { 'content-type': PROTOBUF },
  body: listOf(accounts(from, to), version, next),
});
const json = (from: number, to: number, next = '', version = '7') => ({
  status: 200,
  headers: { 'content-type': 'application/json' },
  body: Buffer.from(
    JSON.stringify({
      metadata: { resourceVersion: version, continue: next },
      items: accounts(from, to).map((metadata) => ({ metadata })),
    }),
  ),
});
const expired = { status: 410, headers: {}, body: Buffer.from('{"kind":"Status","code":410,"reason":"Expired"}') };

/** Lists from these answers, one after the other, and tells what was asked for. */
async function run(store: Store, answers: readonly KubeResponse[]) {
  const asked: string[] = [];
  const heard = vi.fn();
  const client: Pick<KubeClient, 'get'> = {
    async get(path, { accept }) {
      const answer = answers[asked.length];
      asked.push(new URL(path, 'https://fake').search);
      if (answer === undefined || accept?.startsWith(PROTOBUF) !== true) throw new Error('not expected');
      return answer;
    },
  };
  const dependencies = { client, store, wanted: () => false, heard };
  const version = await list(dependencies, new AbortController().signal).catch((error: Error) => error.message);
  return { version, asked, heard: heard.mock.calls.length };
}

it('asks for larger pages once the first one came in Protocol Buffers', async () => {
  const store = createStore();
  const answers = [compact(0, 500, 'b'), compact(500, 1_500, 'c', '9'), compact(1_500, 1_600)];
  expect(await run(store, answers)).toEqual({
    version: '7',
    asked: ['?limit=500', '?limit=1000&continue=b', '?limit=1000&continue=c'],
    heard: 3,
  });
  expect(store.size).toBe(1_600);
});

it('stays with small pages where something in between makes it JSON', async () => {
  const store = createStore();
  const { asked } = await run(store, [json(0, 500, 'b'), compact(500, 1_000, 'c'), json(1_000, 1_001)]);
  expect(asked).toEqual(['?limit=500', '?limit=500&continue=b', '?limit=500&continue=c']);
  expect(store.size).toBe(1_001);
});

it('goes on after a page with nothing in it, and takes a page that comes twice', async () => {
  const store = createStore();
  const answers = [compact(0, 0, 'b'), compact(0, 2, 'c'), compact(0, 2, 'd'), json(0, 0)];
  expect((await run(store, answers)).asked.length).toBe(4);
  expect(store.size).toBe(2);
});

it('keeps all that was there when its rest has expired, and sweeps after the next complete one', async () => {
  const store = createStore();
  await run(store, [compact(0, 3)]);
  store.put('shop', 'old', NO_ANNOTATIONS);
  expect((await run(store, [compact(10, 12, 'b'), expired])).version).toBe(
    'listing ServiceAccounts was answered with HTTP 410',
  );
  // Those of before, and those that the broken list brought.
  expect([store.size, store.get('shop', 'old'), store.get('shop', 'sa-0'), store.get('shop', 'sa-11')]).toEqual([
    6,
    NO_ANNOTATIONS,
    NO_ANNOTATIONS,
    NO_ANNOTATIONS,
  ]);
  expect((await run(store, [compact(11, 12, 'b', '8'), compact(12, 13)])).version).toBe('8');
  expect([store.size, store.get('shop', 'old'), store.get('shop', 'sa-10'), store.get('shop', 'sa-12')]).toEqual([
    2,
    undefined,
    undefined,
    NO_ANNOTATIONS,
  ]);
});

it('sweeps nothing after a page that is none', async () => {
  const store = createStore();
  await run(store, [compact(0, 3)]);
  const cut = { ...compact(0, 1), body: compact(0, 1).body.subarray(0, 40) };
  expect((await run(store, [cut])).version).toMatch(/^the API server sent no list: /);
  expect((await run(store, [{ ...compact(0, 1), body: Buffer.from('<html>') }])).version).toMatch(/envelope/);
  expect(store.size).toBe(3);
});

it('asks for the same page anew in smaller ones where it was too large', async () => {
  const store = createStore();
  const answers: (KubeResponse | 'too-large')[] = [
    compact(0, 500, 'b'),
    'too-large',
    compact(500, 625, 'c'),
    compact(625, 626),
  ];
  const asked: string[] = [];
  const client: Pick<KubeClient, 'get'> = {
    async get(path) {
      asked.push(new URL(path, 'https://fake').search);
      const answer = answers.shift();
      if (answer === undefined || answer === 'too-large') throw new KubeError('too-large', 'over the limit');
      return answer;
    },
  };
  await list({ client, store, wanted: () => false, heard() {} }, new AbortController().signal);
  expect(asked).toEqual(['?limit=500', '?limit=1000&continue=b', '?limit=125&continue=b', '?limit=125&continue=c']);
  expect(store.size).toBe(626);
});

/** Answers that come when the test says so. */
function slowly() {
  const asked: { query: string; begin: (answer: KubeResponse) => void; end: (answer: KubeResponse) => void }[] = [];
  const fail: ((error: Error) => void)[] = [];
  const client: Pick<KubeClient, 'get'> = {
    get(path, { onBegun }) {
      return new Promise((resolve, reject) => {
        const begin = (answer: KubeResponse) => onBegun?.({ ...answer, body: answer.body.subarray(0, 200) });
        asked.push({ query: new URL(path, 'https://fake').search, begin, end: resolve });
        fail.push(reject);
      });
    },
  };
  const store = createStore();
  const ended = list({ client, store, wanted: () => false, heard() {} }, new AbortController().signal);
  const outcome = ended.catch((error: Error) => error.message);
  const queries = async () => {
    await setImmediate();
    return asked.map(({ query }) => query);
  };
  return { asked, fail, store, outcome, queries };
}

it('asks for the next page while the rest of one comes, and for no page further ahead', async () => {
  const { asked, store, outcome, queries } = slowly();
  const pages = [compact(0, 500, 'b'), compact(500, 1_500, 'c', '9'), compact(1_500, 1_600)] as const;
  expect(await queries()).toEqual(['?limit=500']);
  asked[0]?.begin(pages[0]);
  expect(await queries()).toEqual(['?limit=500', '?limit=1000&continue=b']);
  asked[1]?.begin(pages[1]);
  asked[1]?.end(pages[1]);
  expect(await queries()).toHaveLength(2);
  expect(store.size).toBe(0);
  asked[0]?.end(pages[0]);
  await vi.waitFor(async () => expect(await queries()).toHaveLength(3));
  asked[2]?.begin(pages[2]);
  asked[2]?.end(pages[2]);
  expect(await outcome).toBe('7');
  expect([store.size, (await queries())[2]]).toEqual([1_600, '?limit=1000&continue=c']);
});

it('forgets what it asked for ahead of a page that was too large', async () => {
  const { asked, fail, store, outcome, queries } = slowly();
  asked[0]?.begin(compact(0, 500, 'b'));
  expect(await queries()).toHaveLength(2);
  fail[0]?.(new KubeError('too-large', 'over the limit'));
  expect((await queries()).slice(2)).toEqual(['?limit=63']);
  fail[1]?.(new Error('nobody asks for it any more'));
  asked[2]?.end(compact(0, 63, 'c'));
  await vi.waitFor(async () => expect((await queries()).slice(3)).toEqual(['?limit=63&continue=c']));
  asked[3]?.end(compact(63, 64));
  expect(await outcome).toBe('7');
  expect(store.size).toBe(64);
});

it.each([
  ['the page itself', 0],
  ['the one ahead', 1],
])('fails with what failed: %s', async (_, which) => {
  const { asked, fail, outcome, queries } = slowly();
  asked[0]?.begin(compact(0, 1, 'b'));
  await queries();
  if (which === 0) fail[1]?.(new Error('later, and so it is not told'));
  await queries();
  if (which === 0) fail[0]?.(new Error('first'));
  else asked[0]?.end(compact(0, 1, 'b'));
  fail[1]?.(new Error('second'));
  expect(await outcome).toBe(which === 0 ? 'first' : 'second');
});

it('does not ask ahead because of an answer that is none', async () => {
  const { asked, outcome, queries } = slowly();
  asked[0]?.begin({ ...compact(0, 1, 'b'), status: 500 });
  expect(await queries()).toHaveLength(1);
  asked[0]?.end({ ...compact(0, 1, 'b'), status: 500 });
  expect(await outcome).toBe('listing ServiceAccounts was answered with HTTP 500');
});
