/** All that a node with podpass on it is made of. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Binaries, controlPlaneBinaries, type Log } from '../cluster/binaries.ts';
import { type NodeBinaries, nodeBinaries } from './binaries.ts';

export interface NodeParts {
  ok: true;
  binaries: Binaries;
  nodeBinaries: NodeBinaries;
  /** Path of the archive of our image. */
  image: string;
}
export type FoundNodeParts = NodeParts | { ok: false; reason: string };

const root = fileURLToPath(new URL('../../', import.meta.url));

/** Finds or builds everything, and writes our image into `folder`. What this machine lacks is returned as a reason. */
export async function findNodeParts(folder: string, log: Log): Promise<FoundNodeParts> {
  const found = await nodeBinaries(log);
  if (!found.ok) return found;
  const binaries = await controlPlaneBinaries(log);
  if (!binaries.ok) return binaries;
  log('building the image');
  const image = join(folder, 'podpass.tar');
  const { status, stderr } = spawnSync(
    process.execPath,
    [join(root, 'node_modules/tsx/dist/cli.mjs'), join(root, 'tools/image/main.ts'), '--output', image],
    { encoding: 'utf8' },
  );
  if (status !== 0) return { ok: false, reason: `the image cannot be built: ${stderr.trim()}` };
  return { ok: true, binaries, nodeBinaries: found, image };
}
