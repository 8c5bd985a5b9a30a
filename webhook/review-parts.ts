import { apart, createCutter, drawn, type Excerpt, listOf, objectOf, type Part, there, whole } from './excerpt.ts';

/**
 * The parts of a review that are read: see `AdmissionRequest` and `Pod`. Whatever else is in it, nobody here gets to see,
 * so that a part that is forgotten is missing, and not overlooked. What is apart is what Pods of one template differ in.
 */

const uid: Part = apart();

/** Drawn for each Pod before webhooks are asked: kubernetes/plugin/pkg/admission/serviceaccount. */
const name = drawn('kube-api-access-');

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
  volumeMounts: listOf(objectOf({ name }, whole)),
});
const containers = listOf(container);

/** What controllers write: kubernetes/pkg/controller, the labels of k8s.io/api/apps/v1 and batch/v1. */
const labels = objectOf(
  {
    'apps.kubernetes.io/pod-index': apart(),
    'batch.kubernetes.io/controller-uid': apart(),
    'batch.kubernetes.io/job-completion-index': apart(),
    'batch.kubernetes.io/job-name': apart(),
    'controller-revision-hash': apart(),
    'controller-uid': apart(),
    'job-name': apart(),
    'pod-template-generation': apart(),
    'pod-template-hash': apart(),
    'statefulset.kubernetes.io/pod-name': apart(),
  },
  whole,
);

const pod = objectOf({
  metadata: objectOf({
    name: apart(),
    generateName: apart(),
    namespace: whole,
    labels,
    annotations: objectOf({ 'batch.kubernetes.io/job-completion-index': apart() }, whole),
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
    volumes: listOf(objectOf({ name, configMap: whole, downwardAPI: whole, projected: whole }, there)),
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
  /** Everything that is apart, but for the uid and the drawn letters. */
  details(): string;
}

/** Undefined where the request has not one uid as an API server writes it, or is long. */
export function likenessOf({ key, number, apart: parts }: Excerpt, bytes: Buffer): Likeness | undefined {
  const textOf = ({ from, to }: (typeof parts)[number]) => bytes.toString('utf8', from, to);
  const [first, second] = parts.filter(({ part }) => part === uid);
  const [, found] = first === undefined ? [] : (UID.exec(textOf(first)) ?? []);
  if (found === undefined || second !== undefined || number === undefined) return undefined;
  const details = () => parts.flatMap((each) => (each.part === uid || each.part === name ? [] : [textOf(each)])).join();
  // No getter: V8 makes a map of its own for each, which holds the request until the next full collection.
  return { uid: found, key, number, details };
}

const UID = /^"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"$/;

/** Another value for what is apart, never the same; the uid and the drawn letters stay, as no answer can follow from them. */
export function otherDetails(part: Part, found: string): string {
  if (part === uid || part === name) return found;
  if (found === '"another"') return '"other"';
  return found.startsWith('"') || found === 'null' ? '"another"' : 'null';
}
