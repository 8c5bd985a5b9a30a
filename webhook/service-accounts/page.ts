import { type Annotations, NO_ANNOTATIONS, pick, type Wanted } from './account.ts';
import { type KubeObject, MAX_BYTES, OutOfStep, parse } from './kube-json.ts';
import { Malformed, Message } from './protobuf.ts';

/** A part of the list of all ServiceAccounts. */
export interface Page {
  /** Of the list. Every page says the same. */
  readonly version: string;
  /** Asks for the next page; empty on the last one. */
  readonly next: string;
  /** It came in Protocol Buffers. */
  readonly compact: boolean;
}

// So many are read in about a millisecond or two; requests are answered between two slices.
const SLICE = 500;

type See = (namespace: string, name: string, annotations: Annotations) => void;

const PROTOBUF = 'application/vnd.kubernetes.protobuf';
/**
 * A page in Protocol Buffers is walked without its values being made, most of which are managedFields and others'
 * annotations; of JSON all of them are made before anything can be left out. Something between us and the API server
 * may know JSON only.
 */
export const ACCEPT = `${PROTOBUF}, application/json`;

/** Reads a page, in slices, `pause` between two of them. Rejects with OutOfStep where it is none. */
export async function readPage(
  body: Buffer,
  contentType: string | undefined,
  { wanted, see, pause }: { wanted: Wanted; see: See; pause: () => Promise<unknown> },
): Promise<Page> {
  return contentType?.startsWith(PROTOBUF) ? fromProtobuf(body, wanted, see, pause) : fromJson(body, wanted, see);
}

interface ServiceAccountList {
  readonly metadata?: { readonly resourceVersion?: unknown; readonly continue?: unknown } | null;
  readonly items?: readonly (KubeObject | null)[] | null;
}

function fromJson(body: Buffer, wanted: Wanted, see: See): Page {
  const { metadata, items } = parse<ServiceAccountList>(body);
  if (!Array.isArray(items ?? [])) throw new OutOfStep('the items of a list are no list');
  for (const item of items ?? []) {
    const { namespace, name, annotations } = item?.metadata ?? {};
    if (namespace && name) see(namespace, name, pick(annotations, wanted));
  }
  return checked(metadata?.resourceVersion, metadata?.continue ?? '', false);
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

async function fromProtobuf(body: Buffer, wanted: Wanted, see: See, pause: () => Promise<unknown>): Promise<Page> {
  try {
    const list = listIn(body, body.length);
    let [version, next] = ['', ''];
    let seen = 0;
    while (list.next()) {
      if (list.field === LIST.metadata) [version, next] = listMeta(list.message());
      else if (list.field === LIST.items) {
        for (const metadata of only(list.message(), SERVICE_ACCOUNT_METADATA)) account(metadata, wanted, see);
        seen += 1;
        if (seen % SLICE === 0) await pause();
      }
    }
    return checked(version, next, true);
  } catch (error) {
    if (error instanceof Malformed) throw new OutOfStep(`the API server sent no list: ${error.message}`);
    throw error;
  }
}

/**
 * Where the list goes on after a page, told from the first bytes of that page, with the metadata before the items;
 * undefined where they do not tell.
 */
export function nextOf(first: Buffer, contentType: string | undefined): string | undefined {
  if (!contentType?.startsWith(PROTOBUF)) return undefined;
  try {
    const list = listIn(first, MAX_BYTES);
    const metadata = list.next() && list.field === LIST.metadata ? list.message() : undefined;
    return metadata?.isWhole ? listMeta(metadata)[1] : undefined;
  } catch (error) {
    if (error instanceof Malformed) return undefined;
    throw error;
  }
}

/** `end` is where the body ends, which need not be here yet. Throws Malformed. */
function listIn(body: Buffer, end: number): Message {
  if (!body.subarray(0, MAGIC.length).equals(MAGIC)) throw new Malformed('the envelope is missing');
  const [list] = only(new Message(body, MAGIC.length, end), UNKNOWN_RAW);
  if (list === undefined) throw new Malformed('the envelope is empty');
  return list;
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

function account(metadata: Message, wanted: Wanted, see: See): void {
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
