/** Finds or builds the programs of a node and our image once, before the first test on it is loaded. */
import { spawnSync } from 'node:child_process';
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

export default async function setup(project: TestProject): Promise<void> {
  const log = (line: string) => process.stderr.write(`node tests: ${line}\n`);
  const parts = await find(log);
  if (!parts.ok) {
    // A build server that quietly skips these tests would prove nothing.
    if (process.env.CI && process.env.CI !== 'false') throw new Error(`node tests cannot run: ${parts.reason}`);
    log(`SKIPPED: ${parts.reason}`);
  }
  project.provide('nodeParts', parts);
}

async function find(log: (line: string) => void): Promise<NodeParts> {
  const found = await nodeBinaries(log);
  if (!found.ok) return found;
  const binaries = await controlPlaneBinaries(log);
  if (!binaries.ok) return binaries;
  return { ok: true, binaries, nodeBinaries: found, image: buildImage() };
}
