import { randomBytes } from 'node:crypto';
import { open, readFile, rename, rm } from 'node:fs/promises';
import { Failure, whyUnreadable } from '../fault.ts';

/**
 * A file for one text, written as a whole or not at all, for its owner alone. The last writer wins: files have no
 * conditions. Throws a Failure that names the file.
 */
export function createStateFile(path: string) {
  return {
    name: path,
    async read(): Promise<{ text: string; version: string } | undefined> {
      try {
        return { text: await readFile(path, 'utf8'), version: '' };
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
        throw new Failure(`${path} ${whyUnreadable(error)}`, { cause: error });
      }
    },
    async write(text: string): Promise<boolean> {
      const next = `${path}.${randomBytes(6).toString('hex')}.tmp`;
      try {
        const file = await open(next, 'wx', 0o600);
        try {
          await file.writeFile(text);
          await file.sync();
        } finally {
          await file.close();
        }
        await rename(next, path);
        return true;
      } catch (error) {
        await rm(next, { force: true }).catch(() => undefined);
        const { code } = error as NodeJS.ErrnoException;
        throw new Failure(`${path} cannot be written (${code ?? 'unknown reason'})`, { cause: error });
      }
    },
  };
}
