import { AWS_LABEL_PREFIX, AZURE_PREFIX } from '../src/catalog/presets.ts';
import {
  apart,
  apartText,
  drawn,
  type Excerpt,
  listOf,
  objectOf,
  type Part,
  type Replaced,
  there,
  whole,
} from './excerpt.ts';

/**
 * The parts of a review that are read: see `AdmissionRequest` and `Pod`. Whatever else is in it, nobody here gets to see (but
 * of a review that cannot be cut), so that a part that is forgotten is missing, and not overlooked. What is apart is what Pods
 * of one kind differ in.
 */

const uid: Part = apartText();

/** Drawn for each Pod before webhooks are asked: kubernetes/plugin/pkg/admission/serviceaccount. */
const drawnName = drawn('kube-api-access-');

/**
 * The contents of what is called like something of ours are compared with ours, and whatever follows where they are not the
 * same, somebody is told of it. All other contents are nothing to us.
 */
const content = apart();
const contentText = apartText();

const action = objectOf({ port: whole });
const handler = objectOf({ httpGet: action, tcpSocket: action });

function specOf(contents: Part, contentTexts: Part): Part {
  const container = objectOf({
    name: whole,
    args: contents,
    env: listOf(objectOf({ name: whole, value: contentTexts, valueFrom: there })),
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
  // The volumes of podpass are of these kinds; of another one it is enough to know that it is another.
  const volume = objectOf({ name: drawnName, configMap: contents, downwardAPI: contents, projected: contents }, there);
  return objectOf({
    containers,
    ephemeralContainers: containers,
    hostNetwork: whole,
    initContainers: containers,
    nodeSelector: objectOf({ 'kubernetes.io/os': whole, 'beta.kubernetes.io/os': whole }),
    os: whole,
    restartPolicy: whole,
    securityContext: objectOf({ runAsUser: whole }),
    serviceAccount: whole,
    serviceAccountName: whole,
    volumes: listOf(volume),
  });
}

/** Of annotations and labels those are read that have one of the prefixes, and the labels of presets. */
export function reviewParts(prefixes: readonly string[]): Part {
  const metadata = objectOf({
    name: apartText(),
    generateName: apartText(),
    namespace: whole,
    labels: objectOf({}, whole, [...prefixes, ...LABEL_PREFIXES]),
    annotations: objectOf({ 'kubernetes.io/config.mirror': whole }, whole, prefixes),
    ownerReferences: apart(),
  });
  return objectOf({
    apiVersion: whole,
    kind: whole,
    request: objectOf({
      uid,
      dryRun: whole,
      kind: whole,
      namespace: whole,
      object: objectOf({ metadata, spec: specOf(content, contentText) }),
      // Of a Pod that runs nobody is told what is not the same.
      oldObject: objectOf({ metadata, spec: specOf(whole, whole) }),
      operation: whole,
      resource: whole,
      subResource: whole,
    }),
  });
}

const LABEL_PREFIXES = [AWS_LABEL_PREFIX, AZURE_PREFIX].map((each) => `${each}/`);

/** What of that which is apart counts after all. */
const [NOTHING, CONTENTS, ALL, NEVER] = [0, 1, 2, 3] as const;

/** What is told apart, and what is alike, in the excerpt of a review. */
export interface Likeness {
  /** Of the request. */
  readonly uid: string;
  /** The same for two reviews where what is read of them differs only in what does not count. */
  readonly key: string;
  /** Of the key; two keys may have the same one. */
  readonly number: number;
  /** The key has more and more in it: nothing that is apart, then contents, then all but the uid and the drawn letters. */
  readonly detail: number;
}

/** Undefined where the request has not one uid as an API server writes it, its body is long, or very much of it is apart. */
export function likenessOf({ key, number, apart: parts }: Excerpt, bytes: Buffer): Likeness | undefined {
  let found: string | undefined;
  for (const { part, from, to } of parts) {
    if (part !== uid) continue;
    if (found !== undefined) return undefined;
    found = bytes.toString('latin1', from, to);
  }
  if (found === undefined || !UID.test(found) || number === undefined) return undefined;
  return { uid: found.slice(1, -1), key, number, detail: NOTHING };
}

const UID = /^"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"$/;

/** The likeness of the same review in more detail; undefined where there is no more. */
export function inDetail(
  likeness: Likeness,
  { key, number = 0, apart: parts }: Excerpt,
  bytes: Buffer,
): Likeness | undefined {
  const detail = likeness.detail + 1;
  if (detail > ALL) return undefined;
  const counting = parts.filter(({ part }) => rankOf(part) <= detail);
  const text = counting.map(({ from, to }) => bytes.toString('utf8', from, to)).join();
  let mixed = number ^ detail;
  for (let at = 0; at < text.length; at++) mixed = Math.imul(mixed ^ text.charCodeAt(at), 0x01000193);
  return { uid: likeness.uid, key: `${key}${'\0'.repeat(detail)}${text}`, number: mixed >>> 1, detail };
}

/** From which detail on a part counts. No answer can follow from the uid and the drawn letters. */
function rankOf(part: Part): number {
  if (part === uid || part === drawnName) return NEVER;
  return part === content || part === contentText ? CONTENTS : ALL;
}

/** Puts another value, and never the same one, in the place of all that an answer might follow from and that does not count. */
export const otherDetails =
  ({ detail }: Likeness): Replaced =>
  (part, found) => {
    const rank = rankOf(part);
    if (rank <= detail || rank === NEVER) return found;
    if (found.startsWith('"')) return `${found.slice(0, -1)}x"`;
    return found === 'null' ? '0' : 'null';
  };
