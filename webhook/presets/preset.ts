import type { PresetName } from '../../src/catalog/presets.ts';
import type { Problem } from '../../src/fault.ts';
import type { Annotated } from '../effective-annotations.ts';
import type { Injection } from '../injection.ts';
import type { Pod } from '../pod.ts';

/** A ServiceAccount, and which one it is. */
export interface Account extends Annotated {
  readonly namespace: string;
  readonly name: string;
}

/** What a preset decides by. */
export interface PresetRequest {
  readonly pod: Pod;
  /** How messages name the Pod. */
  readonly object: string;
  readonly account: Account;
  /** Audiences that no token may have. */
  readonly reserved: ReadonlySet<string>;
}

/** What a preset wants of a Pod. With problems, the rest is not to be used. */
export interface PresetReading {
  /** Absent where the preset has nothing to do with the Pod. */
  readonly injection?: Injection;
  /** Of its token. */
  readonly audience?: string;
  readonly problems: readonly Problem[];
  readonly warnings: readonly string[];
}

/** The rules of one cloud. Pure, and its answers depend on nothing but the request. */
export interface Preset {
  readonly name: PresetName;
  /** The part before the slash of the annotations that it reads. */
  readonly prefix: string;
  read(request: PresetRequest): PresetReading;
}
