import {
  type AnnotationKey,
  annotationKey,
  isList,
  isOurs,
  type NamedKey,
  nearestAnnotation,
  type PlainKey,
} from '../src/catalog/annotations.ts';
import { audience, type Codec, listItems } from '../src/codec.ts';
import { type Problem, quote } from '../src/fault.ts';

/** Something that carries annotations, and how messages name it: `Pod shop/web`. */
export interface Annotated {
  readonly object: string;
  readonly annotations: Readonly<Record<string, string>>;
}

/** A value, and where it was written. */
export interface At {
  readonly object: string;
  /** The whole key, prefix included. */
  readonly key: string;
  readonly value: string;
}

/** An annotation of podpass' own; its value is without the white space around it. */
export interface Written extends At {
  readonly on: 'Pod' | 'ServiceAccount';
  /** The key taken apart. */
  readonly parts: AnnotationKey;
}

/** Annotations by the part of their key after the prefix. */
type Entries = ReadonlyMap<string, Written>;

/** The API server passes on 4 KiB of warnings: apiserver/pkg/endpoints/filters/warning.go. */
const MAX_UNKNOWN = 20;

/** An object's annotations under the prefix, and a warning for each that no row of the catalog has. */
export function writtenAnnotations(
  on: Written['on'],
  from: Annotated,
  prefix: string,
): { entries: Entries; warnings: string[] } {
  const entries = new Map<string, Written>();
  const unknown: string[] = [];
  const start = `${prefix}/`;
  for (const key in from.annotations) {
    if (!key.startsWith(start)) continue;
    const name = key.slice(start.length);
    const parts = annotationKey(name);
    if (parts === undefined || (isOurs(parts) && on !== 'Pod')) unknown.push(name);
    else entries.set(name, { on, object: from.object, key, parts, value: (from.annotations[key] ?? '').trim() });
  }
  if (unknown.length === 0) return { entries, warnings: [] };
  const warnings = unknown.slice(0, MAX_UNKNOWN).map((name) => {
    const nearest = `${prefix}/${nearestAnnotation(name)}`;
    // The object comes last: the API server cuts long warnings.
    return `${quote(`${prefix}/${name}`)} is not known and does nothing; did you mean ${quote(nearest)}? (${from.object})`;
  });
  const more = unknown.length - warnings.length;
  if (more > 0) warnings.push(`${from.object}: ${more} more keys are not known`);
  return { entries, warnings };
}

/** The annotations that count. */
export interface Effective {
  get(key: PlainKey): Written | undefined;
  /** The options of single tokens: of `expiration`, those of `expiration.<name>`, by name. */
  ofTokens(key: NamedKey): ReadonlyMap<string, Written>;
}

const NONE: ReadonlyMap<string, Written> = new Map();

/** Key by key the winner's annotations; an empty one of them removes the other's. */
export function effectiveAnnotations(winner: Entries, other: Entries = NONE): Effective {
  const plain = new Map<PlainKey, Written>();
  const named = new Map<NamedKey, Map<string, Written>>();
  const take = (entry: Written) => {
    const { parts } = entry;
    if (isEmpty(entry)) return;
    if (parts.name === undefined) plain.set(parts.key, entry);
    else named.set(parts.key, (named.get(parts.key) ?? new Map<string, Written>()).set(parts.name, entry));
  };
  for (const [name, entry] of other) if (!winner.has(name)) take(entry);
  for (const entry of winner.values()) take(entry);
  return { get: (key) => plain.get(key), ofTokens: (key) => named.get(key) ?? NONE };
}

/** An empty value is as good as none, and so is a list without items. */
function isEmpty({ parts, value }: Written): boolean {
  return value === '' || (isList(parts) && listItems(value).length === 0);
}

export function problemAt({ object, key, value }: At, wrong: string, accepted: string): Problem {
  return { object, key, value, wrong, accepted };
}

/** Adds a problem for a value that is no audience, or one that a token must not have. */
export function checkAudience(at: At, reserved: ReadonlySet<string>, problems: Problem[]): void {
  parseWritten(at, audience, problems);
  if (!reserved.has(at.value.trim())) return;
  const wrong =
    "is reserved: it is the API server's own, against which such a token could be replayed, or in --reserved-audiences";
  problems.push(problemAt(at, wrong, 'an audience of its own for each service'));
}

/** The value of an annotation, or `undefined` where there is none or it is a problem, which is then added. */
export function parseWritten<T>(entry: At | undefined, codec: Codec<T>, problems: Problem[]): T | undefined {
  if (entry === undefined) return undefined;
  const result = codec.parse(entry.value);
  if (result.ok) return result.value;
  problems.push(problemAt(entry, result.wrong, codec.accepted));
  return undefined;
}
