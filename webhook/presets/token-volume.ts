import type { Volume, VolumeMount } from '../injection.ts';

/** A volume with one token, as the clouds' own webhooks add it. */
export interface TokenVolume {
  readonly name: string;
  readonly audience: string;
  readonly expirationSeconds: number;
  /** The token's file in the volume. */
  readonly path: string;
  readonly defaultMode?: number;
}

export function tokenVolume({ name, audience, expirationSeconds, path, defaultMode }: TokenVolume): Volume {
  const sources = [{ serviceAccountToken: { audience, expirationSeconds, path } }];
  return { name, projected: { sources, ...(defaultMode === undefined ? {} : { defaultMode }) } };
}

export function readOnlyMount(name: string, mountPath: string): VolumeMount {
  return { name, mountPath, readOnly: true };
}
