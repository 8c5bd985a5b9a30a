import { isUtf8 } from 'node:buffer';
import { Fault } from '../src/fault.ts';
import type { AddOperation } from '../src/json-patch.ts';
import { type Cutter, type Excerpt, type Replaced, textOf } from './excerpt.ts';

/** The request of an `AdmissionReview` of `admission.k8s.io/v1` (k8s.io/api/admission/v1, AdmissionRequest), as far as it is read. */
export interface AdmissionRequest {
  readonly uid: string;
  readonly kind?: { readonly group?: string; readonly version?: string; readonly kind?: string };
  readonly resource?: { readonly group?: string; readonly version?: string; readonly resource?: string };
  readonly subResource?: string;
  readonly namespace?: string;
  readonly operation?: string;
  readonly dryRun?: boolean;
  readonly object?: unknown;
  /** What is stored, of an `UPDATE`. */
  readonly oldObject?: unknown;
}

/** The answer to one request; `patch` is absent where nothing changes. */
export interface AdmissionResponse {
  readonly allowed: boolean;
  /** For people, where it is not allowed. */
  readonly message?: string;
  readonly patch?: readonly AddOperation[];
  readonly warnings?: readonly string[];
  readonly auditAnnotations?: Readonly<Record<string, string>>;
}

const API_VERSION = 'admission.k8s.io/v1';
const KIND = 'AdmissionReview';

/** A UUID has 36; it is logged. */
const MAX_UID = 128;
/**
 * Commas, brackets and braces outside of texts, which cost memory and time. etcd stores 1.5 MiB, where the least with two
 * of them, an empty object in a list, takes two bytes.
 */
const MAX_VALUES = 1_600_000;
/** Keys that all differ cost many times that. In etcd, a list's object with one empty text in it takes four bytes. */
const MAX_KEYS = 400_000;
const SMALL = 1024 * 1024;
const [COMMA, BRACKET, BRACE, COLON, QUOTE, BACKSLASH] = Buffer.from(',[{:"\\');

/** Refuses a large body of very many small values, before its objects fill the memory. */
function checkSize(body: Buffer): void {
  if (body.length < SMALL) return;
  let values = 0;
  let keys = 0;
  let isText = false;
  for (let at = 0; at < body.length; at++) {
    const byte = body[at];
    if (byte === QUOTE) isText = !isText;
    else if (isText && byte === BACKSLASH) at += 1;
    else if (isText) continue;
    else if (byte === COMMA || byte === BRACKET || byte === BRACE) values += 1;
    else if (byte === COLON) keys += 1;
  }
  if (values > MAX_VALUES) throw new Fault('payload_too_large', `the body has over ${MAX_VALUES} values`);
  if (keys > MAX_KEYS) throw new Fault('payload_too_large', `the body has over ${MAX_KEYS} keys`);
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/**
 * The parts of a review that are read, unparsed; undefined where only a parser can tell. Throws a `bad_request`
 * Fault that says what is wrong, and never quotes the body.
 */
export function excerptOf(body: Buffer, cut: Cutter): Excerpt | undefined {
  if (body.length === 0) throw new Fault('bad_request', 'the body is empty');
  if (!isUtf8(body)) throw new Fault('bad_request', 'the body is not UTF-8');
  checkSize(body);
  return cut(body);
}

/** The request in a review's excerpt, or in the whole of it where there is none. Throws a Fault as `excerptOf` does. */
export function requestIn(body: Buffer, excerpt: Excerpt | undefined, replaced?: Replaced): AdmissionRequest {
  const text = excerpt === undefined ? body.toString() : textOf(excerpt, body, replaced);
  let review: unknown;
  try {
    review = JSON.parse(text);
  } catch {
    // The parser's own message quotes the body.
    throw new Fault('bad_request', 'the body is not JSON');
  }
  if (!isObject(review) || review.apiVersion !== API_VERSION || review.kind !== KIND) {
    throw new Fault('bad_request', `the body is not an ${KIND} of ${API_VERSION}`);
  }
  const { request } = review;
  if (!isObject(request)) throw new Fault('bad_request', `the ${KIND} has no request`);
  const { uid } = request;
  if (typeof uid !== 'string' || uid === '') throw new Fault('bad_request', 'the request has no uid');
  if (uid.length > MAX_UID) throw new Fault('bad_request', `the uid of the request is over ${MAX_UID} characters`);
  const wrong = misshapen(request);
  if (wrong !== undefined) throw new Fault('bad_request', `the request's ${wrong} is of the wrong type`);
  return request as unknown as AdmissionRequest;
}

const TEXTS = ['namespace', 'operation', 'subResource'] as const;
const KINDS = ['kind', 'resource'] as const;

/** The first member that is there and is not what it should be. */
function misshapen(request: Record<string, unknown>): string | undefined {
  const isAbsent = (value: unknown) => value === undefined || value === null;
  return (
    TEXTS.find((key) => !isAbsent(request[key]) && typeof request[key] !== 'string') ??
    KINDS.find((key) => !isAbsent(request[key]) && !isObject(request[key]))
  );
}

/** The review that answers a request, as JSON: its version, kind and uid, which the API server compares with what it sent. */
export function writeReview({ uid }: AdmissionRequest, response: AdmissionResponse): string {
  const { allowed, message, patch = [], warnings = [], auditAnnotations } = response;
  const review = {
    apiVersion: API_VERSION,
    kind: KIND,
    response: {
      uid,
      allowed,
      ...(message === undefined ? {} : { status: { status: 'Failure', code: 422, reason: 'Invalid', message } }),
      ...(warnings.length === 0 ? {} : { warnings }),
      ...(auditAnnotations === undefined ? {} : { auditAnnotations }),
    },
  };
  const text = JSON.stringify(review);
  if (patch.length === 0) return text;
  // By far the longest part, and base64 needs no escapes: it goes in as it is, where the response and the review end.
  const base64 = Buffer.from(JSON.stringify(patch)).toString('base64');
  return `${text.slice(0, -2)},"patchType":"JSONPatch","patch":"${base64}"}}`;
}
