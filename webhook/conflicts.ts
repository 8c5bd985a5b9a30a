import { isAtOrAbove, normalisePath, normaliseWindowsPath } from '../src/codec.ts';
import { type Problem, quote } from '../src/fault.ts';
import {
  type ContainerWish,
  type Injection,
  isSameMount,
  isSameVolume,
  type Volume,
  type VolumeMount,
} from './injection.ts';
import type { ContainerPlace, Pod } from './pod.ts';

/** What stands in the way of injections: what the Pod has already, and what another injection wants too. */

/** What an injection wants of one container. */
type Wish = ContainerWish & { readonly injection: Injection };

/** A container, and what every injection wants of it. */
export interface Wishes {
  readonly place: ContainerPlace;
  readonly wishes: readonly Wish[];
}

// ---- what is there already -------------------------------------------------------------------------------------------

/** Volumes of the Pod that have the name of one of ours and are another. */
export function foreignVolumes(
  pod: Pod,
  object: string,
  wanted: readonly { readonly volume: Volume; readonly injection: Injection }[],
): Problem[] {
  const byName = new Map(wanted.map((each) => [each.volume.name, each]));
  const problems: Problem[] = [];
  for (const [index, volume] of pod.spec.volumes?.entries() ?? []) {
    const ours = byName.get(volume.name);
    if (ours === undefined || isSameVolume(volume, ours.volume)) continue;
    problems.push({
      object,
      key: `spec.volumes[${index}].name`,
      value: volume.name,
      wrong: `is the name of the volume that ${ours.injection.by} adds, and this one is another`,
      accepted: `another name for your volume, or exactly the volume that ${ours.injection.by} adds`,
    });
  }
  return problems;
}

/** Other mounts of the container that our mount would hide: those at its path or below. */
export function hiddenMounts(wish: Wish, mount: VolumeMount, object: string, windows: boolean): Problem[] {
  const { volumeMounts, volumeDevices } = wish.place.container;
  const normalise = windows ? normaliseWindowsPath : normalisePath;
  const taken = normalise(mount.mountPath);
  // Nearly always there is none, so that nothing is written before one is found.
  const problems: Problem[] = [];
  for (const [index, { name, mountPath: path }] of volumeMounts?.entries() ?? []) {
    if (name === mount.name || !isAtOrAbove(taken, normalise(path))) continue;
    const what = `the mount of the volume ${quote(name)}`;
    problems.push(hidden(wish, mount, object, { path, key: `volumeMounts[${index}].mountPath`, what }));
  }
  for (const [index, { name, devicePath: path }] of volumeDevices?.entries() ?? []) {
    if (!isAtOrAbove(taken, normalise(path))) continue;
    const what = `the device ${quote(name)}`;
    problems.push(hidden(wish, mount, object, { path, key: `volumeDevices[${index}].devicePath`, what }));
  }
  return problems;
}

function hidden(
  { place, injection }: Wish,
  { mountPath: folder }: VolumeMount,
  object: string,
  { path, key, what }: { readonly path: string; readonly key: string; readonly what: string },
): Problem {
  const { by, folder: chosen } = injection;
  const container = `the container ${quote(place.container.name)}`;
  if (chosen === undefined) {
    const wrong = `equals or lies below ${quote(folder)}, where ${by} mounts a volume in ${container}`;
    const at = `spec.${place.list}[${place.index}].${key}`;
    return { object, key: at, value: path, wrong, accepted: `a path outside ${folder}` };
  }
  return {
    object: chosen.object,
    key: chosen.key,
    value: folder,
    wrong: `equals or lies above ${quote(path)}, ${what} in ${container}`,
    accepted: 'a folder of its own for the tokens, which may lie inside another mount',
  };
}

/** Mounts of our volumes that we would not add: elsewhere, writable, or in a container that must not see these tokens. */
export function foreignMounts(
  containers: readonly Wishes[],
  object: string,
  injections: readonly Injection[],
): Problem[] {
  const owners = new Map(
    injections.flatMap((injection) => injection.volumes.map(({ name }) => [name, injection] as const)),
  );
  // Each is told once, however many mounts are compared with it.
  const exactly = new Map<VolumeMount | undefined, string>([
    [undefined, 'no such mount, as this container is to see other tokens or none'],
  ]);
  const acceptedFor = (ours: VolumeMount | undefined) => {
    const accepted = exactly.get(ours) ?? `none, or exactly ${JSON.stringify(ours)}`;
    exactly.set(ours, accepted);
    return accepted;
  };
  const problems: Problem[] = [];
  for (const { place, wishes } of containers) {
    for (const [index, present] of place.container.volumeMounts?.entries() ?? []) {
      const owner = owners.get(present.name);
      if (owner === undefined) continue;
      const wish = wishes.find(({ injection }) => injection === owner);
      // Where a container is left out and mounts are the same everywhere, any container's is the one to compare with.
      const allowed = wish ?? (owner.uniform ? owner.containers[0] : undefined);
      if (allowed?.mounts.some((mount) => isSameMount(present, mount))) continue;
      const ours = allowed?.mounts.find(({ name }) => name === present.name) ?? wish?.mounts[0];
      problems.push({
        object,
        key: `spec.${place.list}[${place.index}].volumeMounts[${index}]`,
        value: `${present.name} at ${present.mountPath}`,
        wrong: `mounts a volume of ${owner.by} in the container ${quote(place.container.name)} in another way than ${owner.by} does`,
        accepted: acceptedFor(ours),
      });
    }
  }
  return problems;
}

// ---- among each other ------------------------------------------------------------------------------------------------

/** Paths and variables that two injections want in the same container, each of them told once. */
export function collisions(containers: readonly Wishes[], object: string): Problem[] {
  const problems = new Map<string, Problem>();
  for (const { wishes } of containers) {
    if (wishes.length < 2) continue;
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
