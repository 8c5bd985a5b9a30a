/** What the parts of the bench tell. */
import type { Candidate, Measured } from './rounds.ts';
import { median, type Spread, spread } from './statistics.ts';

/** One ratio, over 1 where podpass is the better one. */
export interface Ratio extends Spread {
  readonly part: string;
  readonly case: string;
  readonly against: string;
  readonly measure: string;
  /** What it is to be at least. */
  readonly goal?: number | undefined;
  /** Compared with the baseline: it hardly depends on what else the machine does. */
  readonly kept: boolean;
}

/** Medians of one candidate, which mean something on this machine alone. */
export interface Figure {
  readonly part: string;
  readonly case: string;
  readonly candidate: string;
  readonly values: Readonly<Record<string, number>>;
}

export interface Result {
  readonly ratios: readonly Ratio[];
  readonly figures: readonly Figure[];
  /** What was left out, and what makes the figures doubtful. */
  readonly notes: readonly string[];
}

/** Ratios are looked up in the baseline by this. */
export function nameOf({ part, case: of, against, measure }: Ratio): string {
  return [part, of, against, measure].join(' / ');
}

/** All rounds of one case, by candidate. */
export interface Rounds {
  /** The first one is podpass. */
  readonly names: readonly string[];
  readonly measured: readonly (readonly Measured[])[];
}

/** The rounds of one start after those of the starts before. */
export function join(before: Rounds | undefined, candidates: readonly Candidate[], measured: Measured[][]): Rounds {
  return {
    names: candidates.map(({ name }) => name),
    measured: measured.map((each, i) => [...(before?.measured[i] ?? []), ...each]),
  };
}

/** Of its core. With more the load generator itself is measured. */
const BUSY = 0.95;

/** By the name of a floor and by measure. */
export type Goals = Readonly<Record<string, Readonly<Record<string, number>>>>;

export function compareRounds(part: string, of: string, { names, measured }: Rounds, goals: Goals): Result {
  const [own = []] = measured;
  const ratios: Ratio[] = [];
  for (const [i, against] of names.entries()) {
    const floor = measured[i] ?? [];
    if (i === 0) continue;
    const add = (measure: string, kept: boolean, better: (own: Measured, floor: Measured) => number) => {
      const values = own
        .flatMap((each, at) => (floor[at] === undefined ? [] : [better(each, floor[at])]))
        .filter((each) => !Number.isNaN(each));
      if (values.length === 0) return;
      ratios.push({
        part,
        case: of,
        against,
        measure,
        kept,
        goal: goals[against]?.[measure],
        ...spread(values),
      });
    };
    add('CPU time', true, (a, b) => b.cpuUs / a.cpuUs);
    add('throughput', false, (a, b) => a.perSecond / b.perSecond);
    add('p50', false, (a, b) => b.p50 / a.p50);
    add('p99', false, (a, b) => b.p99 / a.p99);
  }
  const figures = names.map((candidate, i) => {
    const rounds = measured[i] ?? [];
    const middle = (pick: (each: Measured) => number) => median(rounds.map(pick));
    return {
      part,
      case: of,
      candidate,
      values: {
        'requests/s': middle((each) => each.perSecond),
        'CPU us/request': middle((each) => each.cpuUs),
        'p50 ms': middle((each) => each.p50),
        'p99 ms': middle((each) => each.p99),
        'loop delay p99 ms': middle((each) => each.loopP99),
        'client CPU %': 100 * middle((each) => each.clientShare),
      },
    };
  });
  const busy = figures.filter(({ values }) => (values['client CPU %'] ?? 0) > 100 * BUSY);
  const notes = busy.map(
    ({ candidate }) =>
      `${part}, ${of}: the load generator was the bottleneck with ${candidate}; its throughput is too low`,
  );
  return { ratios, figures, notes };
}
