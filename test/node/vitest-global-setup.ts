/** Finds or builds the parts of a node once, before the first test on it is loaded. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { type FoundNodeParts, findNodeParts } from './parts.ts';

declare module 'vitest' {
  interface ProvidedContext {
    nodeParts: FoundNodeParts;
  }
}

export default async function setup(project: TestProject): Promise<() => void> {
  const log = (line: string) => process.stderr.write(`node tests: ${line}\n`);
  const folder = mkdtempSync(join(tmpdir(), 'podpass-image-'));
  const parts = await findNodeParts(folder, log);
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
