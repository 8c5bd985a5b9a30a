import jsonPatch, { type Operation } from 'fast-json-patch';
import { expect, test } from 'vitest';
import { append, pointer, setMembers } from '../../src/json-patch.ts';

const apply = (document: object, patch: readonly object[]) =>
  jsonPatch.applyPatch(structuredClone(document), structuredClone(patch) as Operation[], true).newDocument;

test('a pointer escapes ~ before / (RFC 6901 section 3)', () => {
  expect(pointer('metadata', 'annotations', 'podpass.dev/injected')).toBe(
    '/metadata/annotations/podpass.dev~1injected',
  );
  expect(pointer('~1', '/~', '', 0)).toBe('/~01/~1~0//0');
  expect(pointer()).toBe('');
});

test.each([undefined, [], [{ name: 'a' }]])('items come last in a list that is %j', (list) => {
  const document = list === undefined ? {} : { list };
  const patch = append('/list', list, [1, 2]);
  expect(patch.every(({ op }) => op === 'add')).toBe(true);
  expect(apply(document, patch)).toEqual({ list: [...(list ?? []), 1, 2] });
  expect(append('/list', list, [])).toEqual([]);
});

test.each([undefined, {}, { 'x/y': 'old', z: '1' }])('members are set in an object that is %j', (map) => {
  const operations = setMembers('/map', map, { 'x/y': 'new', '~': '2' });
  expect(operations.every(({ op }) => op === 'add')).toBe(true);
  expect(apply(map === undefined ? {} : { map }, operations)).toEqual({ map: { ...map, 'x/y': 'new', '~': '2' } });
  expect(setMembers('/map', map, {})).toEqual([]);
});
