/** For how long one watch is asked for, and when it is dead. */
export interface WatchLife {
  /** What to ask the API server for. */
  readonly timeoutSeconds: number;
  /** The same in milliseconds. */
  readonly lifetimeMs: number;
  /** An API server that is busy may be so much late with the end. */
  readonly graceMs: number;
}

// That the API server ends a watch in time is the one sign of life that comes without fail: bookmarks come once a minute
// and before the end, and only where the version has moved (k8s.io/apiserver, storage/cacher/cache_watcher.go). client-go
// asks for 5 to 10 minutes, as thousands of clients do; we are a few, and resume on the same connection.
const [MIN_S, SPREAD_S] = [20, 10];
const GRACE_MS = 5_000;

/** `random` gives 0 to 1; it spreads the watches of several replicas. */
export function watchLife(random: () => number): WatchLife {
  const timeoutSeconds = MIN_S + Math.floor(random() * SPREAD_S);
  return { timeoutSeconds, lifetimeMs: timeoutSeconds * 1_000, graceMs: GRACE_MS };
}
