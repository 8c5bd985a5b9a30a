import type { Target } from '../target.ts';

/** CPU time in milliseconds. Inputs are small: what needs longer grows faster than its input. */
const MOST_MS = 1_000;

/** Why the input is a finding; `undefined` where it is none. */
export async function judge(target: Target, input: Buffer): Promise<string | undefined> {
  const spent = await cpuTime(target, input);
  if (typeof spent === 'string') return spent;
  if (spent <= MOST_MS) return undefined;
  // A second opinion: the first one may have compiled code or collected garbage of others.
  const again = await cpuTime(target, input);
  if (typeof again === 'string') return again;
  return again <= MOST_MS ? undefined : `takes over ${MOST_MS} ms`;
}

async function cpuTime(target: Target, input: Buffer): Promise<number | string> {
  const started = performance.now();
  const before = process.cpuUsage();
  try {
    const pending = target.judge(input);
    if (pending !== undefined) await pending;
  } catch (error) {
    return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  }
  // The clock is read at less cost than the CPU time, of which there is not more.
  if (performance.now() - started <= MOST_MS) return 0;
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

/** What two inputs with the same mistake have in common: the reason without what stands in the input. */
export function signature(reason: string): string {
  return reason
    .split('\n')[0]
    ?.replace(/"[^"]*"|\d+/g, '#')
    .slice(0, 120) as string;
}
