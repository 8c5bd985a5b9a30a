import {
  apart,
  apartText,
  createCutter,
  drawn,
  type Excerpt,
  listOf,
  objectOf,
  type Part,
  there,
  whole,
} from './excerpt.ts';

/**
 * The parts of a review that are read: see `AdmissionRequest` and `Pod`. Whatever else is in it, nobody here gets to see,
 * so that a part that is forgotten is missing, and not overlooked. What is apart is what Pods of one template differ in.
 */

const uid: Part = apartText();

/** Drawn for each Pod before webhooks are asked: kubernetes/plugin/pkg/admission/serviceaccount. */
const drawnName = drawn('kube-api-access-');

const action = objectOf({ port: whole });
const handler = objectOf({ httpGet: action, tcpSocket: action });
const container = objectOf({
  name: whole,
  args: whole,
  env: whole,
  lifecycle: objectOf({ postStart: handler, preStop: handler }),
  livenessProbe: handler,
  ports: whole,
  readinessProbe: handler,
  restartPolicy: whole,
  startupProbe: handler,
  volumeDevices: whole,
  volumeMounts: listOf(objectOf({ name: drawnName }, whole)),
});
const containers = listOf(container);

/** What controllers write: kubernetes/pkg/controller, the labels of k8s.io/api/apps/v1 and batch/v1. */
const labels = objectOf(
  {
    'apps.kubernetes.io/pod-index': apartText(),
    'batch.kubernetes.io/controller-uid': apartText(),
    'batch.kubernetes.io/job-completion-index': apartText(),
    'batch.kubernetes.io/job-name': apartText(),
    'controller-revision-hash': apartText(),
    'controller-uid': apartText(),
    'job-name': apartText(),
    'pod-template-generation': apartText(),
    'pod-template-hash': apartText(),
    'statefulset.kubernetes.io/pod-name': apartText(),
  },
  whole,
);

const pod = objectOf({
  metadata: objectOf({
    name: apartText(),
    generateName: apartText(),
    namespace: whole,
    labels,
    annotations: objectOf({ 'batch.kubernetes.io/job-completion-index': apartText() }, whole),
    ownerReferences: apart(),
  }),
  spec: objectOf({
    containers,
    ephemeralContainers: containers,
    hostNetwork: whole,
    initContainers: containers,
    nodeSelector: whole,
    os: whole,
    restartPolicy: whole,
    securityContext: objectOf({ runAsUser: whole }),
    serviceAccount: whole,
    serviceAccountName: whole,
    // Those of podpass are of these kinds; of another one it is enough to know that it is another.
    volumes: listOf(objectOf({ name: drawnName, configMap: whole, downwardAPI: whole, projected: whole }, there)),
  }),
});

export const reviewParts: Part = objectOf({
  apiVersion: whole,
  kind: whole,
  request: objectOf({
    uid,
    dryRun: whole,
    kind: whole,
    namespace: whole,
    object: pod,
    oldObject: pod,
    operation: whole,
    resource: whole,
    subResource: whole,
  }),
});

export const cutReview = createCutter(reviewParts);

/** What is told apart, and what is alike, in the excerpt of a review. */
export interface Likeness {
  /** Of the request. */
  readonly uid: string;
  /** The same for two reviews where what is read of them differs only in what is apart. */
  readonly key: string;
  /** Of the key; two keys may have the same one. */
  readonly number: number;
  /** What is apart counts too, but for the uid and the drawn letters. */
  readonly inDetail: boolean;
}

/** Undefined where the request has not one uid as an API server writes it, or its body is long. */
export function likenessOf({ key, number, apart: parts }: Excerpt, bytes: Buffer): Likeness | undefined {
  const [first, second] = parts.filter(({ part }) => part === uid);
  const [, found] = first === undefined ? [] : (UID.exec(bytes.toString('utf8', first.from, first.to)) ?? []);
  if (found === undefined || second !== undefined || number === undefined) return undefined;
  return { uid: found, key, number, inDetail: false };
}

const UID = /^"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"$/;

/** The likeness of the same review, in detail. */
export function inDetail({ uid: found, key, number }: Likeness, { apart: parts }: Excerpt, bytes: Buffer): Likeness {
  const details = parts.flatMap(({ part, from, to }) => (isDetail(part) ? [bytes.toString('utf8', from, to)] : []));
  const text = details.join();
  let mixed = number;
  for (let at = 0; at < text.length; at++) mixed = Math.imul(mixed ^ text.charCodeAt(at), 0x01000193);
  return { uid: found, key: `${key}\0${text}`, number: mixed >>> 1, inDetail: true };
}

/** No answer can follow from the uid and the drawn letters. */
const isDetail = (part: Part) => part !== uid && part !== drawnName;

/** Another value for what is apart, and never the same one. */
export function otherDetails(part: Part, found: string): string {
  if (!isDetail(part)) return found;
  if (found.startsWith('"')) return `${found.slice(0, -1)}x"`;
  return found === 'null' ? '0' : 'null';
}
