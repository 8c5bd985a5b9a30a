import { expect, test } from 'vitest';
import { type Cluster, createIssuerWatch } from '../../discovery/issuer-watch.ts';
import type { KeySource } from '../../discovery/key-source/key-source.ts';
import { issuerDifference } from '../../src/issuer-difference.ts';
import { sleep } from '../../src/sleep.ts';

const READING = { keys: [], refused: [] };
const signal = new AbortController().signal;
const server = 'https://10.0.0.1:6443';

/** A watch of one cluster, which tells the issuer of this moment. */
function watchOf(served: readonly string[] | undefined, first: string | Error) {
  const state = { issuer: first, served, asked: 0, read: async () => READING };
  const logged: [level: string, fields: object, message: string][] = [];
  const note = (level: string) => (fields: object, message: string) => void logged.push([level, fields, message]);
  const log = { debug: () => undefined, info: note('info'), warn: note('warn'), error: note('error') };
  const cluster: Cluster = {
    server,
    async issuer() {
      state.asked += 1;
      if (state.issuer instanceof Error) throw state.issuer;
      return state.issuer;
    },
  };
  const watch = createIssuerWatch((asked) => (asked === cluster ? state.served : []), log);
  const source: KeySource = { name: 'cluster', read: () => state.read() };
  const beside = watch.beside(source, cluster);
  const poll = async () => {
    expect(await beside.read(signal)).toBe(READING);
    await sleep(0);
  };
  return { state, logged, watch, cluster, source, beside, poll };
}

test('the issuer that is served is no news', async () => {
  const { watch, logged, poll } = watchOf(['https://b', 'https://a'], 'https://a');
  expect(watch.verdicts()).toEqual([]);
  await poll();
  expect(watch.verdicts()).toMatchObject([{ server, mismatch: undefined }]);
  expect(logged).toEqual([]);
});

test('another one is told once, with both and how they differ, and so is its end', async () => {
  const { state, watch, logged, poll } = watchOf(['https://a/'], 'https://a');
  const mismatch =
    'its tokens are from "https://a", and the keys are served for "https://a/": they differ in the slash at the end';
  await poll();
  await poll();
  expect(watch.verdicts()).toMatchObject([{ server, mismatch }]);
  const fields = { server, issuers: ['https://a/'], clusterIssuer: 'https://a' };
  const warned = [
    'warn',
    { ...fields, detail: mismatch },
    'the tokens of the cluster are from an issuer that is not served',
  ];
  expect(logged).toEqual([warned]);

  state.issuer = 'https://other';
  await poll();
  expect(watch.verdicts()[0]?.mismatch).toBe(
    'its tokens are from "https://other", and the keys are served for "https://a/"',
  );
  state.issuer = 'https://a/';
  await poll();
  await poll();
  expect(watch.verdicts()[0]?.mismatch).toBeUndefined();
  expect(logged.map(([level]) => level)).toEqual(['warn', 'warn', 'info']);
});

test('a cluster that does not tell leaves what was found, and nothing is judged before it has', async () => {
  const { state, watch, logged, poll } = watchOf(['https://a'], new Error('HTTP 403'));
  await poll();
  expect(watch.verdicts()).toEqual([]);
  state.issuer = 'https://b';
  await poll();
  state.issuer = new Error('HTTP 500');
  await poll();
  expect(watch.verdicts()[0]?.mismatch).toContain('"https://b"');
  expect(logged).toHaveLength(1);
});

test('while an issuer of the cluster is not known, nothing is judged', async () => {
  const { state, watch, logged, poll } = watchOf(undefined, 'https://new');
  await poll();
  expect([watch.verdicts(), logged]).toEqual([[], []]);
  state.served = ['https://old', 'https://new'];
  await poll();
  expect(watch.verdicts()[0]?.mismatch).toBeUndefined();
});

test('a reading neither waits for it nor fails with it, and what hangs is asked once', async () => {
  const { state, cluster, watch, source } = watchOf(['https://a'], 'https://a');
  let given: AbortSignal | undefined;
  const hanging = {
    ...cluster,
    issuer: (stop: AbortSignal) => {
      given = stop;
      state.asked += 1;
      return new Promise<string>(() => undefined);
    },
  };
  const beside = watch.beside(source, hanging);
  expect(await beside.read(signal)).toBe(READING);
  expect(await beside.read(signal)).toBe(READING);
  expect(state.asked).toBe(1);
  watch.stop();
  expect(given?.aborted).toBe(true);
});

test('after a reading that failed, and after the end, nothing is asked', async () => {
  const { state, beside, watch, poll } = watchOf(['https://a'], 'https://a');
  state.read = () => Promise.reject(new Error('away'));
  await expect(beside.read(signal)).rejects.toThrow('away');
  expect(state.asked).toBe(0);
  state.read = async () => READING;
  watch.stop();
  await poll();
  expect(state.asked).toBe(0);
});

test.each([
  ['https://h/p', 'https://h/p/', 'they differ in the slash at the end'],
  ['https://H/p', 'https://h/p', 'they differ in upper and lower case'],
  ['https://h:443/p', 'https://h/p', 'they differ in the port'],
  ['https://h:443', 'https://h', 'they differ in the port'],
  ['http://h/p', 'https://h/p', 'they differ in http and https'],
  ['https://h/p', 'https://h/q', undefined],
  ['https://h:8443/p', 'https://h/p', undefined],
])('%s and %s', (one, other, difference) => {
  expect(issuerDifference(one, other)).toBe(difference);
  expect(issuerDifference(other, one)).toBe(difference);
});
