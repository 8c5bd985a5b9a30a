import { cases } from '../hostile/cases.ts';
import { bytesOf, podSeeds } from './seeds.ts';

/** Stands in the seeds where programs have their secrets: nothing of it may be told. */
export const SECRET = 'not-to-be-told-0123456789';

const KIND = { group: '', version: 'v1', kind: 'Pod' };
const RESOURCE = { group: '', version: 'v1', resource: 'pods' };

function review(request: object): Buffer {
  return bytesOf({
    ...{ kind: 'AdmissionReview', apiVersion: 'admission.k8s.io/v1' },
    request: {
      ...{ uid: '705ab4f5-6393-11e8-b7cc-42010a800002', kind: KIND, resource: RESOURCE, requestKind: KIND },
      ...{ namespace: 'shop', operation: 'CREATE', userInfo: { username: 'alice', extra: { note: [SECRET] } } },
      ...request,
      ...{ dryRun: false, options: { kind: 'CreateOptions', apiVersion: 'meta.k8s.io/v1' } },
    },
  });
}

const secretEnv = [{ name: 'PASSWORD', value: SECRET }];

/** With what a reader that skips it may stumble over. */
const MANAGED = [
  { manager: 'kubectl"]}\\', fieldsType: 'FieldsV1', fieldsV1: { 'f:metadata': { 'k:{"name":"[web]"}': {} } } },
  { manager: '"managedFields":[', subresource: 'status', fieldsV1: [[], {}, '\\"', ']'] },
];

/** Reviews of the vectors' Pods, and of the hostile cases, as far as they are small. */
export function reviewSeeds(maxBytes: number): Buffer[] {
  const pods = podSeeds().map(({ pod, debugContainers }, index) => {
    const metadata = { ...(pod.metadata as object), managedFields: MANAGED };
    const spec = { ...pod.spec, command: [SECRET], data: { env: secretEnv } };
    const object = index % 3 > 0 ? pod : index % 2 > 0 ? { ...pod, spec } : { ...pod, metadata, spec };
    if (debugContainers === undefined) return review({ object, oldObject: null });
    const requested = { ...pod, spec: { ...pod.spec, ephemeralContainers: debugContainers } };
    return review({ object: requested, oldObject: object, operation: 'UPDATE', subResource: 'ephemeralcontainers' });
  });
  // The others are large, or no reviews at all.
  const hostile = cases.flatMap(({ pod }) => (pod === undefined ? [] : [review({ object: pod })]));
  return [...pods, ...hostile].filter(({ length }) => length <= maxBytes);
}

/** Member names and values of a review. */
export const reviewWords: readonly string[] = [
  ...['AdmissionReview', 'admission.k8s.io/v1', 'admission.k8s.io/v1beta1', 'request', 'uid', 'kind', 'resource'],
  ...['subResource', 'namespace', 'operation', 'object', 'oldObject', 'dryRun', 'apiVersion', 'CREATE', 'UPDATE'],
  ...['managedFields', '"managedFields":[', '"managedFields":[]', '\\"managedFields":[', ']}', '[{'],
  ...['ephemeralcontainers', 'status', 'pods', 'Pod', 'missing', 'unreachable', 'cloud', SECRET],
];
