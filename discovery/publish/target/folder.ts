import { createHash, randomUUID } from 'node:crypto';
import { mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { Failure, messageOf } from '../../../src/fault.ts';
import { sleep } from '../../../src/sleep.ts';
import { Conflict, type StoredFile, type Target } from '../target.ts';

const LOCK_FILE = '.podpass-lock';
/** A write takes milliseconds: who holds the lock for so long was killed. */
const STALE_MS = 10_000;
const POLL_MS = 20;

/**
 * A folder that some web server serves, which decides on headers. A file appears by a rename. File systems have no
 * conditional write, so that one lock for each folder makes it one.
 */
export function createFolderTarget(folder: string): Target {
  return {
    kind: 'folder',
    name: folder,
    read: (path) => read(folder, path),
    async write(file, before, signal) {
      const path = join(folder, file.path);
      try {
        await mkdir(dirname(path), { recursive: true });
        const unlock = await lock(join(folder, LOCK_FILE), signal);
        try {
          if ((await read(folder, file.path))?.version !== before) throw new Conflict(file.path);
          await replace(path, file.bytes);
        } finally {
          await unlock();
        }
      } catch (error) {
        throw asFailure(error, folder, `${file.path} cannot be written`);
      }
    },
  };
}

async function read(folder: string, path: string): Promise<StoredFile | undefined> {
  try {
    const bytes = await readFile(join(folder, path));
    return { bytes, version: createHash('sha256').update(bytes).digest('hex') };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw asFailure(error, folder, `${path} cannot be read`);
  }
}

/** On the disk before it appears: after a crash there is the old file or the new one, never half of it. */
async function replace(path: string, bytes: Buffer): Promise<void> {
  const draft = join(dirname(path), `.podpass-draft-${basename(path)}`);
  await rm(draft, { force: true });
  const handle = await open(draft, 'wx', 0o644);
  try {
    await handle.writeFile(bytes);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(draft, path);
}

/** Takes the lock, waiting for others; resolves with what gives it back. */
async function lock(path: string, signal: AbortSignal): Promise<() => Promise<void>> {
  while (!(await taken(path))) {
    await breakStale(path);
    await sleep(POLL_MS, signal);
    signal.throwIfAborted();
  }
  return () => rm(path, { force: true });
}

async function taken(path: string): Promise<boolean> {
  try {
    await (await open(path, 'wx')).close();
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/** Moved away first: of several who wait only one gets it. */
async function breakStale(path: string): Promise<void> {
  const found = await stat(path).catch(() => undefined);
  if (found === undefined || Date.now() - found.mtimeMs < STALE_MS) return;
  const stale = `${path}-${randomUUID()}`;
  await rename(path, stale).catch(() => undefined);
  await rm(stale, { force: true });
}

function asFailure(error: unknown, folder: string, what: string): unknown {
  if (error instanceof Conflict || error instanceof Failure) return error;
  const { code } = error as NodeJS.ErrnoException;
  return new Failure(`${folder}: ${what} (${code ?? messageOf(error)})`, { cause: error });
}
