import type { Scene } from './scene.ts';

/** Something that is done to a cluster with podpass in it, while Pods are created. */
export interface Fault {
  readonly name: string;
  /** What is done. */
  readonly does: string;
  /** What it should cost, and when all is well again. */
  readonly expected: string;
  /** How long it lasts where nobody says otherwise. */
  readonly seconds: number;
  /** It lasts as long as it has to, whatever somebody says. */
  readonly fixed?: true;
  /** While it lasts the API server itself may fail a creation. Elsewhere each failure counts as one of podpass. */
  readonly takesApiServerAway?: true;
  /** Why it cannot be done on this machine. */
  readonly missing?: () => Promise<string | undefined>;
  /** Does it and undoes it. Throws where it did not happen as described, or did not end. */
  readonly run: (run: Run) => Promise<void>;
}

/** One run of a fault. */
export interface Run {
  readonly scene: Scene;
  /** How long the fault is to last. */
  readonly ms: number;
  /** Something to tell beside the figures. */
  note(text: string): void;
  /**
   * Waits until all is well again: both halves are ready and watch the API server, Pods of every kind that were begun
   * after the call have their tokens, and what is asked for beside that. The longest of a run is its time to recovery.
   */
  recovery(also?: () => Promise<boolean>, limitMs?: number): Promise<void>;
}
