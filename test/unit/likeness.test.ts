import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { likenessOf, templateOf } from '../../webhook/likeness.ts';

const UIDS = ['690b3e6b-d039-4a7b-a3ca-cbd1844b8558', '705ab4f5-6393-11e8-b7cc-42010a800002'] as const;
const recorded = JSON.stringify(
  JSON.parse(readFileSync(new URL('../bench/admission/review.json', import.meta.url), 'utf8')),
);
const [, DRAWN = ''] = /kube-api-access-(\w{5})/.exec(recorded) ?? [];
const keyOf = (text: string) => likenessOf(text)?.key;

test('reviews that differ in their uid and the drawn name of a volume are alike', () => {
  const other = recorded.replace(UIDS[0], UIDS[1]).replaceAll(DRAWN, 'zxb42');
  expect(recorded).toContain(UIDS[0]);
  expect(other).not.toContain(DRAWN);
  expect(likenessOf(recorded)?.uid).toBe(UIDS[0]);
  expect(likenessOf(other)?.uid).toBe(UIDS[1]);
  expect(keyOf(other)).toBe(keyOf(recorded));
});

test('nothing else is left out: a change of any one character is seen', () => {
  const key = keyOf(recorded);
  const head = '{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"'.length;
  const leftOut = new Set(Array.from({ length: 36 }, (_, i) => head + i));
  for (const { index } of recorded.matchAll(new RegExp(DRAWN, 'g'))) {
    for (let i = 0; i < 5; i++) leftOut.add(index + i);
  }
  for (let at = 0; at < recorded.length; at++) {
    if (leftOut.has(at)) continue;
    const changed = `${recorded.slice(0, at)}${recorded[at] === 'x' ? 'y' : 'x'}${recorded.slice(at + 1)}`;
    if (keyOf(changed) === key) throw new Error(`the change at ${at} is not seen: ${changed.slice(at - 40, at + 40)}`);
  }
});

const volume = (name: string) => `{"name":"kube-api-access-${name}","projected":{"sources":[]}}`;
const mount = (name: string, path = '/var/run/secrets/kubernetes.io/serviceaccount') =>
  `{"name":"kube-api-access-${name}","readOnly":true,"mountPath":"${path}"}`;
const review = (inside: string, uid: string = UIDS[0]) =>
  `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"${uid}","object":{"metadata":{"generateName":"web-"},"spec":[${inside}]}}}`;

test.each([
  ['a container of such a name', '{"name":"kube-api-access-bcdfg","image":"web"}'],
  ['an annotation', '{"annotations":{"name":"kube-api-access-bcdfg","other":"text"}}'],
  ['an annotation that looks like a volume', `{"annotations":{"a":${JSON.stringify(volume('bcdfg'))}}}`],
  ['an annotation that looks like a mount', `{"annotations":{"a":${JSON.stringify(mount('bcdfg'))}}}`],
  ['an annotation called name before one called projected', '{"name":"kube-api-access-bcdfg","projected":"{"}'],
  ['a mount of it elsewhere', mount('bcdfg', '/elsewhere')],
  ['a name that nobody draws', volume('abcde')],
  ['a name of more letters', volume('bcdfgh')],
])('%s stays what it is', (_, inside) => {
  expect(keyOf(review(inside))).toContain(inside);
});

test('volumes of two drawn names are like no others', () => {
  expect(keyOf(review(`${volume('bcdfg')},${mount('bcdfg')}`))).toBe(
    keyOf(review(`${volume('hjklm')},${mount('hjklm')}`)),
  );
  expect(likenessOf(review(`${volume('bcdfg')},${mount('hjklm')}`))).toBeUndefined();
  expect(likenessOf(review(`${mount('bcdfg')},${mount('hjklm')}`))).toBeUndefined();
});

test('one with a drawn name and one without letters in its place are not alike', () => {
  expect(keyOf(review(volume('')))).not.toBe(keyOf(review(volume('bcdfg'))));
  expect(likenessOf(review(volume('\0')))).toBeUndefined();
});

test.each([
  ['in another order', JSON.stringify({ apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', request: {} })],
  ['with space', review('').replace('{', '{ ')],
  ['with a uid that is none', review('', 'a'.repeat(36))],
  ['with a long uid', review('', `${UIDS[0]}0`)],
  ['that is long', review(JSON.stringify('x'.repeat(16_384)))],
  ['that is empty', ''],
])('a review %s is like no other', (_, text) => {
  expect(likenessOf(text)).toBeUndefined();
});

test('a template has the same number whatever else its Pods have, and mostly another one than others', () => {
  const of = (name: string, rest = '') => templateOf(review(rest).replace('web-', name));
  expect(of('web-7d9c6b5f4-')).toBe(of('web-7d9c6b5f4-', volume('bcdfg')));
  const numbers = Array.from({ length: 1000 }, (_, i) => of(`web-${i.toString(16)}-`));
  expect(new Set(numbers).size).toBeGreaterThan(990);
});

test.each([
  ['of a Pod with a name of its own', review('').replace('generateName', 'name')],
  ['in another order', JSON.stringify({ apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', request: {} })],
  ['that is long', review(JSON.stringify('x'.repeat(16_384)))],
])('a review %s has no template', (_, text) => {
  expect(templateOf(text)).toBeUndefined();
});
