/** A number in the bytes of a request that is another one each time. */
export interface Counter {
  /** Of its first digit, in bytes. */
  readonly at: number;
  readonly digits: number;
  /** What is written for 0 to 15. */
  readonly letters: string;
}

/** A request of which no two that are sent are the same. Only one of it may be under way. */
export function counted(request: Buffer, counters: readonly Counter[], next: () => number): () => Buffer {
  const own = Buffer.from(request);
  return () => {
    const number = next();
    for (const { at, digits, letters } of counters) {
      let left = number;
      for (let i = at + digits - 1; i >= at; i--) {
        own[i] = letters.charCodeAt(left % 16);
        left = Math.floor(left / 16);
      }
    }
    return own;
  };
}
