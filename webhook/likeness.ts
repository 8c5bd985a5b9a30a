/** What is told apart, and what is alike, in the text of a review. */
export interface Likeness {
  /** Of the request. */
  readonly uid: string;
  /** The same for two reviews only where they differ in nothing but their uid and the drawn name of the default token's volume. */
  readonly key: string;
}

/**
 * A number for the template of a review's Pod, as a controller makes Pods of one: two templates may have the same one.
 * Undefined where the Pod is not made of a template, or the review is not as the API server writes it, or long.
 */
export function templateOf(text: string): number | undefined {
  if (!isReadable(text)) return undefined;
  const from = text.indexOf(GENERATE_NAME, HEAD.length);
  if (from < 0) return undefined;
  // FNV-1a
  let number = 0x811c9dc5;
  for (let at = from + GENERATE_NAME.length; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) break;
    number = Math.imul(number ^ code, 0x01000193);
  }
  return number >>> 0;
}

/**
 * The likeness of a review of which there is a template; undefined where nothing can be said.
 *
 * Nothing is parsed, so only what is surely no text of a user is left out: the uid where the API server writes it, and the
 * five letters where members follow that no map of texts can hold, and that in what an API server writes only a volume and
 * a mount have in this order.
 */
export function likenessOf(text: string): Likeness | undefined {
  if (!isReadable(text)) return undefined;
  const end = HEAD.length + UID_LENGTH;
  const uid = text.slice(HEAD.length, end);
  // With the mark in it the text is no JSON, and could be taken for the key of one that is.
  if (!UID.test(uid) || text[end] !== '"' || text.includes(MARK)) return undefined;
  let key = '';
  let kept = end;
  let drawn: string | undefined;
  for (let at = text.indexOf(VOLUME, kept); at >= 0; at = text.indexOf(VOLUME, at)) {
    at += VOLUME.length;
    const after = at + DRAWN_LENGTH;
    if (!AFTER.some((members) => text.startsWith(members, after))) continue;
    const letters = text.slice(at, after);
    if (!DRAWN.test(letters)) continue;
    drawn ??= letters;
    if (letters !== drawn) return undefined;
    key += text.slice(kept, at) + MARK;
    kept = after;
  }
  return { uid, key: key + text.slice(kept) };
}

/** It is as the API server writes it, and not long. */
const isReadable = (text: string) => text.length <= MAX_LENGTH && text.startsWith(HEAD);

/** V8 hashes no longer text by what is in it. */
const MAX_LENGTH = 16_383;
/** The order of the members in Go's struct (k8s.io/api/admission/v1, AdmissionReview). */
const HEAD = '{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"';
const UID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const UID_LENGTH = 36;
/** A Pod with a name of its own comes once. */
const GENERATE_NAME = '"generateName":"';
const QUOTE = 0x22;
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
