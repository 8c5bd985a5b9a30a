import { describe, expect, it } from 'vitest';
import { NO_ANNOTATIONS } from '../../../webhook/service-accounts/account.ts';
import { createStore } from '../../../webhook/service-accounts/store.ts';

const annotated = { 'podpass.dev/audiences': 'a' };
const noPause = async () => undefined;

describe('the store of ServiceAccounts', () => {
  it('knows what was put, and tells nothing of what was not', () => {
    const store = createStore();
    store.put('shop', 'web', annotated);
    store.put('shop', 'plain', NO_ANNOTATIONS);
    expect([store.get('shop', 'web'), store.get('shop', 'plain'), store.get('web', 'shop')]).toEqual([
      annotated,
      NO_ANNOTATIONS,
      undefined,
    ]);
    store.put('shop', 'web', NO_ANNOTATIONS);
    expect([store.get('shop', 'web'), store.size]).toEqual([NO_ANNOTATIONS, 2]);
    store.delete('shop', 'web');
    expect([store.get('shop', 'web'), store.size]).toEqual([undefined, 1]);
  });

  it('sweeps what a new round did not see, annotated or not', async () => {
    const store = createStore();
    store.beginRound();
    for (const name of ['stays', 'goes']) {
      store.put('a', name, NO_ANNOTATIONS);
      store.put('b', name, annotated);
    }
    store.beginRound();
    for (const namespace of ['a', 'b']) store.put(namespace, 'stays', namespace === 'a' ? annotated : NO_ANNOTATIONS);
    expect(store.size).toBe(4);
    expect(store.get('a', 'goes')).toBe(NO_ANNOTATIONS);
    await store.sweep(noPause);
    expect([store.size, store.get('a', 'stays'), store.get('b', 'stays'), store.get('a', 'goes')]).toEqual([
      2,
      annotated,
      NO_ANNOTATIONS,
      undefined,
    ]);
  });

  it('counts no round that ended early', async () => {
    const store = createStore();
    store.beginRound();
    store.put('a', 'gone', NO_ANNOTATIONS);
    store.beginRound();
    store.put('a', 'gone', NO_ANNOTATIONS);
    store.beginRound();
    store.put('a', 'there', NO_ANNOTATIONS);
    await store.sweep(noPause);
    expect([store.size, store.get('a', 'gone')]).toEqual([1, undefined]);
  });

  it('sweeps in slices', async () => {
    const store = createStore();
    for (let i = 0; i < 12_000; i++) store.put('a', `sa-${i}`, NO_ANNOTATIONS);
    store.beginRound();
    const sizes: number[] = [];
    await store.sweep(async () => sizes.push(store.size));
    expect([sizes, store.size]).toEqual([[7_000, 2_000], 0]);
  });
});
