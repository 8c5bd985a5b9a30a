import { setTimeout as sleep } from 'node:timers/promises';
import { WITHOUT_TOKENS } from '../cluster/blame.ts';
import type { Fault } from './fault.ts';
import type { Scene } from './scene.ts';
import { type Count, sum } from './tally.ts';

/** What a fault cost. */
export interface Result extends Count {
  readonly name: string;
  /** Of the fault and its recovery. */
  readonly seconds: number;
  /** From the end of what was done until all was well again, the longest of the run; undefined where it never was. */
  readonly recoverySeconds: number | undefined;
  readonly notes: readonly string[];
  /** Why it did not happen as described, or did not end. */
  readonly broken: string | undefined;
  /** Creations that failed because of podpass: what was said, each with its count. All must be 0. */
  readonly ours: Readonly<Record<string, number>>;
}

const RECOVERY_MS = 60_000;
/** For the consequences that come late. */
const AFTERMATH_MS = 2_000;
const POLL_MS = 50;

/** Does one fault for so many seconds, and counts. Never throws for what the fault does. */
export async function runFault(fault: Fault, scene: Scene, wanted?: number): Promise<Result> {
  const seconds = fault.fixed ? fault.seconds : (wanted ?? fault.seconds);
  const notes: string[] = [];
  let longest: number | undefined;
  const recovery = async (also: () => Promise<boolean> = async () => true, limitMs = RECOVERY_MS) => {
    const since = performance.now();
    for (;;) {
      const whole = (await scene.isWhole(since)) && (await also());
      const took = performance.now() - since;
      if (whole) {
        longest = Math.max(took, longest ?? 0);
        return;
      }
      if (took > limitMs) {
        longest = Number.POSITIVE_INFINITY;
        throw new Error(`not all was well again ${limitMs / 1000} s after the end of the fault`);
      }
      await sleep(POLL_MS);
    }
  };
  scene.tally.take();
  const began = performance.now();
  let broken: string | undefined;
  try {
    await fault.run({ scene, ms: seconds * 1000, note: (text) => void notes.push(text), recovery });
    if (longest === undefined) await recovery();
  } catch (error) {
    broken = error instanceof Error ? error.message : String(error);
  }
  await sleep(AFTERMATH_MS);
  const count = scene.tally.take();
  return {
    name: fault.name,
    seconds: tenths((performance.now() - began) / 1000),
    recoverySeconds: longest === undefined || longest === Number.POSITIVE_INFINITY ? undefined : tenths(longest / 1000),
    ...count,
    notes,
    broken,
    ours: blamedOnPodpass(count, fault),
  };
}

/** What others failed while nothing was done to the API server is nobody else's fault that we know of. */
function blamedOnPodpass(count: Count, { takesApiServerAway }: Fault): Record<string, number> {
  return {
    ...count.failedByPodpass,
    ...(takesApiServerAway ? {} : count.failedByOthers),
    ...(count.withoutTokens > 0 ? { [WITHOUT_TOKENS]: count.withoutTokens } : {}),
  };
}

/** Whether podpass cost a creation, or something did not come back. */
export const isBad = ({ ours, broken }: Result): boolean => sum(ours) > 0 || broken !== undefined;

const tenths = (value: number) => Math.round(value * 10) / 10;
