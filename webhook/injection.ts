import { isDeepStrictEqual } from 'node:util';
import type { Problem } from '../src/fault.ts';
import type { AddOperation } from '../src/json-patch.ts';
import type { ContainerPlace, Pod } from './pod.ts';

/** A volume that podpass adds, as in the core/v1 API; `defaultMode` absent is the API server's 0644. */
export interface Volume {
  readonly name: string;
  readonly projected?: { readonly sources: readonly TokenSource[]; readonly defaultMode?: number };
  readonly downwardAPI?: { readonly items: readonly object[]; readonly defaultMode?: number };
  readonly configMap?: { readonly name: string; readonly items: readonly object[]; readonly defaultMode?: number };
}

/** A ServiceAccountTokenProjection. */
export interface TokenSource {
  readonly serviceAccountToken: {
    readonly audience: string;
    readonly expirationSeconds: number;
    readonly path: string;
  };
}

export interface VolumeMount {
  readonly name: string;
  readonly mountPath: string;
  readonly readOnly: true;
}

export interface EnvVar {
  readonly name: string;
  /** As programs see it, but for `$(NAME)`, which the kubelet expands. */
  readonly value: string;
}

/** What one container is to have. */
export interface ContainerWish {
  readonly place: ContainerPlace;
  readonly mounts: readonly VolumeMount[];
  /** In groups: where a container has one variable of a group, none of that group is added. */
  readonly env: readonly (readonly EnvVar[])[];
}

/** Everything that one part of podpass wants of a Pod: the tokens of its own annotations, or a preset. */
export interface Injection {
  /** How messages call it: `podpass`, `the preset aws`. */
  readonly by: string;
  /** What the annotation `injected` says of it; counts only where a container is to have something. */
  readonly names: readonly string[];
  readonly volumes: readonly Volume[];
  readonly containers: readonly ContainerWish[];
  /** By their whole keys. An annotation of the Pod with another value is a problem, a label stays with a warning. */
  readonly annotations?: Readonly<Record<string, string>>;
  readonly labels?: Readonly<Record<string, string>>;
  /** The annotation that chooses where the volume is mounted; absent where a Pod has no choice. */
  readonly folder?: { readonly object: string; readonly key: string };
  /** A whole container, and what of the others changes for it. */
  readonly sidecar?: Sidecar;
  /** The mounts are the same in every container, so that one in a container that is left out does no harm. */
  readonly uniform: boolean;
}

export interface Sidecar {
  readonly list: 'initContainers' | 'containers';
  readonly container: object;
  /** It is in the Pod already. */
  readonly present: boolean;
  /** Each gives a member that is there another value, as an addition does (RFC 6902 section 4.1). */
  readonly changes: readonly AddOperation[];
}

/** A bound on the work: no Pod that the API server stores (1.5 MiB) has use for as many. */
export const MAX_ADDITIONS = 25_000;

/** The same for their names, paths, audiences and values, in characters: the API server takes no more as a request. */
export const MAX_ADDED_TEXT = 3 * 1024 * 1024;

/** What an injection is at most going to add. */
export interface Size {
  /** Tokens, mounts and variables. */
  readonly additions: number;
  /** Characters. */
  readonly text: number;
}

export function isTooMuch({ additions, text }: Size): boolean {
  return additions > MAX_ADDITIONS || text > MAX_ADDED_TEXT;
}

export function tooManyAdditions(object: string): Problem {
  const wrong = `tokens, mounts and variables or more would be added, or ${MAX_ADDED_TEXT} characters`;
  const accepted = 'fewer tokens, shorter values, or fewer containers that see them';
  return { object, key: 'spec', value: String(MAX_ADDITIONS), wrong, accepted };
}

/** A bound on the reading: no Pod that the API server stores has as many containers, mounts and variables. */
const MAX_THINGS = 50_000;

/** A problem for a Pod that is too large to be changed, with how many things it has. */
export function tooManyThings(object: string, things: number): Problem | undefined {
  if (things <= MAX_THINGS) return undefined;
  const wrong = 'volumes, containers, mounts, devices and variables are too many to add something to';
  return { object, key: 'spec', value: String(things), wrong, accepted: `at most ${MAX_THINGS} together` };
}

/** A file's path as programs in the container write it. `$` is doubled, as the kubelet expands `$(NAME)` in values. */
export function pathInContainer(folder: string, file: string, windows: boolean): string {
  const path = `${folder}/${file}`;
  return (windows ? `C:${path.replaceAll('/', '\\')}` : path).replaceAll('$', '$$$$');
}

/** How much injections are at most going to add. */
export function sizeOf(injections: readonly Injection[]): Size {
  const size = { additions: 0, text: 0 };
  for (const { volumes, containers } of injections) {
    for (const { projected } of volumes) {
      size.additions += projected?.sources.length ?? 1;
      for (const { serviceAccountToken: token } of projected?.sources ?? []) size.text += textOf(token);
    }
    // Containers that want the same share it, so that it is measured once.
    const measured = new Map<ContainerWish['env'], number>();
    for (const { mounts, env } of containers) {
      let text = measured.get(env);
      if (text === undefined) {
        text = env.flat().reduce((sum, { name, value }) => sum + name.length + value.length, 0);
        measured.set(env, text);
      }
      size.additions += mounts.length + env.length;
      size.text += mounts.reduce((sum, { name, mountPath }) => sum + name.length + mountPath.length, text);
    }
  }
  return size;
}

/** The characters of a token in a volume. */
export function textOf({ audience, path }: { readonly audience: string; readonly path: string }): number {
  return audience.length + path.length;
}

/** True where a mount that a container has is ours, and nothing more or less. */
export function isSameMount(
  present: { readonly name: string; readonly mountPath: string },
  ours: VolumeMount,
): boolean {
  return present.name === ours.name && present.mountPath === ours.mountPath && isDeepStrictEqual(present, ours);
}

/** True where a volume that the Pod has is the same as ours, but for what the API server fills in between two rounds. */
export function isSameVolume(present: NonNullable<Pod['spec']['volumes']>[number], ours: Volume): boolean {
  return isDeepStrictEqual(withMode(present), withMode(ours));
}

/** The default is in kubernetes/pkg/apis/core/v1/defaults.go. */
function withMode(volume: object): object {
  const copy: Record<string, unknown> = { ...volume };
  for (const source of ['projected', 'downwardAPI', 'configMap']) {
    const content = copy[source];
    if (typeof content === 'object' && content !== null) copy[source] = { defaultMode: 0o644, ...content };
  }
  return copy;
}
