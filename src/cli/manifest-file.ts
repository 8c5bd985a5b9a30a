import { Document, isAlias, isSeq, parseAllDocuments, type ScalarTag, visit } from 'yaml';
import { Failure } from '../fault.ts';
import type { AddOperation } from '../json-patch.ts';

/**
 * The text of one or more Kubernetes objects (YAML documents, or JSON, which is YAML), read as `kubectl` reads it, and
 * written again with its comments.
 */
export interface ManifestFile {
  readonly objects: readonly ManifestObject[];
  /** The whole file as YAML, with what has been added. */
  yaml(): string;
}

/** One object of the file: a document, or an item of a List. */
export interface ManifestObject {
  readonly kind: string;
  /** The group before the slash of `apiVersion`; empty for the core group. */
  readonly group: string;
  readonly namespace: string;
  readonly name: string;
  readonly value: Readonly<Record<string, unknown>>;
  /** Applies additions to the file. Pointers are relative to the object. */
  add(patch: readonly AddOperation[]): void;
  /** The object alone as YAML. */
  yaml(): string;
  /** The object alone as a plain value. */
  toJSON(): unknown;
}

const NUMBERS: ReadonlySet<string> = new Set(['tag:yaml.org,2002:int', 'tag:yaml.org,2002:float']);

const asWritten =
  (tag: ScalarTag): NonNullable<ScalarTag['stringify']> =>
  (item, ...rest) =>
    item.source ?? tag.stringify?.(item, ...rest) ?? String(item.value);

/**
 * YAML 1.1 as Kubernetes reads it (sigs.k8s.io/yaml): `0644` is octal and `yes` a boolean, but `10:30` is no number and
 * a date is no date.
 */
const READ = {
  version: '1.1',
  // A number may be larger than JavaScript's, and is written again as it was.
  intAsBigInt: true,
  customTags: (tags: unknown[]) =>
    (tags as ScalarTag[])
      .filter(({ format, tag }) => format !== 'TIME' && tag !== 'tag:yaml.org,2002:timestamp')
      .map((tag) => (NUMBERS.has(tag.tag) ? { ...tag, stringify: asWritten(tag) } : tag)),
} as const;
const WRITE = { lineWidth: 0 } as const;
/** What was shared by alias is written out at each place. */
const UNSHARED = { ...READ, aliasDuplicateObjects: false } as const;

type Path = readonly (string | number)[];

/** Reads a file's text. Throws a Failure with every fault in it. */
export function readManifests(text: string, source: string): ManifestFile {
  const documents = parseAllDocuments(text, READ as Parameters<typeof parseAllDocuments>[1]);
  const faults = documents.flatMap(({ errors }) => errors.map(({ message }) => message.split('\n')[0]));
  if (faults.length > 0) throw new Failure(`${source} is not YAML: ${faults.join('; ')}`);
  const indentSeq = !/^( *)[^\s#-][^\n]*:[^\S\n]*\n\1- /m.test(text);
  const files = documents.flatMap((document, index) =>
    editable(document, `${source}, document ${index + 1}`, indentSeq),
  );
  const objects = files.flatMap((file) => file.objects);
  if (objects.length === 0) throw new Failure(`${source} has no Kubernetes object in it`);
  return {
    objects,
    // A document that began with `---` still does.
    yaml: () =>
      files.map((file) => file.yaml()).reduce((all, text) => `${all}${text.startsWith('---') ? '' : '---\n'}${text}`),
  };
}

interface EditableDocument {
  readonly objects: readonly ManifestObject[];
  yaml(): string;
}

function editable(parsed: Document, source: string, indentSeq: boolean): EditableDocument[] {
  let document = parsed;
  let value: unknown;
  try {
    value = plainNumbers(document.toJS());
  } catch (cause) {
    // Aliases that unfold without end.
    throw new Failure(`${source} cannot be read: ${(cause as Error).message}`, { cause });
  }
  const write = { ...WRITE, indentSeq };
  if (value === null || value === undefined) return [];
  const object = (item: Record<string, unknown>, at: Path): ManifestObject => ({
    ...identify(item),
    value: item,
    add(patch) {
      if (patch.length > 0 && hasAliases(document)) document = new Document(document.toJS(), UNSHARED as never);
      for (const { path, value: added } of patch) addAt(document, [...at, ...tokensOf(path)], added);
    },
    yaml: () =>
      at.length === 0 ? document.toString(write) : new Document(document.getIn(at), READ as never).toString(write),
    toJSON() {
      const inner = at.reduce(
        (outer, key) => (outer as Record<string | number, unknown>)[key],
        plainNumbers(document.toJS()),
      );
      return { apiVersion: item.apiVersion, kind: item.kind, ...(inner as object) };
    },
  });
  return [{ objects: objectsIn(value, source, object), yaml: () => document.toString(write) }];
}

function objectsIn(
  value: unknown,
  source: string,
  object: (item: Record<string, unknown>, at: Path) => ManifestObject,
  at: Path = [],
): ManifestObject[] {
  if (!isObject(value)) throw new Failure(`${source} is not a Kubernetes object`);
  const { kind, items } = value;
  if (typeof kind !== 'string' || !kind.endsWith('List') || items === undefined) return [object(value, at)];
  if (!Array.isArray(items)) throw new Failure(`${source}: the items of the ${kind} are not a list`);
  // The items of a PodList say neither apiVersion nor kind.
  const type = kind === 'List' ? {} : { apiVersion: value.apiVersion, kind: kind.slice(0, -'List'.length) };
  return items.flatMap((item: unknown, index) => {
    if (!isObject(item)) throw new Failure(`${source}: item ${index + 1} of the ${kind} is not an object`);
    return objectsIn({ ...type, ...item }, source, object, [...at, 'items', index]);
  });
}

function identify(item: Record<string, unknown>) {
  const apiVersion = textOf(item.apiVersion);
  const metadata = isObject(item.metadata) ? item.metadata : {};
  const name = metadata.name ?? metadata.generateName;
  return {
    kind: textOf(item.kind),
    group: apiVersion.includes('/') ? apiVersion.slice(0, apiVersion.indexOf('/')) : '',
    namespace: typeof metadata.namespace === 'string' && metadata.namespace !== '' ? metadata.namespace : 'default',
    name: typeof name === 'string' ? name : '(unnamed)',
  };
}

/** Not String(), which calls what an object has under `toString`. */
const textOf = (value: unknown): string => (typeof value === 'string' ? value : '');

/** Whole numbers as JavaScript has them, but for those that it would change. */
function plainNumbers(value: unknown): unknown {
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : value;
  if (Array.isArray(value)) return value.map(plainNumbers);
  if (!isObject(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plainNumbers(item)]));
}

/** Bytes, which YAML writes as `!!binary`, are none. */
const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !ArrayBuffer.isView(value);

/** A part that is shared by alias cannot be edited in one place: such a document is written out first. */
function hasAliases(document: Document): boolean {
  let found = false;
  visit(document, {
    Alias: (_, node) => {
      found ||= isAlias(node);
      return visit.BREAK;
    },
  });
  return found;
}

/** The reference tokens of a JSON Pointer (RFC 6901 section 4). */
function tokensOf(path: string): string[] {
  const [, ...tokens] = path.split('/');
  return tokens.map((token) => token.replaceAll('~1', '/').replaceAll('~0', '~'));
}

function addAt(document: Document, path: Path, value: unknown): void {
  const node = document.createNode(value);
  if (path.at(-1) !== '-') {
    document.setIn(path, node);
    return;
  }
  const list = document.getIn(path.slice(0, -1));
  // What was written as `[]` grows into lines.
  if (isSeq(list) && list.items.length === 0) list.flow = false;
  document.addIn(path.slice(0, -1), node);
}
