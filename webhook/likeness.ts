/** What is told apart, and what is alike, in the text of a review. */
export interface Likeness {
  /** Of the request. */
  readonly uid: string;
  /** The same for two reviews only where they differ in nothing but their uid and the drawn name of the default token's volume. */
  readonly key: string;
}

/**
 * The likeness of a review as the API server writes it, of a Pod that a controller makes of its template; undefined for
 * any other, and for a long one.
 *
 * Nothing is parsed, so only what is surely no part of a text is left out: the uid where the API server writes it, and the
 * five letters where members follow that no map of texts can hold.
 */
export function likenessOf(text: string): Likeness | undefined {
  if (text.length > MAX_LENGTH || !text.startsWith(HEAD) || !text.includes(FROM_TEMPLATE)) return undefined;
  const uid = text.slice(HEAD.length, HEAD.length + UID_LENGTH);
  // With the mark in it the text is no JSON, and could be taken for the key of one that is.
  if (!UID.test(uid) || text.includes(MARK)) return undefined;
  let key = '';
  let kept = HEAD.length + UID_LENGTH;
  let drawn: string | undefined;
  for (let at = text.indexOf(VOLUME, kept); at >= 0; at = text.indexOf(VOLUME, at)) {
    at += VOLUME.length;
    const end = at + DRAWN_LENGTH;
    if (!AFTER.some((members) => text.startsWith(members, end))) continue;
    const letters = text.slice(at, end);
    if (!DRAWN.test(letters)) continue;
    drawn ??= letters;
    if (letters !== drawn) return undefined;
    key += text.slice(kept, at) + MARK;
    kept = end;
  }
  return { uid, key: key + text.slice(kept) };
}

/** V8 hashes no longer text by what is in it. */
const MAX_LENGTH = 16_383;
/** The order of the members in Go's struct (k8s.io/api/admission/v1, AdmissionReview). */
const HEAD = '{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"';
const UID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const UID_LENGTH = 36;
/** A Pod with a name of its own comes once. */
const FROM_TEMPLATE = '"generateName":"';
/** Drawn for each Pod before webhooks are asked: kubernetes/plugin/pkg/admission/serviceaccount. */
const VOLUME = '"name":"kube-api-access-';
/** Of apimachinery/pkg/util/rand, String(5). */
const DRAWN = /^[bcdfghjklmnpqrstvwxz2456789]{5}$/;
const DRAWN_LENGTH = 5;
/** What follows in a volume, and in a mount of it: an object, and `true`. */
const AFTER = [
  '","projected":{',
  '","readOnly":true,"mountPath":"/var/run/secrets/kubernetes.io/serviceaccount"}',
] as const;
const MARK = '\0';
