import { readdirSync, readFileSync } from 'node:fs';

/**
 * Milliseconds of processor time that the threads of another process have used, to the nanosecond where /proc/PID/stat
 * counts in hundredths of a second (Linux, Documentation/scheduler/sched-stats.rst); undefined where it cannot be told.
 */
export function cpuTimeOf(pid: number): number | undefined {
  try {
    const threads = readdirSync(`/proc/${pid}/task`);
    const ns = threads.map((each) => Number(readFileSync(`/proc/${pid}/task/${each}/schedstat`, 'utf8').split(' ')[0]));
    return ns.reduce((sum, each) => sum + each, 0) / 1e6;
  } catch {
    return undefined;
  }
}
