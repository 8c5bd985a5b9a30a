/** What every cluster test file starts with. */
import { describe, inject } from 'vitest';
import type { Binaries } from './binaries.ts';
import type {} from './vitest-global-setup.ts';

/** A describe that is skipped where the control plane cannot run; the global setup has said why. */
export function describeCluster(name: string, define: () => void): void {
  describe.skipIf(!provided().ok)(name, define);
}

/** For hooks and tests inside describeCluster. */
export function clusterBinaries(): Binaries {
  const found = provided();
  if (!found.ok) throw new Error(found.reason);
  return found;
}

function provided() {
  const found = inject('controlPlaneBinaries');
  if (!found) throw new Error('vitest.config.ts must name test/cluster/vitest-global-setup.ts as a globalSetup');
  return found;
}
