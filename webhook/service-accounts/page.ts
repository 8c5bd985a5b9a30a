import { type Annotations, NO_ANNOTATIONS, pick, type Wanted } from './account.ts';
import { type KubeObject, MAX_BYTES, OutOfStep, parse } from './kube-json.ts';
import { CutOff, Malformed, Message } from './protobuf.ts';

/** A part of the list of all ServiceAccounts. */
export interface Page {
  /** Of the list. Every page says the same. */
  readonly version: string;
  /** Asks for the next page; empty on the last one. */
  readonly next: string;
  /** It came in Protocol Buffers. */
  readonly compact: boolean;
}

/** What is found in a page. */
export interface Finding {
  readonly wanted: Wanted;
  readonly see: (namespace: string, name: string, annotations: Annotations) => void;
}

/** Reads a page while its bytes come. Throws OutOfStep where it is none. */
export interface PageReader {
  /** Takes the next bytes. Throws TooLarge for JSON that is too large to be read as one. */
  write(chunk: Buffer): void;
  /** Where the list goes on, once that is known; the first bytes of a page in Protocol Buffers say it. */
  readonly next: string | undefined;
  /** There are no more bytes. */
  end(): Page;
}

export class TooLarge extends Error {}

const PROTOBUF = 'application/vnd.kubernetes.protobuf';
/**
 * A page in Protocol Buffers is walked without its values being made, most of which are managedFields and others'
 * annotations; of JSON all of them are made before anything can be left out. Something between us and the API server
 * may know JSON only.
 */
export const ACCEPT = `${PROTOBUF}, application/json`;

export function createPageReader(contentType: string | undefined, finding: Finding): PageReader {
  return contentType?.startsWith(PROTOBUF) ? compactReader(finding) : jsonReader(finding);
}

/** A page that is there as a whole. Throws what its reader throws. */
export function readPage(body: Buffer, contentType: string | undefined, finding: Finding): Page {
  const reader = createPageReader(contentType, finding);
  reader.write(body);
  return reader.end();
}

interface ServiceAccountList {
  readonly metadata?: { readonly resourceVersion?: unknown; readonly continue?: unknown } | null;
  readonly items?: readonly (KubeObject | null)[] | null;
}

function jsonReader({ wanted, see }: Finding): PageReader {
  const chunks: Buffer[] = [];
  let size = 0;
  return {
    write(chunk) {
      size += chunk.length;
      if (size > MAX_BYTES) throw new TooLarge(`over ${MAX_BYTES} bytes`);
      chunks.push(chunk);
    },
    next: undefined,
    end() {
      const { metadata, items } = parse<ServiceAccountList>(Buffer.concat(chunks));
      if (!Array.isArray(items ?? [])) throw new OutOfStep('the items of a list are no list');
      for (const item of items ?? []) {
        const { namespace, name, annotations } = item?.metadata ?? {};
        if (namespace && name) see(namespace, name, pick(annotations, wanted));
      }
      return checked(metadata?.resourceVersion, metadata?.continue ?? '', false);
    },
  };
}

// The envelope: https://kubernetes.io/docs/reference/using-api/api-concepts/#kubernetes-protobuf-serialization
const MAGIC = Buffer.from('k8s\0');
const UNKNOWN_RAW = 2;
// The numbers of the fields: generated.proto in k8s.io/api/core/v1 and in k8s.io/apimachinery/pkg/apis/meta/v1.
const LIST = { metadata: 1, items: 2 };
const LIST_META = { resourceVersion: 2, continue: 3 };
const SERVICE_ACCOUNT_METADATA = 1;
const OBJECT_META = { name: 1, namespace: 3, annotations: 12 };
const MAP_ENTRY = { key: 1, value: 2 };

/** More than the bytes of any page. */
const ENDLESS = 2 ** 30;
/** Room for what a connection hands over at once. */
const ROOM = 64 * 1024;

/** What has come is walked at once, but for the beginning of a field of which the rest has not. */
function compactReader({ wanted, see }: Finding): PageReader {
  let bytes = Buffer.allocUnsafe(ROOM);
  let length = 0;
  /** How much of the list has not been walked; undefined before it begins. */
  let left: number | undefined;
  let version = '';
  let next: string | undefined;

  function append(chunk: Buffer): void {
    if (length > MAX_BYTES) throw new Malformed(`a field is over ${MAX_BYTES} bytes`);
    if (length + chunk.length > bytes.length) {
      const wider = Buffer.allocUnsafe(2 * (length + chunk.length));
      bytes.copy(wider, 0, 0, length);
      bytes = wider;
    }
    length += chunk.copy(bytes, length);
  }

  /** To the beginning of the list. Returns how many bytes it has passed. */
  function enter(there: Buffer): number {
    if (there.length < MAGIC.length) return 0;
    if (!there.subarray(0, MAGIC.length).equals(MAGIC)) throw new Malformed('the envelope is missing');
    const envelope = new Message(there, MAGIC.length, ENDLESS);
    while (isNext(envelope)) {
      if (envelope.field === UNKNOWN_RAW) {
        left = envelope.to - envelope.from;
        return envelope.from;
      }
    }
    return 0;
  }

  /** Returns how many bytes it has passed. */
  function walk(there: Buffer, end: number): number {
    const list = new Message(there, 0, end);
    let done = 0;
    while (isNext(list) && list.to <= there.length) {
      if (list.field === LIST.metadata) [version, next] = listMeta(list.message());
      else if (list.field === LIST.items) {
        for (const metadata of only(list.message(), SERVICE_ACCOUNT_METADATA)) account(metadata, wanted, see);
      }
      done = list.to;
    }
    return end <= there.length ? end : done;
  }

  return {
    write(chunk) {
      outOfStep(() => {
        append(chunk);
        const there = bytes.subarray(0, length);
        let done = left === undefined ? enter(there) : 0;
        if (left !== undefined) {
          const walked = walk(there.subarray(done), left);
          left -= walked;
          // Of the envelope, nobody asks for what comes after the list.
          done = left === 0 ? length : done + walked;
        }
        bytes.copyWithin(0, done, length);
        length -= done;
      });
    },
    get next() {
      return next;
    },
    end: () =>
      outOfStep(() => {
        if (left === undefined) throw new Malformed('there is no list in it');
        if (left > 0) throw new Malformed('it is cut off');
        return checked(version, next ?? '', true);
      }),
  };
}

/** False also where the rest of it is not there yet. */
function isNext(message: Message): boolean {
  try {
    return message.next();
  } catch (error) {
    if (error instanceof CutOff) return false;
    throw error;
  }
}

function outOfStep<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof Malformed) throw new OutOfStep(`the API server sent no list: ${error.message}`);
    throw error;
  }
}

function* only(message: Message, field: number): Generator<Message> {
  while (message.next()) if (message.field === field) yield message.message();
}

function listMeta(metadata: Message): [version: string, next: string] {
  let [version, next] = ['', ''];
  while (metadata.next()) {
    if (metadata.field === LIST_META.resourceVersion) version = metadata.text();
    else if (metadata.field === LIST_META.continue) next = metadata.text();
  }
  return [version, next];
}

function account(metadata: Message, wanted: Wanted, see: Finding['see']): void {
  let [namespace, name] = ['', ''];
  let picked: Record<string, string> | undefined;
  while (metadata.next()) {
    if (metadata.field === OBJECT_META.name) name = metadata.text();
    else if (metadata.field === OBJECT_META.namespace) namespace = metadata.text();
    else if (metadata.field === OBJECT_META.annotations) picked = annotation(metadata.message(), wanted, picked);
  }
  if (namespace && name) see(namespace, name, picked === undefined ? NO_ANNOTATIONS : Object.freeze(picked));
}

function annotation(entry: Message, wanted: Wanted, picked: Record<string, string> | undefined) {
  let [key, value] = ['', ''];
  while (entry.next()) {
    if (entry.field === MAP_ENTRY.key) key = entry.text();
    // An entry's key comes first, so most values need not be made.
    else if (entry.field === MAP_ENTRY.value && wanted(key)) value = entry.text();
  }
  if (!wanted(key)) return picked;
  return { ...picked, [key]: value };
}

function checked(version: unknown, next: unknown, compact: boolean): Page {
  if (typeof version !== 'string' || version === '') throw new OutOfStep('a list had no resourceVersion');
  if (typeof next !== 'string') throw new OutOfStep('a list goes on in a way that is no text');
  return { version, next, compact };
}
