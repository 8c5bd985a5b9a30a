import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { bundle } from '../bundle.mjs';
import { bundledPackages } from './bundled.ts';
import { type Entry, file } from './entry.ts';
import { librariesOf } from './libraries.ts';
import type { NodeRelease } from './node-release.ts';
import type { Package } from './oci.ts';
import type { Architecture } from './platform.ts';
import { appFiles, SBOM, systemFiles } from './root-files.ts';
import { sbom } from './sbom.ts';

export interface RootFileSystem {
  readonly about: Package;
  readonly layers: readonly { readonly does: string; readonly entries: readonly Entry[] }[];
  /** The text of the file `SBOM` in the last layer. */
  readonly sbom: string;
}

/** Everything in the image, from a checkout. Throws a Failure where this machine lacks a part. */
export async function buildRootFileSystem(
  checkout: string,
  node: NodeRelease,
  architecture: Architecture,
  seconds: number,
): Promise<RootFileSystem> {
  const about: Package = JSON.parse(await readFile(join(checkout, 'package.json'), 'utf8'));
  const libraries = await librariesOf(node.binary, architecture);
  const { files: dist, metafile } = await bundle(checkout);
  const packages = await bundledPackages(metafile, checkout);
  const system = await systemFiles(node, libraries);
  const app = await appFiles(checkout, dist, packages);
  const files = [...system, ...app].filter(({ content }) => content !== undefined);
  files.sort((a, b) => (a.path < b.path ? -1 : 1));
  const text = sbom({ about, node, libraries, packages, files }, seconds);
  return {
    about,
    layers: [
      { does: 'Node.js and its libraries', entries: system },
      { does: about.name, entries: [...app, file(SBOM, text)] },
    ],
    sbom: text,
  };
}
