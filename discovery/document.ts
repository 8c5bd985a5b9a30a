import { createHash } from 'node:crypto';
import { jwkSet } from './jwk-set.ts';
import { providerMetadata } from './provider-metadata.ts';
import type { PublicKey } from './public-key.ts';

/** A document as it is served and published, made once and not changed again. */
export interface Document {
  readonly bytes: Buffer;
  /** Without parameters: some clients compare it as a whole. */
  readonly contentType: 'application/json' | 'application/jwk-set+json';
  /** A strong entity tag (RFC 9110 section 8.8.3), the same on every replica with the same bytes. */
  readonly etag: string;
}

/** Both documents of an issuer, from one set of keys. */
export interface Documents {
  readonly metadata: Document;
  readonly jwks: Document;
}

/** The documents for these keys, of which there must be at least one: an empty set is never served. */
export function createDocuments(issuer: string, keys: readonly PublicKey[]): Documents {
  if (keys.length === 0) throw new TypeError('documents need at least one key');
  return Object.freeze({
    metadata: createDocument(providerMetadata(issuer, keys), 'application/json'),
    jwks: createDocument(jwkSet(keys), 'application/jwk-set+json'),
  });
}

export function createDocument(value: object, contentType: Document['contentType']): Document {
  const bytes = Buffer.from(JSON.stringify(value));
  const etag = `"${createHash('sha256').update(bytes).digest('base64url')}"`;
  return Object.freeze({ bytes, contentType, etag });
}

/** `Cache-Control` of a document: fresh for `maxAgeSeconds`, then usable stale for 1 h, in trouble for a day (RFC 5861). */
export function cacheControl(maxAgeSeconds: number): string {
  return `public, max-age=${maxAgeSeconds}, stale-while-revalidate=3600, stale-if-error=86400`;
}
