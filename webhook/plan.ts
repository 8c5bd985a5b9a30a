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

/** The volume of all tokens of a Pod; another one's name begins with it and a dash. */
export const TOKENS_VOLUME = 'podpass-tokens';

/**
 * The volume that holds a set of tokens. The one with all tokens of the Pod has the plain name; another one's depends on
 * its names, audiences and lifetimes only, so that a second round finds the volume of the first.
 */
function volumeOf(set: readonly Token[], all: readonly Token[]): Volume {
  return {
    name: set.length === all.length ? TOKENS_VOLUME : `${TOKENS_VOLUME}-${digestOf(set)}`,
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
  const places = containerPlaces(pod.spec);
  const seen = tokens.filter((token) => token.containers.size > 0);
  const wishes = wishesOf(places, reading, isWindows(pod.spec));
  const nothing = { volumes: [], containers: [], tokens: seen, warnings: [] };
  if (wishes === undefined) return { ...nothing, problems: [tooManyAdditions(object)] };
  const { volumes, containers } = wishes;
  const there = containers.map((wish) => compare(wish, object, reading, isWindows(pod.spec)));
  const taken = foreignVolumes(pod, object, volumes);
  const names = new Set((pod.spec.volumes ?? []).map(({ name }) => name));
  const plan = {
    volumes: [...volumes.values()].filter(({ name }) => !names.has(name)),
    containers: there.flatMap(({ missing }) => missing ?? []),
    tokens: seen,
    problems: taken.concat(
      there.flatMap(({ problems }) => problems),
      foreignMounts(places, object, volumes, containers),
    ),
    warnings: there.flatMap(({ warnings }) => warnings),
  };
  const injected = seen.map(({ name }) => name).join(',');
  const present = pod.metadata?.annotations?.[injectedKey];
  return seen.length === 0 || present === injected ? plan : { ...plan, injected };
}

/** A bound on the work: no Pod that the API server stores (1.5 MiB) has use for as many. */
const MAX_ADDITIONS = 25_000;

function tooManyAdditions(object: string): Problem {
  const wrong = 'tokens, mounts and variables or more would be added';
  return {
    object,
    key: 'spec',
    value: String(MAX_ADDITIONS),
    wrong,
    accepted: 'fewer tokens, or fewer containers that see them',
  };
}

/** The volumes and what each container is to have; `undefined` where it is more than a Pod can hold. */
function wishesOf(
  places: readonly ContainerPlace[],
  { tokens, mountPath: { path } }: Reading,
  windows: boolean,
): { volumes: ReadonlyMap<string, Volume>; containers: readonly ContainerWish[] } | undefined {
  const env = new Map(
    tokens.flatMap(({ name, variable }) =>
      variable === undefined ? [] : [[name, { name: variable, value: pathInContainer(path, name, windows) }] as const],
    ),
  );
  // Most tokens are for the same containers; those that are form a group and are looked at together.
  const groups = [...new Set(tokens.map((token) => token.containers))];
  // Containers with the same tokens share a volume, which is made once.
  const bySet = new Map<string, { volume: Volume; env: readonly EnvVar[] }>();
  const containers: ContainerWish[] = [];
  let additions = 0;
  for (const place of places) {
    const own = new Set(groups.filter((group) => group.has(place.container.name)));
    if (own.size === 0) continue;
    const key = groups.map((group) => (own.has(group) ? '1' : '0')).join('');
    let shared = bySet.get(key);
    if (shared === undefined) {
      const set = tokens.filter((token) => own.has(token.containers));
      shared = { volume: volumeOf(set, tokens), env: set.flatMap(({ name }) => env.get(name) ?? []) };
      bySet.set(key, shared);
      additions += set.length;
    }
    additions += 1 + shared.env.length;
    if (additions > MAX_ADDITIONS) return undefined;
    containers.push({ place, mount: { name: shared.volume.name, mountPath: path, readOnly: true }, env: shared.env });
  }
  return { volumes: new Map([...bySet.values()].map(({ volume }) => [volume.name, volume])), containers };
}

// ---- what is there already -------------------------------------------------------------------------------------------

/** Volumes of the Pod that have the name of one of ours and are another. */
function foreignVolumes(pod: Pod, object: string, wanted: ReadonlyMap<string, Volume>): Problem[] {
  return (pod.spec.volumes ?? []).flatMap((volume, index) => {
    const ours = wanted.get(volume.name);
    if (ours === undefined || isSameVolume(volume, ours)) return [];
    return {
      object,
      key: `spec.volumes[${index}].name`,
      value: volume.name,
      wrong: 'is the name of the volume that podpass adds, and this one is another',
      accepted: 'another name for your volume, or exactly the volume that podpass adds',
    };
  });
}

/** Equal but for what the API server fills in between two rounds: defaultMode 0644 (kubernetes/pkg/apis/core/v1/defaults.go). */
function isSameVolume(present: object, ours: Volume): boolean {
  const { projected, ...rest } = present as { projected?: { defaultMode?: unknown } };
  if (typeof projected !== 'object' || projected === null) return false;
  const { defaultMode = 0o644, ...source } = projected;
  return defaultMode === 0o644 && isDeepStrictEqual({ ...rest, projected: source }, ours);
}

interface Comparison {
  /** Absent where nothing is missing. */
  readonly missing?: InjectionPlan['containers'][number];
  readonly problems: readonly Problem[];
  readonly warnings: readonly string[];
}

/** What a container lacks of what it is to have, and what is in the way. */
function compare({ place, mount, env }: ContainerWish, object: string, reading: Reading, windows: boolean): Comparison {
  const { container } = place;
  const mounted = (container.volumeMounts ?? []).some((each) => isDeepStrictEqual(each, mount));
  const present = new Map((container.env ?? []).map((variable) => [variable.name, variable]));
  const missing = env.filter(({ name }) => !present.has(name));
  const kept = env.filter(({ name, value }) => present.has(name) && present.get(name)?.value !== value);
  const problems = mounted ? [] : hiddenMounts(place, mount, reading, windows);
  const warnings = kept.map(
    ({ name }) => `${object}: container ${quote(container.name)} has a variable ${name} already; it stays as it is`,
  );
  if (mounted && missing.length === 0) return { problems, warnings };
  return { missing: { place, mounts: mounted ? [] : [mount], env: missing }, problems, warnings };
}

/** Other mounts of the container that our mount would hide: those at its path or below. */
function hiddenMounts(
  { container }: ContainerPlace,
  mount: VolumeMount,
  reading: Reading,
  windows: boolean,
): Problem[] {
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
  // A Windows Pod may write `C:\data` for `/data`.
  const written = (path: string) => (windows ? path.replace(/^[A-Za-z]:/, '').replaceAll('\\', '/') : path);
  return others
    .filter(({ path }) => isAtOrAbove(folder, normalisePath(written(path))))
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
