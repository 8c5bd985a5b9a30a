import { Failure, quote } from '../../src/fault.ts';
import { FILE_ORDER, METADATA_FILE, type PublishedFile } from './files.ts';
import type { StoredFile } from './target.ts';

/** Whose documents a target has. */
export interface Owner {
  /** Byte for byte. */
  readonly issuer: string;
  /** The UID of the namespace kube-system where a cluster gives the keys, else the issuer. */
  readonly owner: string;
}

/** Beside the documents, in folders and buckets alike, so that a person finds it and a copy of the place keeps it. */
export const MARK_FILE = '.podpass-owner.json';

export function markOf({ issuer, owner }: Owner): PublishedFile {
  return {
    path: MARK_FILE,
    bytes: Buffer.from(`${JSON.stringify({ issuer, owner })}\n`),
    contentType: 'application/json',
    cacheControl: 'no-store',
  };
}

/**
 * True where the target has our mark; false where it has none yet and nothing is in the way. Throws a Failure where it
 * belongs to somebody else: two clusters at one place would take away each other's keys.
 */
export function isMarked(own: Owner, stored: ReadonlyMap<string, StoredFile>, target: string): boolean {
  const mark = stored.get(MARK_FILE);
  if (mark !== undefined) {
    const { issuer, owner } = members(mark);
    if (typeof issuer !== 'string' || typeof owner !== 'string') {
      throw new Failure(`${target}: ${MARK_FILE} is not a mark of podpass; use another place, or empty this one`);
    }
    if (issuer !== own.issuer) {
      const whose = `belongs to the issuer ${quote(issuer)}, not to ${quote(own.issuer)}`;
      throw new Failure(`${target}: ${whose}; use another place, or empty this one`);
    }
    if (owner !== own.owner) {
      const whose = `belongs to the owner ${quote(owner)}, and this is ${quote(own.owner)}`;
      throw new Failure(`${target}: ${whose}; to hand it over, delete ${MARK_FILE} there`);
    }
    return true;
  }
  const found = FILE_ORDER.filter((path) => stored.has(path));
  const metadata = stored.get(METADATA_FILE);
  if (found.length === 0) return false;
  const issuer = metadata === undefined ? undefined : members(metadata).issuer;
  if (issuer === own.issuer) return false;
  const whose =
    typeof issuer === 'string' ? `documents of the issuer ${quote(issuer)}` : `${found.join(', ')} of somebody else`;
  throw new Failure(`${target}: has ${whose}; use another place, or empty this one`);
}

function members({ bytes }: StoredFile): { readonly issuer?: unknown; readonly owner?: unknown } {
  try {
    const value: unknown = JSON.parse(bytes.toString('utf8'));
    return typeof value === 'object' && value !== null ? value : {};
  } catch {
    return {};
  }
}
