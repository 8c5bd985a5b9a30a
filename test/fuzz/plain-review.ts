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

/** What is not parsed: what stands in it may be no JSON at all. */
export const hasSkippedPart = (bytes: Buffer): boolean => bytes.includes('"managedFields":[');

/** The members that decide over a request. What is in lists of managed fields is left out by one reader and not by another. */
export function everything({ uid, kind, resource, subResource, namespace, operation, ...rest }: AdmissionRequest) {
  const { dryRun, object, oldObject } = rest;
  return withEmptyLists({ uid, kind, resource, subResource, namespace, operation, dryRun, object, oldObject });
}

function withEmptyLists(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withEmptyLists);
  if (!isObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, member]) => [
      key,
      key === 'managedFields' && Array.isArray(member) ? [] : withEmptyLists(member),
    ]),
  );
}

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
  if (expected === undefined && hasSkippedPart(bytes)) return;
  hold(expected !== undefined, 'the reader reads what JSON.parse or its own rules refuse');
  hold(isDeepStrictEqual(compared(found), compared(expected)), 'the reader reads something else than JSON.parse');
}
