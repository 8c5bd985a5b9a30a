import { isDeepStrictEqual } from 'node:util';
import { OutOfStep } from '../../../webhook/service-accounts/kube-json.ts';
import { createPageReader, type Page } from '../../../webhook/service-accounts/page.ts';
import { type Account, listOf } from '../../unit/service-accounts/protobuf-writer.ts';
import { annotationKeys, jsonTokens } from '../dictionary.ts';
import { bytesOf, podSeeds } from '../seeds.ts';
import { hold, type Target } from '../target.ts';

const PREFIXES = ['podpass.dev/', 'eks.amazonaws.com/', 'azure.workload.identity/', 'cloud.google.com/'];
const wanted = (key: string) => PREFIXES.some((prefix) => key.startsWith(prefix));

interface Reading {
  readonly page: Omit<Page, 'compact'>;
  readonly seen: readonly Required<Account>[];
}

const ACCOUNTS: readonly Account[] = podSeeds()
  .filter(({ account }) => Object.keys(account).length > 0)
  .slice(0, 12)
  .map(({ account }, index) => ({
    ...{ namespace: 'shop', name: `app-${index}` },
    annotations: { ...account, 'example.com/note': 'not ours' },
  }));

const asJson = (accounts: readonly Account[], resourceVersion: string, next: string) =>
  bytesOf({
    ...{ kind: 'ServiceAccountList', apiVersion: 'v1', metadata: { resourceVersion, continue: next } },
    items: accounts.map((metadata) => ({ metadata: { ...metadata, uid: 'u' }, secrets: [{ name: 'a' }] })),
  });

/** Any page of a list: accounts and their annotations, or OutOfStep; both formats say the same. */
export const target: Target = {
  name: 'service-accounts',
  shape: 'json',
  maxBytes: 8 * 1024,
  dictionary: [
    ...[...annotationKeys, ...jsonTokens, 'metadata', 'items', 'resourceVersion', 'continue', 'name', 'namespace'],
    ...['k8s\0', '\u0000', '\u0001', '\n', '\u0012', 'b', '\u007f', '\u0080\u0001'],
  ],
  seeds: () => [
    ...[listOf(ACCOUNTS, '4711'), listOf(ACCOUNTS.slice(0, 2), '1', 'more'), listOf([], '1'), listOf([{}], '')],
    ...[asJson(ACCOUNTS, '4711', ''), asJson(ACCOUNTS.slice(0, 2), '1', 'more'), asJson([], '1', '')],
  ],
  judge(bytes) {
    const compact = bytes.subarray(0, 4).toString('latin1') === 'k8s\0';
    const reading = read(bytes, compact);
    const inPieces = read(bytes, compact, Math.ceil(bytes.length / 3));
    hold(isDeepStrictEqual(inPieces, reading), 'in three pieces it says something else');
    if (reading === undefined) return;
    for (const { annotations } of reading.seen)
      for (const [key, value] of Object.entries(annotations)) {
        hold(wanted(key), 'an annotation is kept that nobody asked for');
        hold(typeof value === 'string', 'the value of an annotation is no text');
      }
    const { page, seen } = reading;
    // Half of a character cannot be written in UTF-8, and nothing but texts in Protocol Buffers.
    const texts = [page.version, page.next, ...seen.flatMap(({ namespace, name }) => [namespace, name])];
    const more = seen.flatMap(({ annotations }) => Object.entries(annotations).flat());
    if (![...texts, ...more].every((text) => typeof text === 'string' && Buffer.from(text).toString() === text)) return;
    const other = read(listOf(seen, page.version, page.next), true);
    hold(isDeepStrictEqual(other, reading), 'the same list in Protocol Buffers says something else');
    const json = read(asJson(seen, page.version, page.next), false);
    hold(isDeepStrictEqual(json, reading), 'the same list in JSON says something else');
  },
};

function read(bytes: Buffer, compact: boolean, size = bytes.length + 1): Reading | undefined {
  const seen: Required<Account>[] = [];
  const reader = createPageReader(compact ? 'application/vnd.kubernetes.protobuf' : 'application/json', {
    wanted,
    see: (namespace, name, annotations) => void seen.push({ namespace, name, annotations: { ...annotations } }),
  });
  try {
    for (let from = 0; from < bytes.length; from += size) reader.write(bytes.subarray(from, from + size));
    const { version, next } = reader.end();
    return { page: { version, next }, seen };
  } catch (error) {
    if (error instanceof OutOfStep) return undefined;
    throw error;
  }
}
