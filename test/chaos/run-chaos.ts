import type { Binaries } from '../cluster/binaries.ts';
import type { Fault } from './fault.ts';
import { type Result, runFault } from './run-fault.ts';
import { Scene } from './scene.ts';

export interface NotRun {
  readonly name: string;
  /** Why. */
  readonly notRun: string;
}

export interface ChaosOptions {
  readonly binaries: Pick<Binaries, 'kubeApiserver' | 'etcd'>;
  readonly faults: readonly Fault[];
  /** For each fault, in the place of its own. */
  readonly seconds?: number | undefined;
  /** Called before each fault. */
  readonly begins?: (fault: Fault) => void;
  /** Called after each. */
  readonly ended?: (result: Result | NotRun) => void;
  /** Called with each scene before it is complete, so that an interrupt can stop it. */
  readonly staged?: (scene: Scene) => void;
}

/** Does the faults one after the other. After one that did not end the next has a new cluster. */
export async function runChaos(options: ChaosOptions): Promise<(Result | NotRun)[]> {
  const { binaries, faults, seconds, begins, ended, staged } = options;
  const results: (Result | NotRun)[] = [];
  let scene: Scene | undefined;
  try {
    for (const fault of faults) {
      begins?.(fault);
      const missing = await fault.missing?.();
      if (missing === undefined) scene ??= await Scene.start(binaries, staged);
      const result =
        missing === undefined && scene
          ? await runFault(fault, scene, seconds)
          : { name: fault.name, notRun: missing ?? '' };
      results.push(result);
      ended?.(result);
      if ('broken' in result && result.broken !== undefined) {
        await scene?.stop();
        scene = undefined;
      }
    }
  } finally {
    await scene?.stop();
  }
  return results;
}
