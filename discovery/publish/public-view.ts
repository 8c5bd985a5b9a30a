import { messageOf, quote } from '../../src/fault.ts';
import { issuerBase, JWKS_PATH, METADATA_PATH } from '../../src/issuer-paths.ts';
import type { Documents } from '../document.ts';

/** A GET without credentials that follows no redirect; throws where the answer is not 200. */
type PublicGet = (url: string) => Promise<Buffer>;

/** What a verifier would not find at the issuer as it was published; nothing where all is well. */
export async function publicFindings(issuer: string, documents: Documents, get: PublicGet): Promise<string[]> {
  const findings: string[] = [];
  for (const [path, { bytes }] of [
    [METADATA_PATH, documents.metadata],
    [JWKS_PATH, documents.jwks],
  ] as const) {
    const url = issuerBase(issuer) + path;
    try {
      if (!(await get(url)).equals(bytes)) {
        findings.push(`${quote(url)} is not what was published; a cache on the way may still have what was there`);
      }
    } catch (error) {
      findings.push(messageOf(error));
    }
  }
  return findings;
}
