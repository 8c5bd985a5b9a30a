/** Streams that are open. Where a connection has died without a word, theirs may be as dead. */
export interface OpenStreams {
  /** `giveUp` ends the stream. */
  add(giveUp: () => void): OpenStream;
  /** Ends those that have said nothing since `since`, which is a time of the clock. */
  doubt(since: number): void;
}

export interface OpenStream {
  /** Something came on it. */
  heard(): void;
  remove(): void;
}

// A slow API server looks like a dead connection now and then. It is not to open more than one watch in this time for it.
const TRUSTED_MS = 5_000;

/** `now` gives milliseconds. */
export function createOpenStreams(now: () => number): OpenStreams {
  const streams = new Set<{ heardAt: number; readonly giveUp: () => void }>();
  return {
    add(giveUp) {
      const stream = { heardAt: now(), giveUp };
      streams.add(stream);
      return {
        heard() {
          stream.heardAt = now();
        },
        remove: () => void streams.delete(stream),
      };
    },
    doubt(since) {
      const before = Math.min(since, now() - TRUSTED_MS);
      for (const { heardAt, giveUp } of [...streams]) if (heardAt <= before) giveUp();
    },
  };
}
