import { Failure, quote } from '../../src/fault.ts';
import { type PublicKey, sameMaterial } from '../public-key.ts';
import type { PublishedKeys } from './publish-to.ts';

/**
 * Throws a Failure where a key that is published now would not be any more: tokens that it signed are still about. A kid
 * with another key counts as gone.
 */
export function refuseToShrink(
  published: PublishedKeys,
  next: readonly PublicKey[],
  mayGo: (key: PublicKey) => boolean,
  target: string,
): void {
  if (published === 'unreadable') {
    throw new Failure(`${target}: what is published there is not a JWK Set; --allow-shrink replaces it`);
  }
  const gone = published.filter(
    (key) => !mayGo(key) && !next.some((other) => other.kid === key.kid && sameMaterial(other, key)),
  );
  if (gone.length === 0) return;
  const kids = gone.map(({ kid }) => quote(kid)).join(', ');
  throw new Failure(
    `${target}: ${gone.length === 1 ? 'a published key' : `${gone.length} published keys`} would be dropped: ${kids}; --allow-shrink drops what is not there any more, --revoke KID a single one`,
  );
}
