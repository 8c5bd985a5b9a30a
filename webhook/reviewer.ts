import { printable } from '../src/fault.ts';
import { type AdmissionRequest, readReview, requestIn, writeReview } from './admission-review.ts';
import { type Admission, type AdmissionSettings, admit } from './admit.ts';
import { createKnownAnswers, createRecentTemplates, type KnownAnswers } from './known-answers.ts';
import { type Likeness, likenessOf, templateOf } from './likeness.ts';
import type { PodReport } from './pod-report.ts';
import type { ServiceAccountLookup, ServiceAccountSource } from './service-accounts.ts';

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
 * What Pods of one template get is worked out twice, and from then on known: an answer follows from the text of the review,
 * the annotations of the ServiceAccount and the settings alone (see `admit`). Only answers about which nobody is told
 * anything are kept, as a warning or an event may name what the likeness leaves out.
 */
export function createReviewer(options: ReviewerOptions): Reviewer {
  const { serviceAccounts, settings, onReport, known = createKnownAnswers() } = options;
  const templates = createRecentTemplates();

  async function again({ uid, key }: Likeness): Promise<{ reviewed?: Reviewed; lookup?: ServiceAccountLookup }> {
    const answer = known.get(key);
    if (answer === undefined) return {};
    const { head, tail, namespace, result, reason, serviceAccount } = answer;
    const lookup = await serviceAccounts.get(serviceAccount.namespace, serviceAccount.name);
    const isSame = lookup.found && lookup.serviceAccount.annotations === serviceAccount.annotations;
    if (!isSame || settings() !== answer.settings) return { lookup };
    return { reviewed: { answer: head + uid + tail, uid, namespace, result, reason } };
  }

  return async (body, tellUid) => {
    const text = readReview(body);
    const template = templateOf(text);
    const likeness = template !== undefined && templates.note(template) ? likenessOf(text) : undefined;
    if (likeness !== undefined) tellUid(likeness.uid);
    const { reviewed, lookup } = likeness === undefined ? {} : await again(likeness);
    if (reviewed !== undefined) return reviewed;

    const request = requestIn(text);
    const { uid } = request;
    tellUid(uid);
    const goneBy = settings();
    // Who has just been asked about is not asked about again.
    const source = lookup === undefined ? serviceAccounts : { get: async () => lookup };
    const { response, result, reason, problems, report, account } = await admit(request, source, goneBy);
    const answer = writeReview(request, response);
    const namespace = printable(request.namespace ?? '');
    if (report !== undefined) onReport?.(request, report);
    const isSilent = problems === undefined && report === undefined && response.warnings?.length === 0;
    // What was read live is another object each time, and would never be found the same.
    const isSettled = account?.source === 'cache' && isSilent;
    if (isSettled && likeness?.uid === uid && !likeness.key.includes(uid)) {
      const at = answer.indexOf(uid);
      const [head, tail] = [answer.slice(0, at), answer.slice(at + uid.length)];
      const { serviceAccount } = account;
      known.put(likeness.key, { head, tail, namespace, result, reason, serviceAccount, settings: goneBy });
    }
    return { answer, uid, namespace, result, reason, ...(problems === undefined ? {} : { problems }) };
  };
}
