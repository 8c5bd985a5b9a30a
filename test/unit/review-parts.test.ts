import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { apart, apartText, type Part } from '../../webhook/excerpt.ts';
import { inDetail, type Likeness, likenessOf, reviewParts } from '../../webhook/review-parts.ts';
import { cutReview, parseReview } from '../parse-review.ts';

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
  /^request (uid|object (metadata (generateName|ownerReferences .*)|spec (volumes \d+ (configMap|projected) .*|\w+ \d+ (args \d+|env \d+ value))))$/.test(
    path.join(' '),
  );

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
  const ofWorkflow = (step: string) =>
    changed(({ request }) => {
      const { metadata, spec } = request.object;
      Object.assign(metadata.annotations, { 'workflows.argoproj.io/node-id': step, run_id: step });
      Object.assign(metadata.labels, { 'workflows.argoproj.io/workflow': step });
      for (const container of spec.containers) {
        container.args = ['run', step];
        container.env = [
          { name: 'STEP', value: step },
          { name: 'FROM', valueFrom: { configMapKeyRef: { key: step } } },
        ];
      }
      const items = [{ path: step }];
      spec.volumes.push({ name: 'plan', configMap: { name: step } }, { name: 'me', downwardAPI: { items } });
      spec.nodeSelector = { 'kubernetes.io/hostname': step };
    });
  test.each([
    ['two steps of a workflow', ofWorkflow('one'), ofWorkflow('two')],
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

describe('in detail', () => {
  const detailed = (detail: number, change: (review: Review) => void = () => undefined) => {
    const owned = changed(({ request }) => Object.assign(request.object.metadata, { ownerReferences: [] }));
    const bytes = Buffer.from(JSON.stringify(changed(change, owned)));
    const excerpt = cutReview(bytes);
    let found = excerpt && likenessOf(excerpt, bytes);
    for (let i = 0; i < detail; i++) found = excerpt && found && inDetail(found, excerpt, bytes);
    return found;
  };
  type Change = (pod: Review) => void;
  const contents: Record<string, Change> = {
    'a variable': (pod) => Object.assign(pod.spec.containers[0].env[0], { value: 'x' }),
    'another variable': (pod) => Object.assign(pod.spec.initContainers[0].env[0], { value: 'x' }),
    'what a volume is made from': (pod) => Object.assign(pod.spec.volumes[1], { configMap: { name: 'x' } }),
  };
  const names: Record<string, Change> = {
    'the prefix of names': (pod) => Object.assign(pod.metadata, { generateName: 'db-' }),
    'an owner': (pod) => Object.assign(pod.metadata, { ownerReferences: [{ name: 'x' }] }),
    'another owner': (pod) => Object.assign(pod.metadata, { ownerReferences: [{ name: 'y' }] }),
  };
  /** How many keys and numbers the Pod has, as it is and with each of the changes. */
  const different = (detail: number, changes: Record<string, Change>) => {
    const all: (Likeness | undefined)[] = [detailed(detail)];
    for (const change of Object.values(changes)) all.push(detailed(detail, ({ request }) => change(request.object)));
    return [new Set(all.map((each) => each?.key)).size, new Set(all.map((each) => each?.number)).size];
  };

  test.each([
    ['at first nothing counts that is apart', 0, 1, 1],
    ['then contents do', 1, 4, 1],
    ['then names and owners too', 2, 4, 4],
  ])('%s', (_, detail, ofContents, ofNames) => {
    expect(detailed(detail)?.detail).toBe(detail);
    expect(different(detail, contents)).toEqual([ofContents, ofContents]);
    expect(different(detail, names)).toEqual([ofNames, ofNames]);
    // The uid and the drawn letters never do.
    const ofOther = detailed(detail, ({ request }) => Object.assign(request, { uid: OTHER_UID }));
    expect(ofOther).toEqual({ ...detailed(detail), uid: OTHER_UID });
  });

  test('there is an end', () => {
    expect(detailed(3)).toBeUndefined();
    const keys = [0, 1, 2].map((detail) => detailed(detail)?.key);
    expect(new Set(keys).size).toBe(3);
  });
});

test('of a Pod that runs the contents count', () => {
  const stored = (value: string) =>
    changed(({ request }) => {
      request.oldObject = structuredClone(request.object);
      request.oldObject.spec.containers[0].env[0].value = value;
    });
  expect(likeness(stored('a'))?.key).not.toBe(likeness(stored('b'))?.key);
});

test('no annotation and no label is apart', () => {
  const kinds: Part[] = [];
  const collect = (part: Part) => {
    kinds.push(part);
    for (const { part: inner } of part.members?.values() ?? []) collect(inner);
    if (part.others !== undefined) collect(part.others);
  };
  const member = (part: Part | undefined, name: string) =>
    [...(part?.members?.values() ?? [])].find(({ key }) => key.equals(Buffer.from(name)))?.part;
  const request = member(reviewParts(['podpass.dev/']), 'request');
  for (const object of ['object', 'oldObject'])
    for (const of of ['annotations', 'labels'])
      collect(member(member(member(request, object), 'metadata'), of) ?? apart());
  expect(kinds.length).toBeGreaterThan(4);
  expect(kinds.filter(({ kind }) => kind === apart().kind || kind === apartText().kind)).toEqual([]);
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
