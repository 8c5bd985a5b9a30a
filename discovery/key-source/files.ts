import { constants } from 'node:fs';
import { open, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { MAX_SOURCE_BYTES } from '../../src/cluster-issuer.ts';
import { Failure, messageOf } from '../../src/fault.ts';
import type { KeyReading, PublicKey, RefusedKey } from '../public-key.ts';
import { publicKeysFromText, type ReadOptions } from '../read-keys.ts';
import { type KeySource, KeySourceFailure } from './key-source.ts';

export interface FilesSourceOptions extends ReadOptions {
  /** Files, and folders of which every regular file counts whose name does not start with a dot; no folders in folders. */
  readonly paths: readonly string[];
}

/**
 * The keys of files and folders, mounted Secrets and ConfigMaps included. A path that is missing, a folder without files,
 * a file over 1 MiB and one that had a key at the last reading and has none now (it may be half written) are failures;
 * the other files are read in spite of it. A file that never had a key is refused by name and is no failure.
 */
export function createFilesSource(options: FilesSourceOptions): KeySource {
  let hadKeys: ReadonlySet<string> = new Set();
  return {
    name: 'files',
    async read(signal) {
      const keys: PublicKey[] = [];
      const refused: RefusedKey[] = [];
      const problems: string[] = [];
      const haveKeys = new Set<string>();
      for (const file of await collect(options.paths, problems)) {
        signal.throwIfAborted();
        const reading = await told(file, problems, async () => keysIn(await contents(file), file, options));
        const has = reading !== undefined && reading.keys.length > 0;
        if (has || hadKeys.has(file)) haveKeys.add(file);
        if (reading !== undefined && !has && hadKeys.has(file)) problems.push(`${file}: has no usable key any more`);
        keys.push(...(reading?.keys ?? []));
        refused.push(...(reading?.refused ?? []));
      }
      hadKeys = haveKeys;
      if (keys.length === 0 && problems.length === 0) problems.push(`no usable key in ${options.paths.join(', ')}`);
      if (problems.length > 0) throw new KeySourceFailure(problems.join('; '), { partial: { keys, refused } });
      return { keys, refused };
    },
  };
}

/**
 * The files to read, each once, in the order of the paths and of the names in a folder. Links are followed, as the files
 * of a Secret are links into its hidden folder `..data`.
 */
async function collect(paths: readonly string[], problems: string[]): Promise<Iterable<string>> {
  const files = new Set<string>();
  for (const path of paths) {
    const isFolder = await told(path, problems, async () => (await stat(path)).isDirectory());
    if (isFolder === undefined) continue;
    const inside = isFolder ? await filesIn(path, problems) : [path];
    if (inside.length === 0) problems.push(`${path}: has no files`);
    for (const file of inside) files.add(file);
  }
  return files;
}

async function filesIn(folder: string, problems: string[]): Promise<string[]> {
  const names = (await told(folder, problems, () => readdir(folder))) ?? [];
  const files: string[] = [];
  for (const name of names.filter((each) => !each.startsWith('.')).sort()) {
    const file = join(folder, name);
    const isFile = await told(file, problems, async () => (await stat(file)).isFile());
    if (isFile) files.push(file);
  }
  return files;
}

async function contents(file: string): Promise<string> {
  // Without O_NONBLOCK a pipe would keep a thread waiting for a writer.
  const handle = await open(file, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
  try {
    if (!(await handle.stat()).isFile()) throw new Failure('is neither a file nor a folder');
    const buffer = Buffer.alloc(MAX_SOURCE_BYTES + 1);
    let size = 0;
    while (size < buffer.length) {
      const { bytesRead } = await handle.read(buffer, size, buffer.length - size);
      if (bytesRead === 0) return buffer.toString('utf8', 0, size);
      size += bytesRead;
    }
    throw new Failure('is over 1 MiB');
  } finally {
    await handle.close();
  }
}

function keysIn(text: string, file: string, options: ReadOptions): KeyReading {
  const without = (message: string): KeyReading => ({
    keys: [],
    refused: [{ source: file, position: 0, reason: 'malformed', message }],
  });
  try {
    const reading = publicKeysFromText(text, file, options);
    return reading.keys.length + reading.refused.length > 0 ? reading : without('has no key in it');
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    return without('is not a JWK Set of at most 1000 keys');
  }
}

/** The result, or nothing after noting why there is none. */
async function told<T>(path: string, problems: string[], work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    problems.push(`${path}: ${reason(error)}`);
    return undefined;
  }
}

function reason(error: unknown): string {
  if (error instanceof Failure) return error.message;
  const { code } = error as { code?: unknown };
  if (code === 'ENOENT') return 'does not exist';
  if (code === 'EACCES') return 'may not be read';
  return typeof code === 'string' ? `cannot be read (${code})` : messageOf(error);
}
