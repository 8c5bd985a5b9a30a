/** A file system of 64 KiB that nobody but its own process has mounted; it needs no root, and leaves nothing behind. */
import { spawnSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { mkdtemp, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Guardian, Server } from '../cluster/servers.ts';

const UNSHARE = ['--user', '--map-root-user', '--mount'];
const MOUNT = 'mount -t tmpfs -o size=64k none "$1"';

/** Why there can be none here. */
export async function whyNoTinyDisk(): Promise<string | undefined> {
  const folder = await mkdtemp(join(tmpdir(), 'podpass-disk-'));
  const { error, status, stderr } = spawnSync('unshare', [...UNSHARE, 'sh', '-c', MOUNT, 'sh', folder], {
    encoding: 'utf8',
  });
  rmSync(folder, { recursive: true });
  if (status === 0) return undefined;
  return `a small file system needs "unshare --user --mount" of util-linux: ${error?.message ?? stderr.trim()}`;
}

export class TinyDisk {
  readonly #guardian: Guardian;
  /** The root of the file system, as we see it. */
  readonly path: string;

  private constructor(guardian: Guardian, path: string) {
    this.#guardian = guardian;
    this.path = path;
  }

  static async create(): Promise<TinyDisk> {
    const folder = await mkdtemp(join(tmpdir(), 'podpass-disk-'));
    const guardian = new Guardian(folder);
    const log = join(folder, 'log');
    const mountPoint = await mkdtemp(join(folder, 'mount-'));
    const script = `${MOUNT} && echo mounted && exec sleep 86400`;
    const holder = new Server(
      guardian,
      'tiny disk',
      'unshare',
      [...UNSHARE, 'sh', '-c', script, 'sh', mountPoint],
      log,
      {
        PATH: process.env.PATH,
      },
    );
    await holder.ready(async () => (await readFile(log, 'utf8')).includes('mounted'), 10_000);
    return new TinyDisk(guardian, `/proc/${holder.pid}/root${mountPoint}`);
  }

  /** Leaves no byte free. */
  fill(): void {
    for (const size of [4096, 1]) {
      try {
        for (;;) writeFileSync(join(this.path, 'filler'), Buffer.alloc(size), { flag: 'a' });
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
      }
    }
  }

  free(): void {
    rmSync(join(this.path, 'filler'));
  }

  async remove(): Promise<void> {
    await this.#guardian.end();
  }
}
