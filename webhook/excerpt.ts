/**
 * What is left of a JSON text when only those parts are kept that somebody reads. It is made without parsing: the bytes are
 * looked at once, and none of what is left out becomes an object.
 *
 * Only text that says the same to every parser is cut: JSON without space, without letters after a backslash in keys, and
 * not deep. Of everything else there is no excerpt, and a parser is to say what it is.
 */

const [WHOLE, THERE, APART, APART_TEXT, DRAWN, LIST, OBJECT] = [0, 1, 2, 3, 4, 5, 6] as const;

/** What becomes of a value. */
export interface Part {
  readonly kind: number;
  readonly items: Part | undefined;
  readonly members: ReadonlyMap<number, Member> | undefined;
  readonly others: Part | undefined;
  /** What the keys of the others begin with; undefined for any. */
  readonly prefixes: readonly Buffer[] | undefined;
  readonly prefix: Buffer | undefined;
}

interface Member {
  readonly key: Buffer;
  readonly part: Part;
}

const NO_PART: Part = {
  kind: WHOLE,
  items: undefined,
  members: undefined,
  others: undefined,
  prefixes: undefined,
  prefix: undefined,
};

/** It stays as it is. */
export const whole: Part = NO_PART;
/** It becomes `0`: that it is there is all that is read. */
export const there: Part = { ...NO_PART, kind: THERE };
/** It stays, and two excerpts are alike that differ in it. */
export const apart = (): Part => ({ ...NO_PART, kind: APART });
/** As `apart` where it is a text; another value stays as it is. */
export const apartText = (): Part => ({ ...NO_PART, kind: APART_TEXT });
/** A text of a prefix and five letters that the API server has drawn: they are apart. Another value stays as it is. */
export const drawn = (prefix: string): Part => ({ ...NO_PART, kind: DRAWN, prefix: Buffer.from(prefix) });
/** Something else than a list stays as it is. */
export const listOf = (items: Part): Part => ({ ...NO_PART, kind: LIST, items });

/**
 * Members that are not named here are left out, or become what `others` says where their key begins with one of the prefixes.
 * Something else than an object stays as it is.
 */
export function objectOf(members: Readonly<Record<string, Part>>, others?: Part, prefixes?: readonly string[]): Part {
  const table = new Map<number, Member>();
  for (const [name, part] of Object.entries(members)) {
    const key = Buffer.from(name);
    if (key.length === 0) throw new Error('a member has no name');
    const number = numberOfKey(key, 0, key.length);
    if (table.has(number)) throw new Error(`two members have one number: ${name}`);
    table.set(number, { key, part });
  }
  return { ...NO_PART, kind: OBJECT, members: table, others, prefixes: prefixes?.map((each) => Buffer.from(each)) };
}

/** What tells most keys apart, from the first byte of one and to its end. */
const numberOfKey = (bytes: Buffer, from: number, to: number) =>
  ((to - from) << 16) | ((bytes[from] as number) << 8) | (bytes[to - 1] as number);

/** A part that is apart: where in the bytes its text begins and ends. */
export interface Apart {
  readonly part: Part;
  readonly from: number;
  readonly to: number;
}

export interface Excerpt {
  /** Its text, with a mark for each part that is apart. */
  readonly key: string;
  /** In the order of the marks. */
  readonly apart: readonly Apart[];
  /** Of the key; two keys may have the same one. Absent for a long body, and where very much is apart. */
  readonly number?: number;
}

/** Cuts excerpts. Undefined where there is none. */
export type Cutter = (bytes: Buffer) => Excerpt | undefined;

/** No byte of what is cut: texts in JSON have none below the space. */
const MARK = 1;
/** Made once; what is longer is rare and gets memory of its own. */
const SHARED = 256 * 1024;
/** Nothing that is read is so deep. */
const MAX_DEPTH = 64;
const MAX_APART = 1_000;

export function createCutter(root: Part): Cutter {
  const shared = Buffer.from(new ArrayBuffer(SHARED));
  const words = new Int32Array(shared.buffer);
  let out = shared;
  let length = 0;
  /** Up to here the bytes are written or left out. */
  let done = 0;
  let parts: Apart[] = [];
  /** Where the letters are that were drawn for this Pod; -1 before any were seen. */
  let letters = -1;

  function writeTo(bytes: Buffer, to: number): void {
    if (to - done > LONG) length += bytes.copy(out, length, done, to);
    else for (let at = done; at < to; at++) out[length++] = bytes[at] as number;
    done = to;
  }

  function replace(bytes: Buffer, from: number, to: number, by: number): void {
    writeTo(bytes, from);
    out[length++] = by;
    done = to;
  }

  /** Where the value ends that begins at `at`; -1 where it is none that is cut. */
  function cut(part: Part, bytes: Buffer, at: number, depth: number): number {
    const { kind } = part;
    if (kind === OBJECT && bytes[at] === BRACE) return cutObject(part, bytes, at, depth);
    if (kind === LIST && bytes[at] === BRACKET) return cutList(part.items ?? whole, bytes, at, depth);
    const end = endOfValue(bytes, at, depth);
    if (end < 0 || kind === WHOLE) return end;
    if (kind === THERE) replace(bytes, at, end, ZERO);
    else if (kind === APART || (kind === APART_TEXT && bytes[at] === QUOTE)) keepApart(part, bytes, at, end);
    else if (kind === DRAWN && isDrawn(part.prefix, bytes, at, end))
      keepApart(part, bytes, end - 1 - DRAWN_LENGTH, end - 1);
    return end;
  }

  function keepApart(part: Part, bytes: Buffer, from: number, to: number): void {
    // So many cost more than what is gained: the others stay as they are.
    if (parts.length === MAX_APART) return;
    parts.push({ part, from, to });
    replace(bytes, from, to, MARK);
  }

  /** It has drawn letters, and the same as the first one that had some: else two names could be taken for one. */
  function isDrawn(prefix: Buffer | undefined, bytes: Buffer, at: number, end: number): boolean {
    const from = end - 1 - DRAWN_LENGTH;
    if (prefix === undefined || !isKey(prefix, bytes, at + 1, from)) return false;
    for (let i = 0; i < DRAWN_LENGTH; i++) {
      const byte = bytes[from + i] as number;
      if (letters < 0 ? !DRAWN_LETTERS.includes(byte) : byte !== bytes[letters + i]) return false;
    }
    if (letters < 0) letters = from;
    return true;
  }

  /** The parts say how deep it goes. */
  function cutObject({ members, others, prefixes }: Part, bytes: Buffer, start: number, depth: number): number {
    let at = start + 1;
    if (bytes[at] === END_BRACE) return at + 1;
    // Nothing of it is kept so far.
    let isEmpty = true;
    for (;;) {
      const from = at;
      if (bytes[at] !== QUOTE) return -1;
      at = endOfKey(bytes, at);
      if (at < 0 || bytes[at] !== COLON) return -1;
      const member = members?.get(numberOfKey(bytes, from + 1, at - 1));
      let part = others;
      if (member !== undefined && isKey(member.key, bytes, from + 1, at - 1)) part = member.part;
      else if (prefixes !== undefined && !hasPrefix(prefixes, bytes, from + 1)) part = undefined;
      if (part === undefined) {
        // With the comma before it, or, where there was nothing before it, the one after it.
        writeTo(bytes, isEmpty ? from : from - 1);
        at = endOfValue(bytes, at + 1, depth + 1);
        if (at < 0) return at;
        done = isEmpty && bytes[at] === COMMA ? at + 1 : at;
      } else {
        isEmpty = false;
        at = cut(part, bytes, at + 1, depth + 1);
        if (at < 0) return at;
      }
      const next = bytes[at++];
      if (next === END_BRACE) return at;
      if (next !== COMMA) return -1;
    }
  }

  function cutList(items: Part, bytes: Buffer, start: number, depth: number): number {
    let at = start + 1;
    if (bytes[at] === END_BRACKET) return at + 1;
    for (;;) {
      at = cut(items, bytes, at, depth + 1);
      if (at < 0) return at;
      const next = bytes[at++];
      if (next === END_BRACKET) return at;
      if (next !== COMMA) return -1;
    }
  }

  /** By four bytes, the rest of the last ones being 0. It has 31 bits, so that V8 needs no object for it. */
  function numberOf(): number {
    out.fill(0, length, length + 3);
    let number = length;
    for (let i = 0; i * 4 < length; i++) {
      number = Math.imul(number ^ (words[i] as number), 0x9e3779b1);
      number ^= number >>> 15;
    }
    return number >>> 1;
  }

  function excerptOf(bytes: Buffer): Excerpt | undefined {
    const end = cut(root, bytes, 0, 0);
    if (end < 0) return undefined;
    for (let at = end; at < bytes.length; at++) if (!isSpace(bytes[at])) return undefined;
    writeTo(bytes, end);
    const key = out.toString('utf8', 0, length);
    const isWhole = out === shared && parts.length < MAX_APART;
    return isWhole ? { key, apart: parts, number: numberOf() } : { key, apart: parts };
  }

  return (bytes) => {
    // What becomes of a value is never longer than it, and behind the last one there is room for a whole number.
    out = bytes.length <= SHARED - 4 ? shared : Buffer.allocUnsafeSlow(bytes.length);
    length = 0;
    done = 0;
    letters = -1;
    try {
      return excerptOf(bytes);
    } finally {
      // Nothing of a request is held until the next one.
      out = shared;
      parts = [];
    }
  };
}

function isKey(key: Buffer, bytes: Buffer, from: number, to: number): boolean {
  if (key.length !== to - from) return false;
  for (let i = 0; i < key.length; i++) if (bytes[from + i] !== key[i]) return false;
  return true;
}

/** A quote ends each key, and none is in a prefix. */
function hasPrefix(prefixes: readonly Buffer[], bytes: Buffer, from: number): boolean {
  for (const prefix of prefixes) if (isKey(prefix, bytes, from, from + prefix.length)) return true;
  return false;
}

/** What stands in the place of something that is apart, as JSON: `found` is what is there. */
export type Replaced = (part: Part, found: string) => string;

/** The text of an excerpt of these bytes, with everything that is apart in its place. */
export function textOf({ key, apart: parts }: Excerpt, bytes: Buffer, replaced?: Replaced): string {
  let text = '';
  let kept = 0;
  for (const { part, from, to } of parts) {
    const at = key.indexOf(MARK_TEXT, kept);
    const found = bytes.toString('utf8', from, to);
    text += key.slice(kept, at) + (replaced?.(part, found) ?? found);
    kept = at + 1;
  }
  return text + key.slice(kept);
}

const MARK_TEXT = String.fromCharCode(MARK);

// ---- JSON (RFC 8259) without space ------------------------------------------------------------------------------------

const [QUOTE, BACKSLASH, COMMA, COLON, ZERO, MINUS, POINT] = [0x22, 0x5c, 0x2c, 0x3a, 0x30, 0x2d, 0x2e] as const;
const [BRACE, END_BRACE, BRACKET, END_BRACKET, SPACE] = [0x7b, 0x7d, 0x5b, 0x5d, 0x20] as const;
const [TRUE, FALSE, NULL] = [Buffer.from('true'), Buffer.from('false'), Buffer.from('null')] as const;
/** After a backslash, beside itself and the quote; and `u` with four digits. */
const ESCAPED = Buffer.from('/bfnrt');
const U = 0x75;
/** Of apimachinery/pkg/util/rand, String(5). */
const DRAWN_LETTERS = Buffer.from('bcdfghjklmnpqrstvwxz2456789');
const DRAWN_LENGTH = 5;
/** From here on a call is faster than a loop. */
const LONG = 256;

/** Where the value ends that begins at `at`; -1 where it is none. */
function endOfValue(bytes: Buffer, at: number, depth: number): number {
  switch (bytes[at]) {
    case QUOTE:
      return endOfText(bytes, at);
    case BRACE:
      return endOfObject(bytes, at, depth);
    case BRACKET:
      return endOfList(bytes, at, depth);
    case TRUE[0]:
      return isKey(TRUE, bytes, at, at + 4) ? at + 4 : -1;
    case FALSE[0]:
      return isKey(FALSE, bytes, at, at + 5) ? at + 5 : -1;
    case NULL[0]:
      return isKey(NULL, bytes, at, at + 4) ? at + 4 : -1;
    default:
      return endOfNumber(bytes, at);
  }
}

function endOfText(bytes: Buffer, start: number): number {
  for (let at = start + 1; at < bytes.length; at++) {
    const byte = bytes[at] as number;
    if (byte === QUOTE) return at + 1;
    if (byte < SPACE) return -1;
    if (byte !== BACKSLASH) continue;
    at = endOfEscape(bytes, at + 1);
    if (at < 0) return -1;
  }
  return -1;
}

/** Where its last byte is. */
function endOfEscape(bytes: Buffer, at: number): number {
  const escaped = bytes[at];
  if (escaped === QUOTE || escaped === BACKSLASH) return at;
  if (escaped !== U) return escaped !== undefined && ESCAPED.includes(escaped) ? at : -1;
  for (let i = 1; i <= 4; i++) if (!isHex(bytes[at + i])) return -1;
  return at + 4;
}

/** As of a text without a backslash. */
function endOfKey(bytes: Buffer, start: number): number {
  for (let at = start + 1; at < bytes.length; at++) {
    const byte = bytes[at] as number;
    if (byte === QUOTE) return at + 1;
    if (byte < SPACE || byte === BACKSLASH) return -1;
  }
  return -1;
}

function endOfObject(bytes: Buffer, start: number, depth: number): number {
  if (depth > MAX_DEPTH) return -1;
  let at = start + 1;
  if (bytes[at] === END_BRACE) return at + 1;
  for (;;) {
    if (bytes[at] !== QUOTE) return -1;
    at = endOfText(bytes, at);
    if (at < 0 || bytes[at] !== COLON) return -1;
    at = endOfValue(bytes, at + 1, depth + 1);
    if (at < 0) return at;
    const next = bytes[at++];
    if (next === END_BRACE) return at;
    if (next !== COMMA) return -1;
  }
}

function endOfList(bytes: Buffer, start: number, depth: number): number {
  if (depth > MAX_DEPTH) return -1;
  let at = start + 1;
  if (bytes[at] === END_BRACKET) return at + 1;
  for (;;) {
    at = endOfValue(bytes, at, depth + 1);
    if (at < 0) return at;
    const next = bytes[at++];
    if (next === END_BRACKET) return at;
    if (next !== COMMA) return -1;
  }
}

function endOfNumber(bytes: Buffer, start: number): number {
  let at = bytes[start] === MINUS ? start + 1 : start;
  at = bytes[at] === ZERO ? at + 1 : endOfDigits(bytes, at);
  if (at >= 0 && bytes[at] === POINT) at = endOfDigits(bytes, at + 1);
  if (at < 0) return at;
  const byte = bytes[at];
  if (byte !== E && byte !== SMALL_E) return at;
  const sign = bytes[at + 1];
  return endOfDigits(bytes, sign === MINUS || sign === PLUS ? at + 2 : at + 1);
}

const [E, SMALL_E, PLUS] = [0x45, 0x65, 0x2b] as const;

/** At least one. */
function endOfDigits(bytes: Buffer, start: number): number {
  let at = start;
  while (isDigit(bytes[at])) at += 1;
  return at > start ? at : -1;
}

const isDigit = (byte: number | undefined) => byte !== undefined && byte >= 0x30 && byte <= 0x39;

function isHex(byte: number | undefined): boolean {
  if (byte === undefined) return false;
  return isDigit(byte) || (byte >= 0x41 && byte <= 0x46) || (byte >= 0x61 && byte <= 0x66);
}

const isSpace = (byte: number | undefined) => byte === SPACE || byte === 0x0a || byte === 0x0d || byte === 0x09;
