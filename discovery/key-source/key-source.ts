import { Failure } from '../../src/fault.ts';
import type { KeyReading } from '../public-key.ts';

/** Where public keys come from. */
export interface KeySource {
  /** One of a closed set: `files`, `cluster`, `url`. Logs name it, and the key ring keeps its state by it. */
  readonly name: string;
  /**
   * All keys that the source has now; at least one. Throws a KeySourceFailure, or anything else, where it cannot tell:
   * then nothing is taken away that was read before. Gives up when the signal says so.
   */
  read(signal: AbortSignal): Promise<KeyReading>;
}

/** A reading that failed. The message names the source and the reason, never what was read. */
export class KeySourceFailure extends Failure {
  /** What could be read in spite of it: these keys are added, none is taken away. */
  readonly partial: KeyReading;

  constructor(message: string, options: { readonly partial?: KeyReading; readonly cause?: unknown } = {}) {
    super(message, 'cause' in options ? { cause: options.cause } : {});
    this.name = 'KeySourceFailure';
    this.partial = options.partial ?? { keys: [], refused: [] };
  }
}
