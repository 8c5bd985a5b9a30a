/** One reader of ours, and what has to be true of it for every input. */
export interface Target {
  readonly name: string;
  /** `json`: inputs are changed as values and spelled anew, too. */
  readonly shape: 'bytes' | 'json';
  readonly maxBytes: number;
  /** Inputs to begin with, beside the corpus. The same ones in every run. */
  seeds(): readonly Buffer[];
  /** What a reader looks for, and chance would not find. */
  readonly dictionary: readonly string[];
  /** Throws, or rejects, where the property does not hold. */
  judge(input: Buffer): void | Promise<void>;
  /** False for what must not be written into the corpus; absent: anything may. */
  mayBeKept?(input: Buffer): boolean;
}

/** Fails with the message where it is false. */
export function hold(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Error(message);
}
