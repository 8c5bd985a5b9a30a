import { printable } from '../src/fault.ts';
import { type AdmissionRequest, excerptOf, requestIn, writeReview } from './admission-review.ts';
import { type Admission, type AdmissionSettings, admit } from './admit.ts';
import { annotationPrefixes } from './asked.ts';
import { createCutter, type Excerpt } from './excerpt.ts';
import {
  createKnownAnswers,
  createRecentKeys,
  IN_DETAIL,
  isShort,
  type KnownAnswer,
  type KnownAnswers,
} from './known-answers.ts';
import type { PodReport } from './pod-report.ts';
import { inDetail, type Likeness, likenessOf, otherDetails, reviewParts } from './review-parts.ts';
import type { FoundServiceAccount, ServiceAccountLookup, ServiceAccountSource } from './service-accounts.ts';

/** A review that is answered. */
export interface Reviewed extends Pick<Admission, 'result' | 'reason' | 'problems'> {
  /** JSON. */
  readonly answer: string;
  readonly uid: string;
  /** For the log. */
  readonly namespace: string;
}

/**
 * Answers the bytes of a review. Throws a Fault where it cannot; `tellUid` is called as soon as the uid is known, for the
 * log.
 */
export type Reviewer = (body: Buffer, tellUid: (uid: string) => void) => Promise<Reviewed>;

export interface ReviewerOptions {
  readonly serviceAccounts: ServiceAccountSource;
  /** Asked for each request. The same object for as long as the same Pod gets the same answer; prefixes never change. */
  readonly settings: () => AdmissionSettings;
  /** What a Pod's owner should know. */
  readonly onReport?: (request: AdmissionRequest, report: PodReport) => void;
  readonly known?: KnownAnswers;
}

/**
 * What Pods get that are alike in all that is read is worked out twice, and from then on known: an answer follows from the
 * excerpt of the review, the annotations of the ServiceAccount and the settings alone (see `admit`). Only answers about
 * which nobody is told anything are kept, as a warning or an event may name what Pods differ in.
 */
export function createReviewer(options: ReviewerOptions): Reviewer {
  const { serviceAccounts, settings, onReport, known = createKnownAnswers() } = options;
  const cut = createCutter(reviewParts(annotationPrefixes(settings())));
  const recent = createRecentKeys();

  /** By what the answer may be known, and that one; undefined for what has not been asked for before. */
  function find(excerpt: Excerpt, body: Buffer): Found | undefined {
    if (excerpt.number === undefined || !recent.note(excerpt.number)) return undefined;
    let likeness = likenessOf(excerpt, body);
    while (likeness !== undefined) {
      const answer = known.get(likeness);
      if (answer !== IN_DETAIL) return { likeness, answer };
      likeness = inDetail(likeness, excerpt, body);
      if (likeness !== undefined && !recent.note(likeness.number)) return undefined;
    }
    return undefined;
  }

  async function again({ likeness, answer }: Found): Promise<{ reviewed?: Reviewed; lookup?: ServiceAccountLookup }> {
    if (answer === undefined) return {};
    const { head, tail, namespace, result, reason, serviceAccount } = answer;
    const lookup = await serviceAccounts.get(serviceAccount.namespace, serviceAccount.name);
    const isSame = lookup.found && lookup.serviceAccount.annotations === serviceAccount.annotations;
    if (!isSame || settings() !== answer.settings) return { lookup };
    const { uid } = likeness;
    return { reviewed: { answer: head + uid + tail, uid, namespace, result, reason } };
  }

  async function keep(answer: KnownAnswer, likeness: Likeness, admission: Settled, excerpt: Excerpt, body: Buffer) {
    if (!isShort(likeness, answer)) return;
    const inMore = inDetail(likeness, excerpt, body);
    const other = () => requestIn(body, excerpt, otherDetails(likeness));
    if (inMore === undefined || (await isSameFor(other(), admission, answer.settings)))
      return known.put(likeness, answer);
    known.put(likeness, IN_DETAIL);
    recent.note(inMore.number);
    await keep(answer, inMore, admission, excerpt, body);
  }

  return async (body, tellUid) => {
    let excerpt = excerptOf(body, cut);
    const found = excerpt && find(excerpt, body);
    if (found !== undefined) tellUid(found.likeness.uid);
    const { reviewed, lookup } = found === undefined ? {} : await again(found);
    if (reviewed !== undefined) return reviewed;

    const request = requestIn(body, excerpt);
    // A large one is not held while others are asked.
    if (found === undefined) excerpt = undefined;
    const { uid } = request;
    tellUid(uid);
    const goneBy = settings();
    // Who has just been asked about is not asked about again.
    const source = lookup === undefined ? serviceAccounts : { get: async () => lookup };
    const admission = await admit(request, source, goneBy);
    const { response, result, reason, problems, report } = admission;
    const answer = writeReview(request, response);
    const namespace = printable(request.namespace ?? '');
    if (report !== undefined) onReport?.(request, report);
    if (excerpt !== undefined && found !== undefined && isSettled(admission)) {
      const at = answer.indexOf(uid);
      const [head, tail] = [answer.slice(0, at), answer.slice(at + uid.length)];
      const { serviceAccount } = admission.account;
      const kept = { head, tail, namespace, result, reason, serviceAccount, settings: goneBy };
      await keep(kept, found.likeness, admission, excerpt, body);
    }
    return { answer, uid, namespace, result, reason, ...(problems === undefined ? {} : { problems }) };
  };
}

interface Found {
  readonly likeness: Likeness;
  readonly answer: KnownAnswer | undefined;
}

type Settled = Admission & { readonly account: FoundServiceAccount };

/** Nobody is told anything, and what it went by was at hand: what is read live is another object each time. */
function isSettled(admission: Admission): admission is Settled {
  const { response, problems, report, account } = admission;
  const isSilent = problems === undefined && report === undefined && response.warnings?.length === 0;
  return isSilent && account?.source === 'cache';
}

/** Whether a Pod that differs only in what is apart is answered like this one. */
async function isSameFor(
  other: AdmissionRequest,
  { response, result, reason, account }: Settled,
  settings: AdmissionSettings,
): Promise<boolean> {
  const found = await admit(other, { get: async () => account }, settings);
  return JSON.stringify([found.response, found.result, found.reason]) === JSON.stringify([response, result, reason]);
}
