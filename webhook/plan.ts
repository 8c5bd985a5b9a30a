import { createHash } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { isAtOrAbove, normalisePath } from '../src/codec.ts';
import { type Problem, quote } from '../src/fault.ts';
import type { Reading, Token } from './annotations.ts';
import { type ContainerPlace, containerPlaces, isWindows, type Pod } from './pod.ts';

/** A ServiceAccountTokenProjection, as in the core/v1 API. */
interface TokenSource {
  readonly serviceAccountToken: {
    readonly audience: string;
    readonly expirationSeconds: number;
    readonly path: string;
  };
}

export interface Volume {
  readonly name: string;
  readonly projected: { readonly sources: readonly TokenSource[] };
}

interface VolumeMount {
  readonly name: string;
  readonly mountPath: string;
  readonly readOnly: true;
}

interface EnvVar {
  readonly name: string;
  readonly value: string;
}

/** What one container is to have. */
interface ContainerWish {
  readonly place: ContainerPlace;
  readonly mount: VolumeMount;
  readonly env: readonly EnvVar[];
}

/** What is missing in a Pod, to be added at the end of its lists; with problems, nothing may be added. */
export interface InjectionPlan {
  readonly volumes: readonly Volume[];
  readonly containers: readonly {
    readonly place: ContainerPlace;
    readonly mounts: readonly VolumeMount[];
    readonly env: readonly EnvVar[];
  }[];
  /** The value that the annotation `injected` is to have; absent where it is right already or nothing is injected. */
  readonly injected?: string;
  /** The tokens that at least one container sees. */
  readonly tokens: readonly Token[];
  readonly problems: readonly Problem[];
  readonly warnings: readonly string[];
}

const VOLUME = 'podpass-tokens';

/**
 * The volume that holds a set of tokens. The one with all tokens of the Pod has the plain name; another one's depends on
 * its names, audiences and lifetimes only, so that a second round finds the volume of the first.
 */
function volumeOf(set: readonly Token[], all: readonly Token[]): Volume {
  return {
    name: set.length === all.length ? VOLUME : `${VOLUME}-${digestOf(set)}`,
    projected: {
      sources: set.map(({ name, audience, expirationSeconds }) => ({
        serviceAccountToken: { audience, expirationSeconds, path: name },
      })),
    },
  };
}

function digestOf(set: readonly Token[]): string {
  const facts = set.map(({ name, audience, expirationSeconds }) => [name, audience, expirationSeconds]);
  return createHash('sha256').update(JSON.stringify(facts)).digest('hex').slice(0, 8);
}

/** A token's path as programs in the container write it. `$` is doubled, as the kubelet expands `$(NAME)` in values. */
function pathInContainer(folder: string, file: string, windows: boolean): string {
  const path = `${folder}/${file}`;
  return (windows ? `C:${path.replaceAll('/', '\\')}` : path).replaceAll('$', '$$$$');
}

/** Compares what a Pod should have with what it has. `object` is how messages name the Pod; `injectedKey` the annotation. */
export function planInjection(pod: Pod, object: string, reading: Reading, injectedKey: string): InjectionPlan {
  const { tokens } = reading;
  const folder = reading.mountPath.path;
  const places = containerPlaces(pod.spec);
  const windows = isWindows(pod.spec);
  const volumes = new Map<string, Volume>();
  const wishes: ContainerWish[] = [];
  for (const place of places) {
    const set = tokens.filter((token) => token.containers.has(place.container.name));
    if (set.length === 0) continue;
    const volume = volumeOf(set, tokens);
    volumes.set(volume.name, volume);
    wishes.push({
      place,
      mount: { name: volume.name, mountPath: folder, readOnly: true },
      env: set.flatMap(({ name, variable }) =>
        variable === undefined ? [] : [{ name: variable, value: pathInContainer(folder, name, windows) }],
      ),
    });
  }

  const problems: Problem[] = [];
  const warnings: string[] = [];
  const seen = tokens.filter((token) => token.containers.size > 0);
  const injected = seen.map(({ name }) => name).join(',');
  const present = pod.metadata?.annotations?.[injectedKey];
  const plan = {
    volumes: missingVolumes(pod, object, volumes, problems),
    containers: wishes.flatMap((wish) => missingInContainer(wish, object, reading, problems, warnings)),
    tokens: seen,
    problems,
    warnings,
  };
  problems.push(...foreignMounts(places, object, volumes, wishes));
  return seen.length === 0 || present === injected ? plan : { ...plan, injected };
}

// ---- what is there already -------------------------------------------------------------------------------------------

function missingVolumes(pod: Pod, object: string, wanted: ReadonlyMap<string, Volume>, problems: Problem[]): Volume[] {
  const missing = new Map(wanted);
  for (const [index, volume] of (pod.spec.volumes ?? []).entries()) {
    const ours = wanted.get(volume.name);
    if (ours === undefined) continue;
    missing.delete(volume.name);
    if (isSameVolume(volume, ours)) continue;
    problems.push({
      object,
      key: `spec.volumes[${index}].name`,
      value: volume.name,
      wrong: 'is the name of the volume that podpass adds, and this one is another',
      accepted: 'another name for your volume, or exactly the volume that podpass adds',
    });
  }
  return [...missing.values()];
}

/** Equal but for what the API server fills in between two rounds: defaultMode 0644 (kubernetes/pkg/apis/core/v1/defaults.go). */
function isSameVolume(present: object, ours: Volume): boolean {
  const { projected, ...rest } = present as { projected?: { defaultMode?: unknown } };
  if (typeof projected !== 'object' || projected === null) return false;
  const { defaultMode = 0o644, ...source } = projected;
  return defaultMode === 0o644 && isDeepStrictEqual({ ...rest, projected: source }, ours);
}

function missingInContainer(
  { place, mount, env }: ContainerWish,
  object: string,
  reading: Reading,
  problems: Problem[],
  warnings: string[],
): InjectionPlan['containers'] {
  const { container } = place;
  const present = container.volumeMounts ?? [];
  const mounted = present.some((each) => isDeepStrictEqual(each, mount));
  if (!mounted) problems.push(...hiddenMounts(place, mount, reading));
  const missing: EnvVar[] = [];
  for (const variable of env) {
    const same = container.env?.findLast(({ name }) => name === variable.name);
    if (same === undefined) missing.push(variable);
    else if (same.value !== variable.value) {
      warnings.push(
        `${object}: container ${quote(container.name)} has a variable ${variable.name} already; it stays as it is`,
      );
    }
  }
  const mounts = mounted ? [] : [mount];
  return mounts.length + missing.length === 0 ? [] : [{ place, mounts, env: missing }];
}

/** Other mounts of the container that our mount would hide: those at its path or below. */
function hiddenMounts(place: ContainerPlace, mount: VolumeMount, reading: Reading): Problem[] {
  const { container } = place;
  const others = [
    ...(container.volumeMounts ?? [])
      .filter((other) => other.name !== mount.name)
      .map((other) => ({ path: other.mountPath, what: `the mount of the volume ${quote(other.name)}` })),
    ...(container.volumeDevices ?? []).map((other) => ({
      path: other.devicePath,
      what: `the device ${quote(other.name)}`,
    })),
  ];
  const { path: folder, object, key } = reading.mountPath;
  return others
    .filter(({ path }) => isAtOrAbove(folder, normalisePath(path)))
    .map(({ path, what }) => ({
      object,
      key,
      value: folder,
      wrong: `equals or lies above ${quote(path)}, ${what} in the container ${quote(container.name)}`,
      accepted: 'a folder of its own for the tokens, which may lie inside another mount',
    }));
}

/** Mounts of our volumes that we would not add: elsewhere, writable, or in a container that must not see these tokens. */
function foreignMounts(
  places: readonly ContainerPlace[],
  object: string,
  volumes: ReadonlyMap<string, Volume>,
  wishes: readonly ContainerWish[],
): Problem[] {
  const wanted = new Map(wishes.map(({ place, mount }) => [place, mount]));
  return places.flatMap((place) =>
    (place.container.volumeMounts ?? []).flatMap((present, index) => {
      if (!volumes.has(present.name)) return [];
      const ours = wanted.get(place);
      if (isDeepStrictEqual(present, ours)) return [];
      return {
        object,
        key: `spec.${place.list}[${place.index}].volumeMounts[${index}]`,
        value: `${present.name} at ${present.mountPath}`,
        wrong: `mounts a volume of podpass in the container ${quote(place.container.name)} in another way than podpass does`,
        accepted:
          ours === undefined
            ? 'no such mount, as this container is to see other tokens or none'
            : `none, or exactly ${JSON.stringify(ours)}`,
      };
    }),
  );
}
