import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test, vi } from 'vitest';
import { until } from '../cluster/podpass.ts';

vi.setConfig({ testTimeout: 120_000 });

const main = fileURLToPath(new URL('main.ts', import.meta.url));

/** Commands of processes that name this folder; the ones we look for have their files there. */
function running(folder: string): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        return [readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')];
      } catch {
        // It has just ended.
        return [];
      }
    })
    .filter((command) => command.includes(folder));
}

// Elsewhere there is no /proc to look into.
test.skipIf(process.platform !== 'linux').each(['SIGINT', 'SIGKILL'] as const)('%s leaves nothing', async (signal) => {
  const folder = await mkdtemp(join(tmpdir(), 'bench-ends-'));
  const flags = ['--only', 'admission/one', '--warm-up', '1000000'];
  const child = spawn(process.execPath, ['--import', 'tsx', main, ...flags], {
    env: { ...process.env, TMPDIR: folder },
    stdio: 'ignore',
  });
  const ended = once(child, 'exit');
  try {
    const servers = () => running(folder).filter((each) => /floor|podpass\.js/.test(each));
    await until('all servers', () => servers().length === 4, 60_000);
    child.kill(signal);
    await ended;
    await until('the end of all', () => running(folder).length === 0);
    await until('an empty folder', async () => (await readdir(folder)).every((name) => !name.startsWith('podpass-')));
    expect(running(folder)).toEqual([]);
  } finally {
    child.kill('SIGKILL');
    await rm(folder, { recursive: true, force: true });
  }
});
