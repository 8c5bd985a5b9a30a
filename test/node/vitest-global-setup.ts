/** Finds or builds the programs of a node and our image once, before the first test on it is loaded. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { TestProject } from 'vitest/node';
import { controlPlaneBinaries } from '../cluster/binaries.ts';
import { nodeBinaries } from './binaries.ts';
import type { NodeParts } from './suite.ts';

declare module 'vitest' {
  interface ProvidedContext {
    nodeParts: NodeParts;
  }
}

const root = fileURLToPath(new URL('../../', import.meta.url));

export default async function setup(project: TestProject): Promise<() => void> {
  const log = (line: string) => process.stderr.write(`node tests: ${line}\n`);
  const folder = mkdtempSync(join(tmpdir(), 'podpass-image-'));
  const parts = await find(join(folder, 'podpass.tar'), log);
  if (!parts.ok) {
    // A build server that quietly skips these tests would prove nothing.
    if (process.env.CI && process.env.CI !== 'false') throw new Error(`node tests cannot run: ${parts.reason}`);
    log(`SKIPPED: ${parts.reason}`);
  }
  project.provide('nodeParts', parts);
  // For the verifiers, which both kinds of tests use.
  if (parts.ok) project.provide('controlPlaneBinaries', parts.binaries);
  return () => rmSync(folder, { recursive: true });
}

async function find(image: string, log: (line: string) => void): Promise<NodeParts> {
  const found = await nodeBinaries(log);
  if (!found.ok) return found;
  const binaries = await controlPlaneBinaries(log);
  if (!binaries.ok) return binaries;
  log('building the image');
  const { status, stderr } = spawnSync(
    process.execPath,
    [join(root, 'node_modules/tsx/dist/cli.mjs'), join(root, 'tools/image/main.ts'), '--output', image],
    { encoding: 'utf8' },
  );
  if (status !== 0) return { ok: false, reason: `the image cannot be built: ${stderr.trim()}` };
  return { ok: true, binaries, nodeBinaries: found, image };
}
