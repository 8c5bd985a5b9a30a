import { METADATA_FILE, type PublishedFile } from './files.ts';
import type { StoredFile } from './target.ts';

export type Step =
  /** Only while the file has this version; `undefined`: while there is none. */
  | { readonly kind: 'write'; readonly file: PublishedFile; readonly before: string | undefined }
  /** The target must give these bytes now. */
  | { readonly kind: 'read-back'; readonly file: PublishedFile };

/**
 * What makes the target's files these ones, which are in the order of writing: nothing where they are the same. What was
 * written is read back before the metadata, which verifiers read first, is touched.
 */
export function plan(files: readonly PublishedFile[], stored: ReadonlyMap<string, StoredFile>): Step[] {
  const changed = files.filter((file) => !isSame(file, stored.get(file.path)));
  const write = (file: PublishedFile): Step => ({ kind: 'write', file, before: stored.get(file.path)?.version });
  const [first, last] = [
    changed.filter(({ path }) => path !== METADATA_FILE),
    changed.filter(({ path }) => path === METADATA_FILE),
  ];
  return [...first.map(write), ...first.map((file): Step => ({ kind: 'read-back', file })), ...last.map(write)];
}

function isSame({ bytes, contentType, cacheControl }: PublishedFile, stored: StoredFile | undefined): boolean {
  if (stored === undefined || !stored.bytes.equals(bytes)) return false;
  const { headers } = stored;
  return headers === undefined || (headers.contentType === contentType && headers.cacheControl === cacheControl);
}
