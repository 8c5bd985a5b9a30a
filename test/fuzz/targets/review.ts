import { isDeepStrictEqual } from 'node:util';
import { Fault } from '../../../src/fault.ts';
import { type AdmissionRequest, writeReview } from '../../../webhook/admission-review.ts';
import { admitted } from '../admitted.ts';
import { jsonTokens, podMembers } from '../dictionary.ts';
import { everything, plainReview } from '../plain-review.ts';
import { reviewSeeds, reviewWords, SECRET } from '../review-seeds.ts';
import { hold, type Target } from '../target.ts';
import { type Answer, admitHere, answerTo } from '../webhook-double.ts';

const MAX_BYTES = 320 * 1024;

interface Review {
  readonly response: {
    readonly uid: string;
    readonly allowed: boolean;
    readonly status?: { readonly message: string };
    readonly patch?: string;
    readonly warnings?: readonly string[];
  };
}

interface Expected {
  readonly status: number;
  readonly body?: unknown;
}

async function answerOf(request: AdmissionRequest): Promise<Expected> {
  try {
    const { response } = await admitHere(request);
    return { status: 200, body: JSON.parse(writeReview(request, response)) };
  } catch (error) {
    if (error instanceof Fault) return { status: error.status };
    throw error;
  }
}

/** What may be answered, by way of the plain reading. */
async function expectedAnswers(bytes: Buffer): Promise<Expected[]> {
  const request = plainReview(bytes);
  if (request === undefined) return [{ status: 400 }];
  const whole = await answerOf(request);
  if (whole.status !== 400) return [whole];
  // Of a label or an annotation of others nobody need see that it is no text. An API server sends none such.
  return [whole, await answerOf(everything(request) as AdmissionRequest)];
}

/** A secret that stands where nothing is read is never told: names, annotations and labels are. */
function isOnlyUnread(bytes: Buffer): boolean {
  const request = plainReview(bytes);
  if (request === undefined) return true;
  const read = JSON.stringify(
    [request.uid, request.namespace, request.object, request.oldObject].map((each) => each ?? null),
    (key, value: unknown) => (['command', 'value', 'image', 'data'].includes(key) ? undefined : value),
  );
  return !read.includes(SECRET);
}

/** Fails where an answer is none that a webhook may give to these bytes. */
export async function judgeAnswer(bytes: Buffer, answer: Answer): Promise<void> {
  const { status, body, logged } = answer;
  hold([200, 400, 413, 503].includes(status), `the status is ${status}: ${logged.slice(0, 500)}`);
  if (bytes.includes(SECRET) && isOnlyUnread(bytes)) {
    hold(!body.includes(SECRET), 'the answer tells a secret');
    hold(!logged.includes(SECRET), 'the log tells a secret');
  }
  const all = await expectedAnswers(bytes);
  const expected = all.find((each) => each.status === status);
  hold(expected !== undefined, `the status is ${status}, and by JSON.parse it is ${all[0]?.status}`);
  const parsed: unknown = JSON.parse(body);
  if (status !== 200) {
    const { error } = parsed as { error?: { code?: unknown; message?: unknown } };
    hold(typeof error?.code === 'string' && typeof error.message === 'string', 'a fault has another form');
    return;
  }
  hold(isDeepStrictEqual(parsed, expected?.body), 'the answer is not the one by JSON.parse');
  const { response } = parsed as Review;
  hold(response.allowed !== ((response.status?.message ?? '') !== ''), 'a denial needs a message, and nothing else');
  for (const warning of response.warnings ?? []) hold(warning.length <= 256, 'a warning is cut off by the API server');
  if (response.patch === undefined) return;
  hold(response.allowed, 'there is a patch for a Pod that is not allowed');
  admitted(plainReview(bytes)?.object, JSON.parse(Buffer.from(response.patch, 'base64').toString()));
}

/** The whole way of a body through the webhook. */
export const target: Target = {
  name: 'review',
  shape: 'json',
  maxBytes: MAX_BYTES,
  dictionary: [...reviewWords, ...podMembers, ...jsonTokens],
  seeds: () => reviewSeeds(MAX_BYTES),
  judge: async (bytes) => judgeAnswer(bytes, await answerTo(bytes)),
};
