/** What every test file on a node starts with. */
import { describe, inject } from 'vitest';
import type { NodeParts } from './parts.ts';
import type {} from './vitest-global-setup.ts';

/** A describe that is skipped where a node cannot run; the global setup has said why. */
export function describeNode(name: string, define: () => void): void {
  describe.skipIf(!inject('nodeParts').ok)(name, define);
}

/** For hooks and tests inside describeNode. */
export function nodeParts(): NodeParts {
  const found = inject('nodeParts');
  if (!found.ok) throw new Error(found.reason);
  return found;
}
