// `npm run image`: the container image, without a container engine. What is in it: docs/install.md, "Image".
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import packageJson from '../../package.json' with { type: 'json' };
import { describe, Failure } from '../../src/fault.ts';
import { buildRootFileSystem } from './build.ts';
import { inOrder } from './entry.ts';
import { nodeRelease } from './node-release.ts';
import { imageArchive } from './oci.ts';
import { help, type Options, parseOptions } from './options.ts';
import { ownArchitecture } from './platform.ts';
import { writeFolder, writePieces } from './write.ts';

const checkout = join(import.meta.dirname, '../..');

async function main(): Promise<number> {
  const options = parseOptions(process.argv.slice(2), process.env, packageJson.version, ownArchitecture());
  if (!('seconds' in options)) {
    console.error(options.map(describe).join('\n'));
    return 2;
  }
  if (options.help) console.log(help.trimEnd());
  else await build(options);
  return 0;
}

async function build({ output, name, architecture, rootfs, seconds }: Options): Promise<void> {
  const root = await buildRootFileSystem(checkout, await nodeRelease(architecture), architecture, seconds);
  if (rootfs !== undefined) {
    const entries = inOrder(root.layers.flatMap((layer) => layer.entries));
    await writeFolder(rootfs, entries, seconds);
    console.log(`rootfs   ${rootfs}`);
    return;
  }
  const archive = imageArchive(root.layers, root.about, name, architecture, seconds);
  const sbomFile = `${output.replace(/\.tar$/, '')}.spdx.json`;
  await mkdir(dirname(output), { recursive: true });
  await writePieces(output, archive.pieces);
  await writeFile(sbomFile, root.sbom);
  const size = archive.pieces.reduce((sum, { length }) => sum + length, 0);
  console.log(
    [
      `name     ${name.full}`,
      `digest   ${archive.digest}`,
      `id       ${archive.configDigest}`,
      `size     ${size} bytes`,
      `archive  ${output}`,
      `sbom     ${sbomFile}`,
    ].join('\n'),
  );
}

try {
  process.exitCode = await main();
} catch (error) {
  if (!(error instanceof Failure)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}
