import { readFileSync } from 'node:fs';
import { beforeEach, describe, expect, test } from 'vitest';
import { parseReview, writeReview } from '../../webhook/admission-review.ts';
import { type AdmissionSettings, admit } from '../../webhook/admit.ts';
import { createKnownAnswers, type KnownAnswers } from '../../webhook/known-answers.ts';
import type { PodReport } from '../../webhook/pod-report.ts';
import { createReviewer, type Reviewer } from '../../webhook/reviewer.ts';
import { type ServiceAccountSource, ServiceAccountUnavailable } from '../../webhook/service-accounts.ts';
import { mutationSettings } from '../mutation-settings.ts';

const recorded = JSON.stringify(
  JSON.parse(readFileSync(new URL('../bench/admission/review.json', import.meta.url), 'utf8')),
);
const [, RECORDED_UID = ''] = /"uid":"([0-9a-f-]{36})"/.exec(recorded) ?? [];
const [, RECORDED_DRAWN = ''] = /kube-api-access-(\w{5})/.exec(recorded) ?? [];
const ONE = Object.freeze({ 'podpass.dev/audiences': 'https://api.example.com' });

/** The next Pod of the same template; `change` makes it another. */
let count = 0;
function next(change: (text: string) => string = (text) => text): { body: Buffer; uid: string } {
  count += 1;
  const uid = `690b3e6b-d039-4a7b-a3ca-${count.toString(16).padStart(12, '0')}`;
  const drawn = [...count.toString(16).padStart(5, '0')].map((digit) => 'bcdfghjklmnpqrst'[Number.parseInt(digit, 16)]);
  const text = change(recorded.replace(RECORDED_UID, uid).replaceAll(RECORDED_DRAWN, drawn.join('')));
  return { body: Buffer.from(text), uid };
}

let settings: AdmissionSettings;
let source: ServiceAccountSource;
let asked: string[];
let annotations: Readonly<Record<string, string>>;
let reports: PodReport[];
/** How often an answer was found that was given before. */
let hits: number;
let known: KnownAnswers;
let review: Reviewer;
beforeEach(() => {
  settings = { ...mutationSettings({ presets: 'aws,azure,gcp', azureTenantId: 'tenant' }), ephemeralContainers: false };
  annotations = ONE;
  asked = [];
  reports = [];
  hits = 0;
  source = {
    async get(namespace, name) {
      asked.push(`${namespace}/${name}`);
      return { found: true, source: 'cache', serviceAccount: { namespace, name, annotations } };
    },
  };
  const real = createKnownAnswers();
  known = {
    get(key) {
      const answer = real.get(key);
      if (answer !== undefined) hits += 1;
      return answer;
    },
    put: real.put,
  };
  review = createReviewer({
    serviceAccounts: { get: (namespace, name) => source.get(namespace, name) },
    settings: () => settings,
    onReport: (_, report) => void reports.push(report),
    known,
  });
});

/** The first is noted, the answer to the second is kept. */
async function learn(): Promise<void> {
  for (let i = 0; i < 2; i++) await reviewed(next().body);
}

/** Reviews it, and compares the answer with one that is worked out anew. */
async function reviewed(body: Buffer) {
  const uids: string[] = [];
  const answered = await review(body, (uid) => void uids.push(uid));
  const before = asked.length;
  const request = parseReview(body);
  const { response, result, reason } = await admit(request, source, settings);
  asked.length = before;
  expect(answered).toMatchObject({ answer: writeReview(request, response), result, reason, uid: request.uid });
  expect(new Set(uids)).toEqual(new Set([request.uid]));
  return answered;
}

test('the third Pod of a template gets the same patch, with its own uid', async () => {
  await reviewed(next().body);
  const first = await reviewed(next().body);
  const second = await reviewed(next().body);
  expect([hits, first.result]).toEqual([1, 'injected']);
  expect(second.answer.replace(second.uid, first.uid)).toBe(first.answer);
  expect(second.namespace).toBe('default');
});

test('its ServiceAccount is asked about once for each Pod', async () => {
  for (let i = 0; i < 3; i++) await reviewed(next().body);
  expect(hits).toBe(1);
  annotations = { ...ONE };
  await reviewed(next().body);
  expect(asked).toEqual(Array(4).fill('default/app'));
});

test('what its managed fields say does not matter', async () => {
  await learn();
  await reviewed(next((text) => text.replace('kubectl-create', 'other-manager')).body);
  expect(hits).toBe(1);
});

test('a namespace that is null is as good as none, known or not', async () => {
  const without = (text: string) => text.replace('"namespace":"default","operation"', '"namespace":null,"operation"');
  for (let i = 0; i < 3; i++) expect((await reviewed(next(without).body)).namespace).toBe('');
  expect(hits).toBe(1);
});

describe('it is worked out anew', () => {
  const change = {
    'another annotation of the Pod': (text: string) =>
      text.replace('"annotations":{', '"annotations":{"podpass.dev/audience.x":"y",'),
    'another namespace': (text: string) => text.replaceAll('"namespace":"default"', '"namespace":"shop"'),
    'another ServiceAccount': (text: string) =>
      text.replaceAll('"serviceAccountName":"app"', '"serviceAccountName":"db"'),
    'another operation': (text: string) => text.replace('"operation":"CREATE"', '"operation":"UPDATE"'),
    'another label': (text: string) =>
      text.replace('"pod-template-hash":"7d9c6b5f4"', '"pod-template-hash":"7d9c6b5f5"'),
  };
  test.each(Object.entries(change))('for %s', async (_, changed) => {
    await learn();
    const { body } = next(changed);
    expect(body.equals(next().body)).toBe(false);
    await reviewed(body);
    expect(hits).toBe(0);
    await reviewed(next().body);
    expect(hits).toBe(1);
  });

  test('where the annotations of the ServiceAccount have changed', async () => {
    await learn();
    const first = await reviewed(next().body);
    annotations = { 'podpass.dev/audiences': 'https://other.example.com' };
    const second = await reviewed(next().body);
    expect(second.answer).not.toBe(first.answer.replace(first.uid, second.uid));
    annotations = ONE;
    await reviewed(next().body);
    await reviewed(next().body);
    expect(hits).toBe(4);
  });

  test('where the settings have changed', async () => {
    await learn();
    settings = { ...settings, reservedAudiences: new Set(['https://api.example.com']) };
    expect((await reviewed(next().body)).result).toBe('denied');
  });

  test('where the ServiceAccount is gone', async () => {
    await learn();
    source = {
      get: async () => ({ found: false, source: 'live' }),
    };
    expect((await reviewed(next().body)).reason).toContain('not found');
  });
});

test('a ServiceAccount that nobody can tell of is a fault, however often it was known', async () => {
  await learn();
  source = { get: (namespace, name) => Promise.reject(new ServiceAccountUnavailable(namespace, name, undefined)) };
  const uids: string[] = [];
  const { body, uid } = next();
  await expect(review(body, (each) => void uids.push(each))).rejects.toBeInstanceOf(ServiceAccountUnavailable);
  expect(uids).toEqual([uid]);
});

describe('nothing is kept', () => {
  test('of a denial: each Pod of it is reported', async () => {
    annotations = { 'podpass.dev/audience.': 'x' };
    for (let i = 0; i < 3; i++) expect((await reviewed(next().body)).result).toBe('denied');
    expect([hits, reports.length]).toEqual([0, 3]);
  });

  test('of an answer with a warning, which may name what differs', async () => {
    annotations = { 'podpass.dev/audienses': 'x' };
    for (let i = 0; i < 3; i++) expect((await reviewed(next().body)).answer).toContain('"warnings"');
    expect(hits).toBe(0);
  });

  test('of a Pod with a name', async () => {
    const named = (text: string) => text.replace('"generateName":"web-7d9c6b5f4-"', '"name":"web"');
    for (let i = 0; i < 3; i++) await reviewed(next(named).body);
    expect(hits).toBe(0);
  });

  test('of a review that says its uid twice', async () => {
    const twice = (text: string) => text.replace('"kind":{"group"', '"uid":"other","kind":{"group"');
    for (let i = 0; i < 3; i++) expect((await review(next(twice).body, () => {})).uid).toBe('other');
    const same = (text: string) => text.replace(/"uid":"([^"]*)",/, '$&"uid":"$1",');
    const { body, uid } = next(same);
    for (let i = 0; i < 2; i++) await review(body, () => {});
    const other = Buffer.from(body.toString().replace(uid, next().uid));
    expect((await review(other, () => {})).uid).toBe(uid);
    expect(hits).toBe(0);
  });

  test('where the ServiceAccount was read live: it is another object each time', async () => {
    source = {
      get: async (namespace, name) => ({
        found: true,
        source: 'live',
        serviceAccount: { namespace, name, annotations: { ...annotations } },
      }),
    };
    for (let i = 0; i < 4; i++) expect((await reviewed(next().body)).result).toBe('injected');
    expect(hits).toBe(0);
  });

  test('of what is no JSON', async () => {
    await learn();
    await expect(review(next((text) => `${text}}`).body, () => {})).rejects.toThrow('not JSON');
    await expect(review(next((text) => `${text}}`).body, () => {})).rejects.toThrow('not JSON');
  });
});

describe('known answers', () => {
  const answer = (head: string) => ({
    ...{ head, tail: '', namespace: '', result: 'unchanged' as const, reason: '' },
    ...{ serviceAccount: { namespace: '', name: '', annotations: {} }, settings },
  });

  test('those asked for again stay, of the others so many as fit', () => {
    const answers = createKnownAnswers(4);
    answers.put('often', answer('often'));
    for (let i = 0; i < 100; i++) {
      answers.put(`seldom ${i}`, answer(String(i)));
      expect(answers.get('often')?.head).toBe('often');
    }
    const left = Array.from({ length: 100 }, (_, i) => answers.get(`seldom ${i}`)).filter(Boolean);
    expect(left.length).toBeLessThan(8);
    expect(answers.get('seldom 99')?.head).toBe('99');
  });

  test('a long one is not kept', () => {
    const answers = createKnownAnswers();
    answers.put('long', answer('x'.repeat(16_385)));
    expect(answers.get('long')).toBeUndefined();
  });
});
