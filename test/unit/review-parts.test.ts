import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { AWS_LABEL_PREFIX, AZURE_PREFIX } from '../../src/catalog/presets.ts';
import { parseReview } from '../../webhook/admission-review.ts';
import { apart, apartText, type Part } from '../../webhook/excerpt.ts';
import { cutReview, inDetail, likenessOf, reviewParts } from '../../webhook/review-parts.ts';

const recorded = JSON.parse(readFileSync(new URL('../bench/admission/review.json', import.meta.url), 'utf8'));
const OTHER_UID = '705ab4f5-6393-11e8-b7cc-42010a800002';

// biome-ignore lint/suspicious/noExplicitAny: reviews are changed at any place
type Review = any;

function likeness(review: unknown) {
  const bytes = Buffer.from(JSON.stringify(review));
  const excerpt = cutReview(bytes);
  return excerpt && likenessOf(excerpt, bytes);
}

function changed(change: (review: Review) => void, of: Review = recorded): Review {
  const review = structuredClone(of);
  change(review);
  return review;
}

/** Every place of a value at which no object and no list stands. */
function* leaves(value: unknown, path: string[] = []): Generator<string[]> {
  if (typeof value !== 'object' || value === null || Object.keys(value).length === 0) yield path;
  else for (const [key, member] of Object.entries(value)) yield* leaves(member, [...path, key]);
}

const at = (value: Review, path: readonly string[]) => path.reduce((inner, key) => inner?.[key], value);

const isApart = (path: readonly string[]) =>
  /^request (uid|object metadata (generateName|ownerReferences .*|labels pod-template-hash))$/.test(path.join(' '));

test('every single value that is read makes another key, and no other one does', () => {
  const { key } = likeness(recorded) ?? {};
  const seen = parseReview(Buffer.from(JSON.stringify(recorded)));
  const places = [...leaves(recorded)];
  expect(places.length).toBeGreaterThan(150);
  for (const path of places) {
    const other = changed((review) => {
      const last = path.at(-1) ?? '';
      const inner = at(review, path.slice(0, -1));
      inner[last] = last === 'uid' ? OTHER_UID : 'another';
    });
    const isRead = path[0] !== 'request' || at(seen, path.slice(1)) === at(recorded, path);
    const isAnother = likeness(other)?.key !== key;
    expect([path.join('.'), isAnother]).toEqual([path.join('.'), isRead && !isApart(path)]);
  }
});

describe('Pods are alike', () => {
  const named = (name: string, index: number) =>
    changed(({ request }) => {
      request.uid = OTHER_UID.replace('42010a800002', String(index).padStart(12, '0'));
      request.name = name;
      const { metadata, spec } = request.object;
      metadata.name = name;
      spec.hostname = name;
      metadata.generateName = 'db-';
      delete metadata.labels['pod-template-hash'];
      metadata.labels['statefulset.kubernetes.io/pod-name'] = name;
      metadata.labels['apps.kubernetes.io/pod-index'] = String(index);
      metadata.labels['controller-revision-hash'] = `db-${index}`;
      metadata.ownerReferences = [{ kind: 'StatefulSet', name: 'db', controller: true }];
      spec.volumes.push({ name: 'state', persistentVolumeClaim: { claimName: `state-${name}` } });
    });
  const ofNode = (node: string) =>
    changed(({ request }) => {
      const values = [node];
      const terms = [{ matchFields: [{ key: 'metadata.name', operator: 'In', values }] }];
      const required = { nodeSelectorTerms: terms };
      request.object.spec.affinity = { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: required } };
    });
  const ofJob = (job: string, index: string) =>
    changed(({ request }) => {
      const { metadata } = request.object;
      metadata.generateName = `${job}-${index}-`;
      metadata.annotations['batch.kubernetes.io/job-completion-index'] = index;
      const labels = { 'batch.kubernetes.io/job-name': job, 'job-name': job, 'controller-uid': `${job}-uid` };
      Object.assign(metadata.labels, labels, {
        'batch.kubernetes.io/controller-uid': `${job}-uid`,
        'batch.kubernetes.io/job-completion-index': index,
      });
      metadata.ownerReferences = [{ kind: 'Job', name: job, controller: true }];
    });
  const rolledOut = (hash: string, image: string) =>
    changed(({ request }) => {
      request.object.metadata.generateName = `web-${hash}-`;
      request.object.metadata.labels['pod-template-hash'] = hash;
      request.object.metadata.ownerReferences = [{ kind: 'ReplicaSet', name: `web-${hash}`, controller: true }];
      request.object.spec.containers[0].image = image;
      request.object.spec.containers[0].resources = { limits: { cpu: image } };
    });
  test.each([
    ['a StatefulSet', named('db-0', 0), named('db-1', 1)],
    ['a DaemonSet', ofNode('node-1'), ofNode('node-2')],
    ['an indexed Job', ofJob('train', '0'), ofJob('train', '17')],
    ['a CronJob', ofJob('cron-29384756', '0'), ofJob('cron-29384816', '0')],
    ['a Deployment before and after a roll-out', rolledOut('7d9c6b5f4', 'web:1'), rolledOut('5c8f7d6b9', 'web:2')],
  ])('of %s', (_, one, other) => {
    expect(JSON.stringify(one)).not.toBe(JSON.stringify(other));
    expect(likeness(one)?.key).toBe(likeness(other)?.key);
  });

  test('whoever creates them', () => {
    const other = changed(({ request }) => {
      request.userInfo = { username: 'alice', groups: ['a', 'b'], extra: { a: ['b'] } };
      request.object.metadata.managedFields = [{ manager: 'x"]}\\' }];
      request.options = null;
    });
    expect(likeness(other)?.key).toBe(likeness(recorded)?.key);
  });
});

test('the drawn name of a volume is told apart only as one and the same', () => {
  const [, drawn = ''] = /kube-api-access-(\w{5})/.exec(JSON.stringify(recorded)) ?? [];
  const text = JSON.stringify(recorded);
  const key = (review: string) => likeness(JSON.parse(review))?.key;
  expect(key(text.replaceAll(drawn, 'zxb42'))).toBe(key(text));
  expect(key(text.replace(drawn, 'zxb42'))).not.toBe(key(text));
  expect(key(text.replaceAll(drawn, 'zxb4a'))).not.toBe(key(text));
});

test('in detail, all that is apart counts but the uid and the drawn letters', () => {
  const detailed = (change: (review: Review) => void) => {
    const bytes = Buffer.from(JSON.stringify(changed(change)));
    const excerpt = cutReview(bytes);
    const found = excerpt && likenessOf(excerpt, bytes);
    return excerpt && found && inDetail(found, excerpt, bytes);
  };
  const same = detailed(() => {});
  expect(same).toMatchObject({ uid: recorded.request.uid, inDetail: true });
  const ofOther = detailed(({ request }) => Object.assign(request, { uid: OTHER_UID }));
  expect(ofOther).toEqual({ ...same, uid: OTHER_UID });
  const others = [
    detailed(({ request }) => Object.assign(request.object.metadata, { generateName: 'db-' })),
    detailed(({ request }) => Object.assign(request.object.metadata.labels, { 'pod-template-hash': 'x' })),
    detailed(({ request }) => Object.assign(request.object.metadata, { ownerReferences: [{ name: 'x' }] })),
    detailed(({ request }) => Object.assign(request.object.metadata, { ownerReferences: [{ name: 'y' }] })),
  ];
  expect(new Set([same, ...others].map((each) => each?.key)).size).toBe(5);
  expect(new Set([same, ...others].map((each) => each?.number)).size).toBe(5);
});

test('nothing is apart that an annotation or a label of ours is called', () => {
  const { members } = reviewParts;
  const names: string[] = [];
  const collect = ({ members: inner = new Map(), items }: Part) => {
    for (const { key, part } of inner.values()) {
      if (part.kind === apart().kind || part.kind === apartText().kind) names.push(key.toString());
      else collect(part);
    }
    if (items !== undefined) collect(items);
  };
  collect(reviewParts);
  expect(members?.size).toBe(3);
  expect(names.length).toBeGreaterThan(12);
  const ours = ['podpass.dev', AWS_LABEL_PREFIX, AZURE_PREFIX, 'cloud.google.com'];
  expect(names.filter((name) => ours.some((prefix) => name.startsWith(`${prefix}/`)))).toEqual([]);
  expect(names.filter((name) => name.includes('/') && !/^[a-z]+\.kubernetes\.io\//.test(name))).toEqual([]);
});

test.each([
  ['no uid', changed(({ request }) => delete request.uid)],
  ['a uid that is none', changed(({ request }) => Object.assign(request, { uid: 'a'.repeat(36) }))],
  ['a uid of capital letters', changed(({ request }) => Object.assign(request, { uid: OTHER_UID.toUpperCase() }))],
  ['a uid that is no text', changed(({ request }) => Object.assign(request, { uid: [OTHER_UID] }))],
  ['very much to read', changed(({ request }) => Object.assign(request, { namespace: 'x'.repeat(300_000) }))],
])('a review with %s is like no other', (_, review) => {
  expect(likeness(review)).toBeUndefined();
});

test('one that says its uid twice is like no other', () => {
  const bytes = Buffer.from(JSON.stringify(recorded).replace(/"uid":"[^"]*",/, '$&$&'));
  const excerpt = cutReview(bytes);
  expect(excerpt?.key).toContain('"uid":\x01,"uid":\x01');
  expect(excerpt && likenessOf(excerpt, bytes)).toBeUndefined();
});
