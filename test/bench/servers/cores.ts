/** Where processes run: the servers, one at a time, on one core, and what asks them on another. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

export interface Cores {
  readonly server: number;
  readonly client: number;
}

/** Two cores that this process may use, or why nothing can be pinned. */
export function findCores(): Cores | string {
  if (spawnSync('taskset', ['-p', String(process.pid)]).status !== 0) return 'there is no taskset here';
  const [server, client] = allowedCores();
  return server === undefined || client === undefined ? 'there is only one core' : { server, client };
}

/** `Cpus_allowed_list: 0-3,6` of proc(5). */
function allowedCores(): number[] {
  const list = /^Cpus_allowed_list:\s*(\S+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '';
  return list.split(',').flatMap((range) => {
    const [from = 0, to = from] = range.split('-').map(Number);
    return Array.from({ length: to - from + 1 }, (_, i) => from + i);
  });
}

/** The command that runs a program on one core, or anywhere. */
export function pinned(core: number | undefined, command: readonly string[]): readonly string[] {
  return core === undefined ? command : ['taskset', '-c', String(core), ...command];
}

/** Moves all threads of a process that runs already. */
export function moveTo(cores: string, pid: number): void {
  const moved = spawnSync('taskset', ['-a', '-c', '-p', cores, String(pid)]);
  if (moved.status !== 0) throw new Error(`process ${pid} cannot be moved to core ${cores}: ${moved.stderr}`);
}

/** For `moveTo`: wherever this process may run. */
export function allCores(): string {
  return allowedCores().join();
}
