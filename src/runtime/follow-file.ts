import { readFile } from 'node:fs/promises';
import { messageOf } from '../fault.ts';

/** A file's text, or undefined where there is no such file. */
export async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

const POLL_MS = 1000;

/**
 * Looks at a file once a second (a watch of the file system misses what a ConfigMap does) and hands over each new text,
 * the first one at once. What cannot be read is told once, until that changes. `stop` ends it.
 */
export async function followFile(
  path: string,
  on: { text(text: string | undefined): void; error(error: unknown): void },
): Promise<{ stop(): void }> {
  let seen: string | undefined;
  let busy = false;
  const look = async () => {
    if (busy) return;
    busy = true;
    try {
      const text = await readIfThere(path);
      const now = text === undefined ? 'absent' : `text ${text}`;
      if (now !== seen) on.text(text);
      seen = now;
    } catch (error) {
      const now = `error ${messageOf(error)}`;
      if (now !== seen) on.error(error);
      seen = now;
    }
    busy = false;
  };
  await look();
  const timer = setInterval(() => void look(), POLL_MS);
  return { stop: () => clearInterval(timer) };
}
