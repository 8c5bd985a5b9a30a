import { type PublicKey, sameMaterial } from './public-key.ts';

export interface MergedKeys {
  readonly keys: ReadonlyMap<string, PublicKey>;
  /** The kids that stood for more than one key; the last one given is in `keys`. */
  readonly conflicts: readonly string[];
}

/** One key for each kid (RFC 7517 section 4.5): the same key given again is one, another one replaces it. */
export function mergeKeys(given: Iterable<PublicKey>): MergedKeys {
  const keys = new Map<string, PublicKey>();
  const conflicts = new Set<string>();
  for (const key of given) {
    const before = keys.get(key.kid);
    if (before !== undefined && !sameMaterial(before, key)) conflicts.add(key.kid);
    keys.set(key.kid, key);
  }
  return { keys, conflicts: [...conflicts] };
}
