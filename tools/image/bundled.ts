import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Metafile } from 'esbuild';
import { type Entry, file } from './entry.ts';

/** An npm package of which something is in the bundle. */
export interface BundledPackage {
  readonly name: string;
  readonly version: string;
  /** An SPDX licence expression, or undefined. */
  readonly license: string | undefined;
  /** The sha512 of the published package in hexadecimal digits, from the lock file. */
  readonly sha512: string | undefined;
  /** Its licence and notice files. */
  readonly texts: readonly Entry[];
}

/** From esbuild's metafile: what is in an output, which is less than what was read, and much less than the lock file. */
export async function bundledPackages(metafile: Metafile, checkout: string): Promise<BundledPackage[]> {
  const folders = new Set<string>();
  for (const { inputs } of Object.values(metafile.outputs)) {
    for (const [path, { bytesInOutput }] of Object.entries(inputs)) {
      const [folder] = /^.*node_modules\/(@[^/]+\/)?[^/]+/.exec(path) ?? [];
      if (folder !== undefined && bytesInOutput > 0) folders.add(folder);
    }
  }
  const lock = JSON.parse(await readFile(join(checkout, 'package-lock.json'), 'utf8')).packages;
  return Promise.all(
    [...folders].sort().map(async (folder) => {
      const { name, version, license } = JSON.parse(await readFile(join(checkout, folder, 'package.json'), 'utf8'));
      const { integrity } = lock[folder] ?? {};
      const names = (await readdir(join(checkout, folder))).filter((each) =>
        /^(licen[cs]e|copying|notice)/i.test(each),
      );
      const texts = names.sort().map(async (each) => {
        return file(`app/licenses/${name}-${version}/${each}`, await readFile(join(checkout, folder, each)));
      });
      return {
        name,
        version,
        license: typeof license === 'string' ? license : undefined,
        sha512: integrity?.startsWith('sha512-')
          ? Buffer.from(integrity.slice(7), 'base64').toString('hex')
          : undefined,
        texts: await Promise.all(texts),
      };
    }),
  );
}
