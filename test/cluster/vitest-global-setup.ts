/** Finds or builds the binaries once, before the first cluster test file is loaded. */
import type { TestProject } from 'vitest/node';
import { type ControlPlaneBinaries, controlPlaneBinaries } from './binaries.ts';

declare module 'vitest' {
  interface ProvidedContext {
    controlPlaneBinaries: ControlPlaneBinaries;
  }
}

export default async function setup(project: TestProject): Promise<void> {
  const log = (line: string) => process.stderr.write(`cluster tests: ${line}\n`);
  const found = await controlPlaneBinaries(log);
  if (!found.ok) {
    // A build server that quietly skips these tests would prove nothing.
    if (process.env.CI && process.env.CI !== 'false') throw new Error(`cluster tests cannot run: ${found.reason}`);
    log(`SKIPPED: ${found.reason}`);
  }
  project.provide('controlPlaneBinaries', found);
}
