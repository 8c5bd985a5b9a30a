import { readFileSync } from 'node:fs';
import { beforeEach, describe, expect, test } from 'vitest';
import { writeReview } from '../../webhook/admission-review.ts';
import { type AdmissionSettings, admit } from '../../webhook/admit.ts';
import { createKnownAnswers, IN_DETAIL, isShort, type KnownAnswers } from '../../webhook/known-answers.ts';
import type { PodReport } from '../../webhook/pod-report.ts';
import { createReviewer, type Reviewer } from '../../webhook/reviewer.ts';
import { type ServiceAccountSource, ServiceAccountUnavailable } from '../../webhook/service-accounts.ts';
import { countedAnswers } from '../counted-answers.ts';
import { mutationSettings } from '../mutation-settings.ts';
import { parseReview } from '../parse-review.ts';

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
const counting = () =>
  countedAnswers(() => {
    hits += 1;
  });

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
  known = counting();
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

test.each([
  ['of other templates', (text: string, i: number) => text.replaceAll('7d9c6b5f4', `7d9c6b5f${i}`)],
  ['with names of their own', (text: string, i: number) => text.replace('"generateName":"web-', `"name":"web-${i}`)],
  ['with other arguments', (text: string, i: number) => text.replace('"command":["migrate"', `"args":["${i}"],$&`)],
  ['with other values', (text: string, i: number) => text.replace('"value":"info"', `"value":"${i}"`)],
  [
    'with other labels',
    (text: string, i: number) => text.replace('"app.kubernetes.io/name":"web"', `"run-${i}":"${i}"`),
  ],
  ['with annotations of others', (text: string, i: number) => text.replace('"annotations":{', `$&"x/${i}":"${i}",`)],
  ['on other nodes', (text: string, i: number) => text.replace('"spec":{', `$&"nodeSelector":{"node":"${i}"},`)],
  ['with other programs', (text: string, i: number) => text.replace(/"image":"[^"]*"/, `"image":"web:${i}"`)],
])('Pods %s are known too', async (_, change) => {
  for (let i = 0; i < 4; i++) await reviewed(next((text) => change(text, i)).body);
  expect(hits).toBe(2);
});

test('an answer that follows from the name of a Pod is known for Pods of that name alone', async () => {
  const azure = (text: string) => text.replace('"labels":{', '"labels":{"azure.workload.identity/use":"true",');
  const named = (name: string) => (text: string) =>
    azure(text).replace('"generateName":"web-', `"generateName":"${name}-`);
  for (let i = 0; i < 3; i++) await reviewed(next(azure).body);
  expect(hits).toBe(1);
  const answers = [];
  for (const name of ['a', 'b', 'b', 'a', 'b', 'a']) answers.push(await reviewed(next(named(name)).body));
  expect(hits).toBe(3);
  const patches = answers.map(({ answer }) => JSON.parse(answer).response.patch);
  expect([new Set(patches).size, patches[1] === patches[2]]).toEqual([2, true]);
  // Whatever the name is that it is tried with.
  const called = (value: string) => (text: string) =>
    azure(text).replace(/"generateName":"[^"]*"/, `"generateName":${value}`);
  for (const value of ['"another"', '"another"', '"other"', '"another"', 'null', 'null', '"x"', '""', '""', '"y"'])
    await reviewed(next(called(value)).body);
});

test('a large Pod is known too', async () => {
  const large = (text: string) => {
    const review = JSON.parse(text);
    const { containers } = review.request.object.spec;
    for (let i = 0; i < 60; i++) containers.push({ ...containers[0], name: `web-${i}` });
    return JSON.stringify(review);
  };
  expect(next(large).body.length).toBeGreaterThan(40_000);
  for (let i = 0; i < 3; i++) await reviewed(next(large).body);
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
    'a label of ours': (text: string) => text.replace('"labels":{', '"labels":{"podpass.dev/inject":"true",'),
    "a preset's label": (text: string) =>
      text.replace('"labels":{', '"labels":{"eks.amazonaws.com/skip-pod-identity-webhook":"",'),
    'a mirror Pod': (text: string) =>
      text.replace('"annotations":{', '"annotations":{"kubernetes.io/config.mirror":"x",'),
    'a variable of another name': (text: string) => text.replace('"name":"LOG_LEVEL"', '"name":"LOG"'),
    Windows: (text: string) => text.replace('"spec":{', '"spec":{"nodeSelector":{"kubernetes.io/os":"windows"},'),
    'another container': (text: string) => text.replace('"name":"exporter"', '"name":"importer"'),
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

  test('of a review that says its uid twice', async () => {
    const twice = (text: string) => text.replace('"kind":{"group"', '"uid":"other","kind":{"group"');
    for (let i = 0; i < 3; i++) expect((await review(next(twice).body, () => {})).uid).toBe('other');
    const same = (text: string) => text.replace(/"uid":"([^"]*)",/, '$&"uid":"$1",');
    const { body, uid } = next(same);
    for (let i = 0; i < 2; i++) await review(body, () => {});
    const other = Buffer.from(body.toString().replace(uid, next().uid));
    expect((await review(other, () => {})).uid).toBe(uid);
    // The second one behind all that is apart.
    const env = Array.from({ length: 1_000 }, (_, i) => ({ name: `V${i}`, value: 'x' }));
    const behind = (text: string) =>
      text
        .replace('"name":"LOG_LEVEL"', `"name":"E"},${JSON.stringify(env).slice(1, -1)},{$&`)
        .replace(/}\s*}$/, ',"uid":"other"$&')
        .replaceAll(/kube-api-access-\w{5}/g, 'kube-api-access-bcdfg');
    for (let i = 0; i < 4; i++) expect((await review(next(behind).body, () => {})).uid).toBe('other');
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
  const answer = (head: string, annotations = {}) => ({
    ...{ head, tail: '', namespace: '', result: 'unchanged' as const, reason: '' },
    ...{ serviceAccount: { namespace: '', name: '', annotations }, settings },
  });
  const like = (number: number, key = 'key') => ({ uid: '', number, key, detail: 0 });

  test('those asked for again stay, of the others so many as fit', () => {
    const answers = createKnownAnswers(2_200);
    answers.put(like(1000), answer('often'));
    for (let i = 0; i < 100; i++) {
      answers.put(like(i), answer(`seldom ${i}`));
      expect(answers.get(like(1000))).toMatchObject({ head: 'often' });
    }
    const left = Array.from({ length: 100 }, (_, i) => answers.get(like(i))).filter(Boolean);
    expect(left.length).toBeLessThan(8);
    expect(answers.get(like(99))).toMatchObject({ head: 'seldom 99' });
  });

  test('a key of the same number is another key', () => {
    const answers = createKnownAnswers();
    answers.put(like(1, 'one'), answer('one'));
    expect(answers.get(like(1, 'other'))).toBeUndefined();
    answers.put(like(1, 'other'), answer('other'));
    expect([answers.get(like(1, 'one')), answers.get(like(1, 'other'))]).toMatchObject([undefined, { head: 'other' }]);
  });

  test('a long one is not kept, whatever it is that is long', () => {
    const long = 'x'.repeat(131_000);
    const answers = createKnownAnswers();
    expect(isShort(like(1), answer(long.slice(1_000)))).toBe(true);
    for (const [likeness, known] of [
      [like(1, long), answer('')],
      [like(1), answer(long)],
      [like(1), answer('', { 'podpass.dev/audiences': long })],
      [like(1, long), IN_DETAIL],
    ] as const) {
      expect(isShort(likeness, known)).toBe(false);
      answers.put(likeness, known);
      expect(answers.get(likeness)).toBeUndefined();
    }
  });

  test('what they hold has a limit, however little the answers are', () => {
    const answers = createKnownAnswers();
    const annotations = () => ({ 'podpass.dev/audiences': 'x'.repeat(16_000) });
    for (let i = 0; i < 1_000; i++) answers.put(like(i), answer('', annotations()));
    const held = (count: number) =>
      Array.from({ length: count }, (_, i) => answers.get(like(i))).filter(Boolean).length;
    expect(held(1_000)).toBeLessThan(2 * 66);
    for (let i = 0; i < 10_000; i++) answers.put(like(i), IN_DETAIL);
    expect(held(10_000)).toBeLessThan(2 * 2_048);
  });
});

const AZURE = '"azure.workload.identity/use":"true"';
const SPEC = '{"containers":[{"name":"web"}]}';

// An answer is learnt from Pods with the one value, and given to a Pod with the other.
test.each([
  ['a name', (value: string) => `{"metadata":{"name":${value}},"spec":${SPEC}}`],
  ['a name that counts', (value: string) => `{"metadata":{"name":${value},"labels":{${AZURE}}},"spec":${SPEC}}`],
  [
    'a prefix that counts',
    (value: string) => `{"metadata":{"generateName":${value},"labels":{${AZURE}}},"spec":${SPEC}}`,
  ],
  ['a label', (value: string) => `{"metadata":{"name":"a","labels":{"job-name":${value}}},"spec":${SPEC}}`],
  [
    'an annotation',
    (value: string) =>
      `{"metadata":{"name":"a","annotations":{"batch.kubernetes.io/job-completion-index":${value}}},"spec":${SPEC}}`,
  ],
  ['an owner', (value: string) => `{"metadata":{"name":"a","ownerReferences":${value}},"spec":${SPEC}}`],
])('no value of %s is taken for another one', async (_, podOf) => {
  const values = [
    '"a"',
    '"b"',
    '""',
    '"another"',
    '"ax"',
    String.raw`"\u0061"`,
    'null',
    '5',
    '{}',
    '[{"controller":true}]',
  ];
  const outcome = async (work: () => Promise<unknown>) => work().catch((error: Error) => error.message);
  for (const learnt of values) {
    for (const value of values) {
      review = createReviewer({ serviceAccounts: source, settings: () => settings, known: counting() });
      for (const each of [learnt, learnt, value, value, learnt, value]) {
        const pod = podOf(each);
        const { body } = next((text) => text.replace(/"object":.*,"oldObject":/, `"object":${pod},"oldObject":`));
        const anew = outcome(async () => {
          const request = parseReview(body);
          return writeReview(request, (await admit(request, source, settings)).response);
        });
        const found = outcome(async () => (await review(body, () => {})).answer);
        expect([pod, await found]).toEqual([pod, await anew]);
      }
    }
  }
  expect(hits).toBeGreaterThan(2 * values.length);
});

test('a Pod that is answered by its name is worked out once, not twice, when its like have been', async () => {
  const azure = (name: string) => (text: string) =>
    text
      .replace('"labels":{', '"labels":{"azure.workload.identity/use":"true",')
      .replace('"generateName":"web-', `"name":"${name}`);
  const before = asked.length;
  let lookups = 0;
  const { get } = source;
  source = {
    get(...of) {
      lookups += 1;
      return get(...of);
    },
  };
  for (let i = 0; i < 10; i++) await review(next(azure(`db-${i}`)).body, () => {});
  expect([lookups, asked.length - before, hits]).toEqual([10, 10, 0]);
});
