import { chmod, mkdir, open, rename, rm, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { type Entry, piecesOf } from './entry.ts';

/** Under its name only when it is whole. */
export async function writePieces(path: string, pieces: readonly Uint8Array[]): Promise<void> {
  const unfinished = `${path}.${process.pid}.tmp`;
  try {
    const handle = await open(unfinished, 'w');
    try {
      for (const piece of pieces) await handle.writeFile(piece);
    } finally {
      await handle.close();
    }
    await rename(unfinished, path);
  } finally {
    await rm(unfinished, { force: true });
  }
}

/** Modes and times as in the archive; the owner is who runs this. */
export async function writeFolder(path: string, entries: readonly Entry[], seconds: number): Promise<void> {
  await mkdir(path, { recursive: true });
  for (const entry of entries) {
    const at = join(path, entry.path);
    if (entry.content === undefined) await mkdir(at);
    else await writePieces(at, piecesOf(entry));
    // Not as a mode of the above, from which the process's umask would be taken away.
    await chmod(at, entry.mode);
  }
  // Last, and from the inside out, as every file changes the time of its folder.
  for (const entry of [...entries].reverse()) await utimes(join(path, entry.path), seconds, seconds);
}
