import { getEventListeners } from 'node:events';
import { setImmediate } from 'node:timers/promises';
import { expect, it, vi } from 'vitest';
import { type KubeClient, KubeError, type KubeStream } from '../../../src/runtime/kube-client.ts';
import { NO_ANNOTATIONS } from '../../../webhook/service-accounts/account.ts';
import { list } from '../../../webhook/service-accounts/list.ts';
import { createStore, type Store } from '../../../webhook/service-accounts/store.ts';
import { field, listOf } from './protobuf-writer.ts';

const PROTOBUF = 'application/vnd.kubernetes.protobuf';
const accounts = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, i) => ({ namespace: 'shop', name: `sa-${from + i}` }));

interface Answer {
  readonly type: string;
  readonly body: Buffer;
}

const compact = (from: number, to: number, next = '', version = '7'): Answer => ({
  type: PROTOBUF,
  body: listOf(accounts(from, to), version, next),
});
const json = (from: number, to: number, next = '', version = '7'): Answer => ({
  type: 'application/json',
  body: Buffer.from(
    JSON.stringify({
      metadata: { resourceVersion: version, continue: next },
      items: accounts(from, to).map((metadata) => ({ metadata })),
    }),
  ),
});
const expired = new KubeError('status', 'GET /api/v1/serviceaccounts: HTTP 410', 410);

async function* pieces(...bytes: readonly Buffer[]) {
  yield* bytes;
}
const streamOf = ({ type, body }: Answer, size = 700): KubeStream => ({
  headers: { 'content-type': type },
  body: pieces(
    ...Array.from({ length: Math.ceil(body.length / size) }, (_, i) => body.subarray(i * size, (i + 1) * size)),
  ),
});

/** Lists from these answers, one after the other, and tells what was asked for. */
async function run(store: Store, answers: readonly (Answer | Error)[]) {
  const asked: string[] = [];
  const heard = vi.fn();
  const client: Pick<KubeClient, 'stream'> = {
    async stream(path, { accept }) {
      const answer = answers[asked.length];
      asked.push(new URL(path, 'https://fake').search);
      if (answer === undefined || accept?.startsWith(PROTOBUF) !== true) throw new Error('not expected');
      if (answer instanceof Error) throw answer;
      return streamOf(answer);
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
    asked: ['?limit=500', '?limit=5000&continue=b', '?limit=5000&continue=c'],
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
  expect((await run(store, [compact(10, 12, 'b'), expired])).version).toBe('GET /api/v1/serviceaccounts: HTTP 410');
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
  const large = { ...json(500, 1_000, 'c'), body: Buffer.alloc(17 * 1024 * 1024) };
  const answers = [json(0, 500, 'b'), large, json(500, 563, 'c'), json(563, 564)];
  const { asked } = await run(store, answers);
  expect(asked).toEqual(['?limit=500', '?limit=500&continue=b', '?limit=63&continue=b', '?limit=63&continue=c']);
  expect(store.size).toBe(564);
});

it('gives up where a single one is too large', async () => {
  const large = { ...json(0, 1), body: Buffer.alloc(17 * 1024 * 1024) };
  const { version, asked } = await run(createStore(), Array(9).fill(large));
  expect([version, asked.at(-1)]).toEqual(['a ServiceAccount is too large to be read', '?limit=1']);
});

function deferred<T>() {
  let resolve: (value: T) => void = () => undefined;
  let reject: (error: Error) => void = () => undefined;
  const promise = new Promise<T>((fulfil, fail) => {
    [resolve, reject] = [fulfil, fail];
  });
  return { promise, resolve, reject };
}

/** Answers that come when the test says so. */
function slowly() {
  const asked: {
    readonly query: string;
    readonly signal: AbortSignal;
    /** Its status and headers, and as much of its body. */
    begin(answer: Answer, bytes?: number): void;
    /** The rest. */
    end(): void;
    fail(error: Error): void;
  }[] = [];
  const client: Pick<KubeClient, 'stream'> = {
    stream(path, { signal }) {
      const [begun, ended] = [deferred<KubeStream>(), deferred<void>()];
      asked.push({
        query: new URL(path, 'https://fake').search,
        signal,
        begin({ type, body }, bytes = 200) {
          async function* halves() {
            yield body.subarray(0, bytes);
            await ended.promise;
            yield body.subarray(bytes);
          }
          begun.resolve({ headers: { 'content-type': type }, body: halves() });
        },
        end: ended.resolve,
        fail(error) {
          begun.reject(error);
          ended.reject(error);
        },
      });
      ended.promise.catch(() => undefined);
      return begun.promise;
    },
  };
  const store = createStore();
  const ended = list({ client, store, wanted: () => false, heard() {} }, new AbortController().signal);
  const outcome = ended.catch((error: Error) => error.message);
  const queries = async () => {
    await setImmediate();
    return asked.map(({ query }) => query);
  };
  return { asked, store, outcome, queries };
}

it('asks for the next page while the rest of one comes, and for no page further ahead', async () => {
  const { asked, store, outcome, queries } = slowly();
  expect(await queries()).toEqual(['?limit=500']);
  asked[0]?.begin(compact(0, 500, 'b'));
  expect(await queries()).toEqual(['?limit=500', '?limit=5000&continue=b']);
  asked[1]?.begin(compact(500, 1_500, 'c', '9'));
  asked[1]?.end();
  expect(await queries()).toHaveLength(2);
  expect(store.size).toBe(0);
  asked[0]?.end();
  await vi.waitFor(async () => expect(await queries()).toHaveLength(3));
  asked[2]?.begin(compact(1_500, 1_600));
  asked[2]?.end();
  expect(await outcome).toBe('7');
  expect([store.size, (await queries())[2]]).toEqual([1_600, '?limit=5000&continue=c']);
});

it('puts what has come of a page before the rest has', async () => {
  const { asked, store, outcome, queries } = slowly();
  asked[0]?.begin(compact(0, 100), 5_000);
  await queries();
  expect(store.size).toBeGreaterThan(10);
  expect(store.size).toBeLessThan(90);
  asked[0]?.end();
  expect(await outcome).toBe('7');
  expect(store.size).toBe(100);
});

it.each([
  ['the page itself', 0, 'first'],
  ['the one ahead, before its turn', 1, 'second'],
])('fails with what failed, and asks for nothing any more: %s', async (_, which, told) => {
  const { asked, outcome, queries } = slowly();
  asked[0]?.begin(compact(0, 1, 'b'));
  await queries();
  if (which === 1) {
    asked[1]?.fail(new Error('second'));
    await queries();
    expect(asked[0]?.signal.aborted).toBe(false);
    asked[0]?.end();
  } else asked[0]?.fail(new Error('first'));
  expect(await outcome).toBe(told);
  expect([asked.length, asked[1]?.signal.aborted]).toEqual([2, true]);
});

it('follows the last word of a page on where the list goes on', async () => {
  const { asked, outcome, queries } = slowly();
  const metadata = (next: string) => field(1, [field(2, '7'), field(3, next)]);
  const page = {
    type: PROTOBUF,
    body: Buffer.concat([Buffer.from('k8s\0'), field(2, [metadata('b'), metadata('c')])]),
  };
  asked[0]?.begin(page, page.body.length - 2);
  expect(await queries()).toEqual(['?limit=500', '?limit=5000&continue=b']);
  asked[0]?.end();
  await vi.waitFor(async () => expect((await queries())[2]).toBe('?limit=5000&continue=c'));
  asked[2]?.begin(compact(2, 3));
  asked[2]?.end();
  expect(await outcome).toBe('7');
});

it('asks for a page that broke off once more, and then for small ones, one after the other', async () => {
  const { asked, store, outcome, queries } = slowly();
  asked[0]?.begin(compact(0, 500, 'b'));
  asked[0]?.end();
  await vi.waitFor(async () => expect(await queries()).toHaveLength(2));
  asked[1]?.begin(compact(500, 1_500, 'c'), 3_000);
  expect(await queries()).toEqual(['?limit=500', '?limit=5000&continue=b', '?limit=5000&continue=c']);
  asked[1]?.fail(new KubeError('timeout', 'nothing within 30000 ms'));
  await vi.waitFor(async () => expect((await queries()).slice(3)).toEqual(['?limit=500&continue=b']));
  asked[3]?.begin(compact(500, 1_000, 'd'));
  expect(await queries()).toHaveLength(4);
  asked[3]?.end();
  await vi.waitFor(async () => expect((await queries()).slice(4)).toEqual(['?limit=500&continue=d']));
  asked[4]?.begin(compact(1_000, 1_001));
  asked[4]?.end();
  expect(await outcome).toBe('7');
  expect(store.size).toBe(1_001);
});

it('fails where a page breaks off for the second time', async () => {
  const { asked, store, outcome, queries } = slowly();
  store.put('shop', 'old', NO_ANNOTATIONS);
  for (const which of [0, 1]) {
    await vi.waitFor(async () => expect(await queries()).toEqual(Array(which + 1).fill('?limit=500')));
    asked[which]?.begin(compact(0, 500));
    await queries();
    asked[which]?.fail(new KubeError('unreachable', 'reset'));
  }
  expect(await outcome).toBe('reset');
  expect(store.get('shop', 'old')).toBe(NO_ANNOTATIONS);
});

it('leaves no listener at the signal that it was given', async () => {
  const stop = new AbortController();
  const client: Pick<KubeClient, 'stream'> = { stream: async () => streamOf(compact(0, 1)) };
  await list({ client, store: createStore(), wanted: () => false, heard() {} }, stop.signal);
  expect(getEventListeners(stop.signal, 'abort')).toEqual([]);
});
