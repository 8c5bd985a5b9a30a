import type { PublishedFile } from './files.ts';

/** A file as it is at a target. */
export interface StoredFile {
  readonly bytes: Buffer;
  /** As the target would serve it; absent where it keeps no headers, as a folder. */
  readonly headers?: { readonly contentType: string | undefined; readonly cacheControl: string | undefined };
  /** Changes with the contents; what conditional writes go by. */
  readonly version: string;
}

export type TargetKind = 'folder' | 's3';

/** A place that stands for the issuer's URL. Paths are relative to it, as in `openid/v1/jwks`. */
export interface Target {
  readonly kind: TargetKind;
  /** For logs and messages; never a credential. */
  readonly name: string;
  /** Throws a Failure where it cannot tell. */
  read(path: string, signal: AbortSignal): Promise<StoredFile | undefined>;
  /**
   * Writes the whole file at once, so that readers see the one before or this one, and only where the file still has the
   * version `before`; `undefined`: where there is none. Throws a Conflict where it is otherwise, a Failure where the
   * target cannot be written.
   */
  write(file: PublishedFile, before: string | undefined, signal: AbortSignal): Promise<void>;
}

/** Somebody else has changed the file since it was read. */
export class Conflict extends Error {
  constructor(path: string) {
    super(`${path} was changed by another writer`);
    this.name = 'Conflict';
  }
}
