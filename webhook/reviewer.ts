import { printable } from '../src/fault.ts';
import { type AdmissionRequest, excerptOf, requestIn, writeReview } from './admission-review.ts';
import { type Admission, type AdmissionSettings, admit } from './admit.ts';
import { createKnownAnswers, createRecentKeys, isShort, type KnownAnswers } from './known-answers.ts';
import type { PodReport } from './pod-report.ts';
import { type Likeness, likenessOf, otherDetails } from './review-parts.ts';
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
  /** Asked for each request. The same object for as long as the same Pod gets the same answer. */
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
  const recent = createRecentKeys();

  async function again(likeness: Likeness): Promise<{ reviewed?: Reviewed; lookup?: ServiceAccountLookup }> {
    const answer = known.get(likeness);
    if (answer === undefined) return {};
    const { head, tail, namespace, result, reason, serviceAccount } = answer;
    const lookup = await serviceAccounts.get(serviceAccount.namespace, serviceAccount.name);
    const isSame = lookup.found && lookup.serviceAccount.annotations === serviceAccount.annotations;
    if (!isSame || settings() !== answer.settings) return { lookup };
    const { uid } = likeness;
    return { reviewed: { answer: head + uid + tail, uid, namespace, result, reason } };
  }

  return async (body, tellUid) => {
    const excerpt = excerptOf(body);
    const isRecent = excerpt?.number !== undefined && recent.note(excerpt.number);
    const likeness = isRecent ? likenessOf(excerpt, body) : undefined;
    if (likeness !== undefined) tellUid(likeness.uid);
    const { reviewed, lookup } = likeness === undefined ? {} : await again(likeness);
    if (reviewed !== undefined) return reviewed;

    const request = requestIn(body, excerpt);
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
    if (excerpt !== undefined && likeness !== undefined && isSettled(admission) && isShort(likeness, answer)) {
      const { key, number } = likeness;
      const at = answer.indexOf(uid);
      const [head, tail] = [answer.slice(0, at), answer.slice(at + uid.length)];
      const isSame = await isSameForOthers(requestIn(body, excerpt, otherDetails), admission, goneBy);
      const details = isSame ? {} : { details: likeness.details() };
      const { serviceAccount } = admission.account;
      known.put(number, { key, ...details, head, tail, namespace, result, reason, serviceAccount, settings: goneBy });
    }
    return { answer, uid, namespace, result, reason, ...(problems === undefined ? {} : { problems }) };
  };
}

type Settled = Admission & { readonly account: FoundServiceAccount };

/** Nobody is told anything, and what it went by was at hand: what is read live is another object each time. */
function isSettled(admission: Admission): admission is Settled {
  const { response, problems, report, account } = admission;
  const isSilent = problems === undefined && report === undefined && response.warnings?.length === 0;
  return isSilent && account?.source === 'cache';
}

/** Whether a Pod that differs only in what is apart is answered like this one. */
async function isSameForOthers(
  other: AdmissionRequest,
  { response, result, reason, account }: Settled,
  settings: AdmissionSettings,
): Promise<boolean> {
  const found = await admit(other, { get: async () => account }, settings);
  return JSON.stringify([found.response, found.result, found.reason]) === JSON.stringify([response, result, reason]);
}
