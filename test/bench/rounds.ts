/** Candidates take turns in short rounds, so that what disturbs one disturbs all. */
import type { LoadGenerator } from './load/client.ts';
import type { Counter } from './load/counter.ts';
import { cpuTimeOf } from './servers/cpu-time.ts';
import type { Running } from './servers/podpass-process.ts';

export interface Candidate {
  readonly name: string;
  /** The load generator's name for it. */
  readonly target: string;
  readonly request: Buffer;
  /** Where requests differ. */
  readonly counters?: readonly Counter[];
  /** A process of ours, or the number of one that is not; neither: nothing is known of its processor time. */
  readonly server?: Running['process'] | number | undefined;
}

/** One round of one candidate. NaN is what could not be measured. */
export interface Measured {
  readonly perSecond: number;
  /** Processor time of the server for one request, in microseconds. */
  readonly cpuUs: number;
  /** Milliseconds. */
  readonly p50: number;
  readonly p99: number;
  /** Of the server's event loop, in milliseconds. */
  readonly loopP99: number;
  /** How much of its core the load generator used. */
  readonly clientShare: number;
}

export interface Plan {
  readonly rounds: number;
  readonly roundMs: number;
  /** Requests of each candidate before the first round: V8 compiles what ran often, however long that took. */
  readonly warmUp: number;
}

/** No longer than this, so that the connections of the others do not end meanwhile. */
const WARM_UP_MS = 30_000;

/** What was measured in each round, by candidate. */
export async function interleave(
  generator: LoadGenerator,
  candidates: readonly Candidate[],
  { rounds, roundMs, warmUp }: Plan,
): Promise<Measured[][]> {
  for (const { target, request, counters } of candidates) {
    const until = performance.now() + WARM_UP_MS;
    let sent = 0;
    do sent += (await generator.run(target, request, roundMs, counters)).count;
    while (sent < warmUp && performance.now() < until);
  }
  const measured: Measured[][] = candidates.map(() => []);
  for (let i = 0; i < rounds; i++) {
    // Another one is first each time.
    for (const [at] of candidates.entries()) {
      const turn = (at + i) % candidates.length;
      const candidate = candidates[turn];
      if (candidate !== undefined) measured[turn]?.push(await round(generator, candidate, roundMs));
    }
  }
  return measured;
}

async function round(
  generator: LoadGenerator,
  { target, request, counters, server }: Candidate,
  roundMs: number,
): Promise<Measured> {
  if (typeof server === 'object') await server.ask('reset');
  const before = await look(server);
  const { count, ms, cpuMs, p50, p99 } = await generator.run(target, request, roundMs, counters);
  const after = await look(server);
  return {
    perSecond: (count * 1000) / ms,
    cpuUs: ((after.cpuMs - before.cpuMs) * 1000) / count,
    p50,
    p99,
    loopP99: after.p99,
    clientShare: cpuMs / ms,
  };
}

async function look(server: Candidate['server']): Promise<{ cpuMs: number; p99: number }> {
  if (typeof server === 'object') return server.ask('look');
  return { cpuMs: (server === undefined ? undefined : cpuTimeOf(server)) ?? Number.NaN, p99: Number.NaN };
}
