import { DOCUMENT_PATHS, type DocumentPath, JWKS_PATH, METADATA_PATH } from '../../src/issuer-paths.ts';
import type { Document, Documents } from '../document.ts';

/** A file of a copy, with the headers under which discovery serves it. */
export interface PublishedFile {
  /** Relative to the target: `openid/v1/jwks`. */
  readonly path: string;
  readonly bytes: Buffer;
  readonly contentType: string;
  readonly cacheControl: string;
}

const relative = (path: DocumentPath) => path.slice(1);

/** The JWK Set that the metadata names, relative to a target. */
export const JWKS_FILE = relative(JWKS_PATH);
export const METADATA_FILE = relative(METADATA_PATH);

/**
 * The paths in the order of writing: a verifier that has read the metadata must find its keys, so that these come first,
 * and of them the one that the metadata names.
 */
export const FILE_ORDER: readonly string[] = (Object.keys(DOCUMENT_PATHS) as DocumentPath[])
  .sort((a, b) => rank(a) - rank(b))
  .map(relative);

function rank(path: DocumentPath): number {
  if (path === METADATA_PATH) return 2;
  return path === JWKS_PATH ? 0 : 1;
}

/** All files of a copy, in the order of writing. */
export function filesOf(documents: Documents, cacheControl: string): PublishedFile[] {
  return FILE_ORDER.map((path) => {
    const { bytes, contentType }: Document = documents[DOCUMENT_PATHS[`/${path}` as DocumentPath]];
    return { path, bytes, contentType, cacheControl };
  });
}
