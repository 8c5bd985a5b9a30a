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
  const { request } = review;
  if (!isObject(request)) return undefined;
  const { uid, namespace, operation, subResource, kind, resource } = request;
  if (typeof uid !== 'string' || uid.length < 1 || uid.length > 128) return undefined;
  if (![namespace, operation, subResource].every(isTextOrAbsent)) return undefined;
  if (![kind, resource].every(isObjectOrAbsent)) return undefined;
  return request as unknown as AdmissionRequest;
}

/** The members that decide over a request, as they are; a reader that leaves out parts of a Pod compares less. */
export const everything = ({ uid, kind, resource, subResource, namespace, operation, ...rest }: AdmissionRequest) => ({
  ...{ uid, kind, resource, subResource, namespace, operation },
  ...{ dryRun: rest.dryRun, object: rest.object, oldObject: rest.oldObject },
});

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
