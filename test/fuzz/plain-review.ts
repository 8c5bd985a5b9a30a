import { isDeepStrictEqual } from 'node:util';
import { Fault, type FaultCode } from '../../src/fault.ts';
import type { AdmissionRequest } from '../../webhook/admission-review.ts';
import { hold } from './target.ts';

/** A review read in the plainest way there is: what any faster way has to agree with. */

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const isTextOrAbsent = (value: unknown) => value === undefined || value === null || typeof value === 'string';
const isObjectOrAbsent = (value: unknown) => value === undefined || value === null || isObject(value);

/** `undefined` where the bytes are to be refused as `bad_request`. For bodies of less than 1 MiB. */
export function plainReview(bytes: Buffer): AdmissionRequest | undefined {
  let review: unknown;
  try {
    review = JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes));
  } catch {
    return undefined;
  }
  if (!isObject(review) || review.kind !== 'AdmissionReview' || review.apiVersion !== 'admission.k8s.io/v1') {
    return undefined;
  }
  const { request: found } = review;
  if (!isObject(found)) return undefined;
  const { uid, namespace, operation, subResource, kind, resource } = found;
  if (typeof uid !== 'string' || uid.length < 1 || uid.length > 128) return undefined;
  if (![namespace, operation, subResource].every(isTextOrAbsent)) return undefined;
  if (![kind, resource].every(isObjectOrAbsent)) return undefined;
  return found as unknown as AdmissionRequest;
}

type Reading = (value: unknown) => unknown;

const all: Reading = (value) => value;
const listOf =
  (reading: Reading): Reading =>
  (value) =>
    Array.isArray(value) ? value.map(reading) : value;

/** Those members of an object that are read; `others` where something is read of each, or of each whose key they want. */
function only(
  readings: Readonly<Record<string, Reading>>,
  others?: Reading,
  wanted: (key: string) => boolean = () => true,
): Reading {
  return (value) => {
    if (!isObject(value)) return value;
    return Object.fromEntries(
      Object.entries(value).flatMap(([key, member]) => {
        const reading = Object.hasOwn(readings, key) ? readings[key] : wanted(key) ? others : undefined;
        return reading === undefined ? [] : [[key, reading(member)]];
      }),
    );
  };
}

const members = (...names: string[]) => Object.fromEntries(names.map((name) => [name, all]));
const handler = only({ httpGet: only(members('port')), tcpSocket: only(members('port')) });
const containers = listOf(
  only({
    env: listOf(only({ ...members('name', 'value'), valueFrom: () => 0 })),
    ...members('name', 'args', 'ports', 'restartPolicy', 'volumeDevices', 'volumeMounts'),
    ...{ livenessProbe: handler, readinessProbe: handler, startupProbe: handler },
    lifecycle: only({ postStart: handler, preStop: handler }),
  }),
);
/** With the prefixes of podpass and of all presets. */
const isOurs = (key: string) =>
  /^(podpass\.dev|eks\.amazonaws\.com|azure\.workload\.identity|cloud\.google\.com)\//.test(key);
const pod = only({
  metadata: only({
    ...members('name', 'generateName', 'namespace', 'ownerReferences'),
    labels: only({}, all, isOurs),
    annotations: only(members('kubernetes.io/config.mirror'), all, isOurs),
  }),
  spec: only({
    nodeSelector: only(members('kubernetes.io/os', 'beta.kubernetes.io/os')),
    ...members('hostNetwork', 'os', 'restartPolicy', 'serviceAccount', 'serviceAccountName'),
    ...{ containers, initContainers: containers, ephemeralContainers: containers },
    securityContext: only(members('runAsUser')),
    volumes: listOf(only(members('name', 'configMap', 'downwardAPI', 'projected'), () => 0)),
  }),
});
const request = only({
  ...members('uid', 'kind', 'resource', 'subResource', 'namespace', 'operation', 'dryRun'),
  ...{ object: pod, oldObject: pod },
});

/** The members that decide over a request: a reader may leave out the others. */
export const everything = (found: AdmissionRequest): unknown => request(found);

/**
 * Fails where a reader of reviews and the plain one do not agree: on whether the bytes are refused, or on what was read,
 * as far as `compared` shows it.
 */
export function judgeReader(
  bytes: Buffer,
  read: (bytes: Buffer) => AdmissionRequest,
  compared: (request: AdmissionRequest) => unknown = everything,
): void {
  const expected = plainReview(bytes);
  let found: AdmissionRequest | FaultCode;
  try {
    found = read(bytes);
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    found = error.code;
  }
  if (typeof found === 'string') {
    hold(found === 'bad_request', `the reader refuses as ${found}`);
    hold(expected === undefined, 'the reader refuses what JSON.parse reads');
    return;
  }
  hold(expected !== undefined, 'the reader reads what JSON.parse or its own rules refuse');
  hold(isDeepStrictEqual(compared(found), compared(expected)), 'the reader reads something else than JSON.parse');
}
