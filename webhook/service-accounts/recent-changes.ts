// An entry that just changed may be about to change again: create, annotate, create a Pod, faster than a watch event.
const SETTLE_MS = 1_000;

/** Remembers which ServiceAccounts changed within the last second. */
export interface RecentChanges {
  note(namespace: string, name: string): void;
  has(namespace: string, name: string): boolean;
}

export function createRecentChanges(now: () => number): RecentChanges {
  // The oldest first.
  const changedAt = new Map<string, number>();
  const keyOf = (namespace: string, name: string) => `${namespace}/${name}`;
  return {
    note(namespace, name) {
      const key = keyOf(namespace, name);
      changedAt.delete(key);
      changedAt.set(key, now());
      for (const [old, at] of changedAt) {
        if (now() - at < SETTLE_MS) break;
        changedAt.delete(old);
      }
    },
    has(namespace, name) {
      const at = changedAt.get(keyOf(namespace, name));
      return at !== undefined && now() - at < SETTLE_MS;
    },
  };
}
