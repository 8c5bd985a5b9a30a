/** One thing that a service needs in order to be ready. */
export interface Check {
  /** As `/readyz?verbose` names it. */
  readonly name: string;
  /** Why it is not fulfilled; empty where it is. */
  readonly reasons: readonly string[];
  /** It is listed, and the service is ready in spite of it: why, in a few words. */
  readonly tolerated?: string;
}

/** A check with one reason at most. */
export function check(name: string, ok: boolean, reason: string): Check {
  return { name, reasons: ok ? [] : [reason] };
}
