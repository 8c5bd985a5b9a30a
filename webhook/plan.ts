import { type Problem, quote } from '../src/fault.ts';
import { collisions, foreignMounts, foreignVolumes, hiddenMounts, type Wishes } from './conflicts.ts';
import {
  type EnvVar,
  type Injection,
  isSameMount,
  isTooMuch,
  type Sidecar,
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
  /** Whole containers, with what changes for them. */
  readonly sidecars: readonly Sidecar[];
  /** By their whole keys; `injected` among them where it is not right already and something is injected. */
  readonly annotations: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly problems: readonly Problem[];
  readonly warnings: readonly string[];
}

const NOTHING: InjectionPlan = {
  volumes: [],
  containers: [],
  sidecars: [],
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
  const active = injections.filter(({ containers, sidecar }) => containers.length > 0 || sidecar !== undefined);
  if (active.length === 0) return NOTHING;
  if (isTooMuch(sizeOf(active))) return { ...NOTHING, problems: [tooManyAdditions(object)] };
  const planned = planContainers(pod, containerPlaces(pod.spec), object, active);
  const wanted: { readonly volume: Volume; readonly injection: Injection }[] = [];
  const names = new Set<string>();
  for (const injection of active) {
    for (const volume of injection.volumes) wanted.push({ volume, injection });
    for (const name of injection.names) names.add(name);
  }
  const present = new Set(pod.spec.volumes?.map(({ name }) => name));
  const metadata = missingMetadata(pod, object, active);
  const injected = [...names].join(',');
  if (pod.metadata?.annotations?.[injectedKey] !== injected) metadata.annotations[injectedKey] = injected;
  return {
    volumes: wanted.flatMap(({ volume }) => (present.has(volume.name) ? [] : volume)),
    containers: planned.containers,
    sidecars: active.flatMap(({ sidecar }) => sidecar ?? []),
    annotations: metadata.annotations,
    labels: metadata.labels,
    problems: [
      ...foreignVolumes(pod, object, wanted),
      ...planned.problems,
      ...planned.collisions,
      ...metadata.problems,
    ],
    warnings: [...planned.warnings, ...metadata.warnings],
  };
}

/**
 * What some containers of a Pod lack of what injections want of them, what in these containers is in the way, and where
 * injections are in each other's.
 */
export function planContainers(
  pod: Pod,
  places: readonly ContainerPlace[],
  object: string,
  injections: readonly Injection[],
): Pick<InjectionPlan, 'containers' | 'problems' | 'warnings'> & { readonly collisions: readonly Problem[] } {
  const wanted = wishesOf(places, injections);
  const windows = isWindows(pod.spec);
  const containers: InjectionPlan['containers'][number][] = [];
  const problems: Problem[] = [];
  const warnings: string[] = [];
  for (const each of wanted) {
    const { mounts, env } = missingIn(each, object, windows, problems, warnings);
    if (mounts.length + env.length > 0) containers.push({ place: each.place, mounts, env });
  }
  for (const problem of foreignMounts(wanted, object, injections)) problems.push(problem);
  return { containers, problems, collisions: collisions(wanted, object), warnings };
}

/** Containers, and what is wanted of each. */
function wishesOf(places: readonly ContainerPlace[], injections: readonly Injection[]): Wishes[] {
  const containers = new Map(
    places.map((place) => [place.container, { place, wishes: [] as Wishes['wishes'][number][] }]),
  );
  for (const injection of injections)
    for (const { place, mounts, env } of injection.containers)
      containers.get(place.container)?.wishes.push({ place, mounts, env, injection });
  return [...containers.values()];
}

/** What a container lacks of what it is to have; adds what is in the way. */
function missingIn(
  { place, wishes }: Wishes,
  object: string,
  windows: boolean,
  problems: Problem[],
  warnings: string[],
): { readonly mounts: VolumeMount[]; readonly env: EnvVar[] } {
  const { volumeMounts } = place.container;
  const mounts: VolumeMount[] = [];
  const env: EnvVar[] = [];
  for (const wish of wishes) {
    for (const mount of wish.mounts) {
      if (volumeMounts?.some((each) => isSameMount(each, mount))) continue;
      mounts.push(mount);
      for (const problem of hiddenMounts(wish, mount, object, windows)) problems.push(problem);
    }
  }
  if (wishes.every((wish) => wish.env.length === 0)) return { mounts, env };
  // On Windows the case of a variable's name does not count.
  const known = (name: string) => (windows ? name.toUpperCase() : name);
  const variables = new Map(place.container.env?.map((variable) => [known(variable.name), variable]));
  const present = (name: string) => variables.get(known(name));
  for (const wish of wishes) {
    for (const group of wish.env) {
      if (group.every(({ name }) => present(name) === undefined)) env.push(...group);
      else warnings.push(...keptVariables(object, place, group, present));
    }
  }
  return { mounts, env };
}

type Variable = NonNullable<ContainerPlace['container']['env']>[number];

/** A warning for the variables of a group that a container has and that are not as we would write them. */
function keptVariables(
  object: string,
  { container }: ContainerPlace,
  group: readonly EnvVar[],
  present: (name: string) => Variable | undefined,
): string[] {
  const left = group.filter(({ name }) => present(name) === undefined).map(({ name }) => name);
  const others = left.length === 0 ? '' : `, and ${left.join(', ')} is not added`;
  return group.flatMap(({ name, value }) => {
    const variable = present(name);
    if (variable === undefined || (left.length === 0 && writtenValue(variable) === value)) return [];
    return [`${object}: container ${quote(container.name)} has a variable ${name} already; it stays as it is${others}`];
  });
}

/** The API server leaves an empty value out. */
function writtenValue(variable: Variable): string | undefined {
  return variable.value ?? ('valueFrom' in variable ? undefined : '');
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
