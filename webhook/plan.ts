import { isDeepStrictEqual } from 'node:util';
import { isAtOrAbove, normalisePath } from '../src/codec.ts';
import { type Problem, quote } from '../src/fault.ts';
import {
  type EnvVar,
  type Injection,
  isSameVolume,
  MAX_ADDITIONS,
  sizeOf,
  tooManyAdditions,
  type Volume,
  type VolumeMount,
} from './injection.ts';
import { type ContainerPlace, containerPlaces, isWindows, type Pod } from './pod.ts';

/** What is missing in a Pod, to be added at the end of its lists; with problems, nothing may be added. */
export interface InjectionPlan {
  readonly volumes: readonly Volume[];
  readonly containers: readonly {
    readonly place: ContainerPlace;
    readonly mounts: readonly VolumeMount[];
    readonly env: readonly EnvVar[];
  }[];
  /** By their whole keys; `injected` among them where it is not right already and something is injected. */
  readonly annotations: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly problems: readonly Problem[];
  readonly warnings: readonly string[];
}

const NOTHING: InjectionPlan = {
  volumes: [],
  containers: [],
  annotations: {},
  labels: {},
  problems: [],
  warnings: [],
};

/**
 * Merges what injections want of a Pod, and compares it with what the Pod has. `object` is how messages name the Pod;
 * `injectedKey` the annotation that tells what was injected.
 */
export function planInjections(
  pod: Pod,
  object: string,
  injections: readonly Injection[],
  injectedKey: string,
): InjectionPlan {
  const active = injections.filter(({ containers }) => containers.length > 0);
  if (active.length === 0) return NOTHING;
  const size = active.reduce((sum, injection) => sum + sizeOf(injection), 0);
  if (size > MAX_ADDITIONS) return { ...NOTHING, problems: [tooManyAdditions(object)] };
  const places = containerPlaces(pod.spec);
  const wishes = new Map(places.map((place) => [keyOf(place), [] as Wish[]]));
  for (const injection of active)
    for (const { place, mounts, env } of injection.containers)
      wishes.get(keyOf(place))?.push({ place, mounts, env, injection });
  const wanted = [...wishes.values()];
  const there = wanted.map((list) => compare(list, object, isWindows(pod.spec)));
  const volumes = active.flatMap((injection) => injection.volumes.map((volume) => ({ volume, injection })));
  const present = new Set((pod.spec.volumes ?? []).map(({ name }) => name));
  const metadata = missingMetadata(pod, object, active);
  const injected = [...new Set(active.flatMap(({ names }) => names))].join(',');
  const told = pod.metadata?.annotations?.[injectedKey] === injected ? {} : { [injectedKey]: injected };
  return {
    volumes: volumes.map(({ volume }) => volume).filter(({ name }) => !present.has(name)),
    containers: there.flatMap(({ missing }) => missing ?? []),
    annotations: { ...metadata.annotations, ...told },
    labels: metadata.labels,
    problems: [
      ...foreignVolumes(pod, object, volumes),
      ...there.flatMap(({ problems }) => problems),
      ...collisions(wanted, object),
      ...foreignMounts(wishes, places, object, active),
      ...metadata.problems,
    ],
    warnings: [...there.flatMap(({ warnings }) => warnings), ...metadata.warnings],
  };
}

/** What an injection wants of one container. */
type Wish = Injection['containers'][number] & { readonly injection: Injection };

const keyOf = ({ list, index }: ContainerPlace) => `${list}/${index}`;

// ---- what is there already -------------------------------------------------------------------------------------------

/** Volumes of the Pod that have the name of one of ours and are another. */
function foreignVolumes(
  pod: Pod,
  object: string,
  wanted: readonly { readonly volume: Volume; readonly injection: Injection }[],
): Problem[] {
  const byName = new Map(wanted.map((each) => [each.volume.name, each]));
  return (pod.spec.volumes ?? []).flatMap((volume, index) => {
    const ours = byName.get(volume.name);
    if (ours === undefined || isSameVolume(volume, ours.volume)) return [];
    return {
      object,
      key: `spec.volumes[${index}].name`,
      value: volume.name,
      wrong: `is the name of the volume that ${ours.injection.by} adds, and this one is another`,
      accepted: `another name for your volume, or exactly the volume that ${ours.injection.by} adds`,
    };
  });
}

interface Comparison {
  /** Absent where nothing is missing. */
  readonly missing?: InjectionPlan['containers'][number];
  readonly problems: readonly Problem[];
  readonly warnings: readonly string[];
}

/** What a container lacks of what it is to have, and what is in the way. */
function compare(wishes: readonly Wish[], object: string, windows: boolean): Comparison {
  const [first] = wishes;
  if (first === undefined) return { problems: [], warnings: [] };
  const { place } = first;
  const present = new Map((place.container.env ?? []).map((variable) => [variable.name, variable]));
  const mounts: VolumeMount[] = [];
  const env: EnvVar[] = [];
  const problems: Problem[] = [];
  const warnings: string[] = [];
  for (const wish of wishes) {
    for (const mount of wish.mounts) {
      if ((place.container.volumeMounts ?? []).some((each) => isDeepStrictEqual(each, mount))) continue;
      mounts.push(mount);
      problems.push(...hiddenMounts(wish, mount, object, windows));
    }
    for (const group of wish.env) {
      const kept = group.filter(({ name }) => present.has(name));
      if (kept.length === 0) env.push(...group);
      else warnings.push(...keptVariables(object, place, group, present));
    }
  }
  if (mounts.length === 0 && env.length === 0) return { problems, warnings };
  return { missing: { place, mounts, env }, problems, warnings };
}

type Variable = NonNullable<ContainerPlace['container']['env']>[number];

/** A warning for the variables of a group that a container has and that are not as we would write them. */
function keptVariables(
  object: string,
  { container }: ContainerPlace,
  group: readonly EnvVar[],
  present: ReadonlyMap<string, Variable>,
): string[] {
  const left = group.filter(({ name }) => !present.has(name)).map(({ name }) => name);
  const others = left.length === 0 ? '' : `, and ${left.join(', ')} is not added`;
  return group.flatMap(({ name, value }) => {
    const variable = present.get(name);
    if (variable === undefined || (left.length === 0 && writtenValue(variable) === value)) return [];
    return [`${object}: container ${quote(container.name)} has a variable ${name} already; it stays as it is${others}`];
  });
}

/** The API server leaves an empty value out. */
function writtenValue(variable: Variable): string | undefined {
  return variable.value ?? ('valueFrom' in variable ? undefined : '');
}

/** Other mounts of the container that our mount would hide: those at its path or below. */
function hiddenMounts({ place, injection }: Wish, mount: VolumeMount, object: string, windows: boolean): Problem[] {
  const { container } = place;
  const at = `spec.${place.list}[${place.index}]`;
  const others = [
    ...(container.volumeMounts ?? []).map((other, index) => ({
      ours: other.name === mount.name,
      path: other.mountPath,
      key: `${at}.volumeMounts[${index}].mountPath`,
      what: `the mount of the volume ${quote(other.name)}`,
    })),
    ...(container.volumeDevices ?? []).map((other, index) => ({
      ours: false,
      path: other.devicePath,
      key: `${at}.volumeDevices[${index}].devicePath`,
      what: `the device ${quote(other.name)}`,
    })),
  ];
  // A Windows Pod may write `C:\data` for `/data`.
  const written = (path: string) => (windows ? path.replace(/^[A-Za-z]:/, '').replaceAll('\\', '/') : path);
  const folder = mount.mountPath;
  return others
    .filter(({ ours, path }) => !ours && isAtOrAbove(folder, normalisePath(written(path))))
    .map(({ path, what, key }) => {
      const { folder: chosen } = injection;
      if (chosen === undefined) {
        const wrong = `equals or lies below ${quote(folder)}, where ${injection.by} mounts a volume in the container ${quote(container.name)}`;
        return { object, key, value: path, wrong, accepted: `a path outside ${folder}` };
      }
      return {
        object: chosen.object,
        key: chosen.key,
        value: folder,
        wrong: `equals or lies above ${quote(path)}, ${what} in the container ${quote(container.name)}`,
        accepted: 'a folder of its own for the tokens, which may lie inside another mount',
      };
    });
}

/** Mounts of our volumes that we would not add: elsewhere, writable, or in a container that must not see these tokens. */
function foreignMounts(
  wishes: ReadonlyMap<string, readonly Wish[]>,
  places: readonly ContainerPlace[],
  object: string,
  injections: readonly Injection[],
): Problem[] {
  const owners = new Map(
    injections.flatMap((injection) => injection.volumes.map(({ name }) => [name, injection] as const)),
  );
  return places.flatMap((place) =>
    (place.container.volumeMounts ?? []).flatMap((present, index) => {
      const owner = owners.get(present.name);
      if (owner === undefined) return [];
      const wish = wishes.get(keyOf(place))?.find(({ injection }) => injection === owner);
      // Where a container is left out and mounts are the same everywhere, any container's is the one to compare with.
      const allowed = wish ?? (owner.uniform ? owner.containers[0] : undefined);
      if (allowed?.mounts.some((mount) => isDeepStrictEqual(present, mount))) return [];
      const ours = allowed?.mounts.find(({ name }) => name === present.name) ?? wish?.mounts[0];
      return {
        object,
        key: `spec.${place.list}[${place.index}].volumeMounts[${index}]`,
        value: `${present.name} at ${present.mountPath}`,
        wrong: `mounts a volume of ${owner.by} in the container ${quote(place.container.name)} in another way than ${owner.by} does`,
        accepted:
          ours === undefined
            ? 'no such mount, as this container is to see other tokens or none'
            : `none, or exactly ${JSON.stringify(ours)}`,
      };
    }),
  );
}

// ---- among each other ------------------------------------------------------------------------------------------------

/** Paths and variables that two injections want in the same container, each of them told once. */
function collisions(wanted: readonly (readonly Wish[])[], object: string): Problem[] {
  const problems = new Map<string, Problem>();
  for (const wishes of wanted) {
    for (const [index, one] of wishes.entries()) {
      for (const other of wishes.slice(index + 1)) {
        for (const problem of [...samePaths(one, other, object), ...sameVariables(one, other, object)]) {
          const key = `${problem.key} ${problem.value} ${problem.wrong}`;
          if (!problems.has(key)) problems.set(key, problem);
        }
      }
    }
  }
  return [...problems.values()];
}

function samePaths(one: Wish, other: Wish, object: string): Problem[] {
  // Neither may lie in the other: a read-only volume has no place to mount another one at.
  const meet = (a: string, b: string) => isAtOrAbove(a, b) || isAtOrAbove(b, a);
  return one.mounts.flatMap(({ mountPath }) =>
    other.mounts.flatMap((taken) => {
      if (!meet(mountPath, taken.mountPath)) return [];
      const { folder } = one.injection;
      return {
        object: folder?.object ?? object,
        key: folder?.key ?? 'spec',
        value: mountPath,
        wrong: `equals, lies above or lies in ${quote(taken.mountPath)}, where ${other.injection.by} mounts a volume`,
        accepted: 'a folder of its own',
      };
    }),
  );
}

function sameVariables(one: Wish, other: Wish, object: string): Problem[] {
  const taken = new Set(other.env.flat().map(({ name }) => name));
  return one.env.flat().flatMap(({ name }) => {
    if (!taken.has(name)) return [];
    const wrong = `is a variable that ${one.injection.by} and ${other.injection.by} would both set`;
    return { object, key: 'env', value: name, wrong, accepted: 'a variable of its own for each' };
  });
}

// ---- metadata --------------------------------------------------------------------------------------------------------

/** The annotations and labels that are missing; nothing that is there is replaced. */
function missingMetadata(pod: Pod, object: string, injections: readonly Injection[]) {
  const annotations: Record<string, string> = {};
  const labels: Record<string, string> = {};
  const problems: Problem[] = [];
  const warnings: string[] = [];
  for (const injection of injections) {
    for (const [key, value] of Object.entries(injection.annotations ?? {})) {
      const present = pod.metadata?.annotations?.[key];
      if (present === undefined) annotations[key] = value;
      else if (present !== value) {
        const wrong = `is not what ${injection.by} writes there, and it would be read in its place`;
        problems.push({ object, key, value: present, wrong, accepted: 'none; it is written by podpass' });
      }
    }
    for (const [key, value] of Object.entries(injection.labels ?? {})) {
      const present = pod.metadata?.labels?.[key];
      if (present === undefined) labels[key] = value;
      else if (present !== value)
        warnings.push(`${object}: the label ${key} is ${quote(present)} already; it stays as it is`);
    }
  }
  return { annotations, labels, problems, warnings };
}
