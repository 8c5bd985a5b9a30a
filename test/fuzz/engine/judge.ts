import type { Target } from '../target.ts';

/** Inputs are small: what needs longer grows faster than its input. */
const MOST_MS = 1_000;

/** Why the input is a finding; `undefined` where it is none. */
export async function judge(target: Target, input: Buffer): Promise<string | undefined> {
  const started = performance.now();
  const reason = await reasonOf(target, input);
  if (reason !== undefined || performance.now() - started <= MOST_MS) return reason;
  // Machines are busy, and the first one may have compiled code or collected garbage of others: the CPU time decides.
  const before = process.cpuUsage();
  const again = await reasonOf(target, input);
  const { user, system } = process.cpuUsage(before);
  return again ?? ((user + system) / 1000 > MOST_MS ? `takes over ${MOST_MS} ms` : undefined);
}

async function reasonOf(target: Target, input: Buffer): Promise<string | undefined> {
  try {
    const pending = target.judge(input);
    if (pending !== undefined) await pending;
    return undefined;
  } catch (error) {
    return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  }
}

/** What two inputs with the same mistake have in common: the reason without what stands in the input. */
export function signature(reason: string): string {
  const [first = ''] = reason.split('\n');
  return first.replace(/"[^"]*"|\d+/g, '#').slice(0, 120);
}
