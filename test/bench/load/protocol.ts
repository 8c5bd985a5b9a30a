import type { Counter } from './counter.ts';

/** What is asked of the load generator, a process of its own, and what it answers. Bytes are base64. */
export interface Questions {
  /** Opens connections to a server of this machine, that stay open. */
  connect: { ask: { target: string; port: number; ca: string | undefined; connections: number }; answer: object };
  disconnect: { ask: { target: string }; answer: object };
  /** One request, with its whole answer. */
  once: { ask: { target: string; request: string }; answer: { status: number; body: string } };
  /** As many as it can in this time, one after the other on each connection. */
  run: { ask: { target: string; request: string; counters: readonly Counter[]; ms: number }; answer: Round };
  /** So many requests, one at a time, the targets taking turns; the milliseconds of each by target. */
  turns: { ask: { turns: readonly { target: string; request: string }[]; count: number }; answer: { ms: number[][] } };
}

export interface Round {
  readonly count: number;
  /** How long it took, and the processor time of the load generator itself. */
  readonly ms: number;
  readonly cpuMs: number;
  /** Milliseconds from sending to the whole answer. */
  readonly p50: number;
  readonly p99: number;
}
