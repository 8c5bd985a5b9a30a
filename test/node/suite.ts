/** What every test file on a node starts with. */
import { describe, inject } from 'vitest';
import type { Binaries } from '../cluster/binaries.ts';
import type { NodeBinaries } from './binaries.ts';
import type {} from './vitest-global-setup.ts';

/** A describe that is skipped where a node cannot run; the global setup has said why. */
export function describeNode(name: string, define: () => void): void {
  describe.skipIf(!inject('nodeParts').ok)(name, define);
}

/** For hooks and tests inside describeNode. */
export function nodeParts(): NodeParts & { ok: true } {
  const found = inject('nodeParts');
  if (!found.ok) throw new Error(found.reason);
  return found;
}

export type NodeParts =
  | { ok: true; binaries: Binaries; nodeBinaries: NodeBinaries; image: string }
  | { ok: false; reason: string };
