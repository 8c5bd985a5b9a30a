import { isDeepStrictEqual } from 'node:util';
import { type Problem, quote } from '../src/fault.ts';
import { collisions, foreignMounts, foreignVolumes, hiddenMounts, type Wishes } from './conflicts.ts';
import {
  type EnvVar,
  type Injection,
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
  const volumes = active.flatMap((injection) => injection.volumes.map((volume) => ({ volume, injection })));
  const present = new Set((pod.spec.volumes ?? []).map(({ name }) => name));
  const metadata = missingMetadata(pod, object, active);
  const injected = [...new Set(active.flatMap(({ names }) => names))].join(',');
  const told = pod.metadata?.annotations?.[injectedKey] === injected ? {} : { [injectedKey]: injected };
  return {
    volumes: volumes.map(({ volume }) => volume).filter(({ name }) => !present.has(name)),
    containers: planned.containers,
    sidecars: active.flatMap(({ sidecar }) => sidecar ?? []),
    annotations: { ...metadata.annotations, ...told },
    labels: metadata.labels,
    problems: [
      ...foreignVolumes(pod, object, volumes),
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
  const containers = wishesOf(places, injections);
  const there = containers.map((each) => compare(each, object, isWindows(pod.spec)));
  return {
    containers: there.flatMap(({ missing }) => missing ?? []),
    problems: [...there.flatMap(({ problems }) => problems), ...foreignMounts(containers, object, injections)],
    collisions: collisions(containers, object),
    warnings: there.flatMap(({ warnings }) => warnings),
  };
}

/** Containers, and what is wanted of each. */
function wishesOf(places: readonly ContainerPlace[], injections: readonly Injection[]): Wishes[] {
  const keyOf = ({ list, index }: ContainerPlace) => `${list}/${index}`;
  const containers = new Map(
    places.map((place) => [keyOf(place), { place, wishes: [] as Wishes['wishes'][number][] }]),
  );
  for (const injection of injections)
    for (const wish of injection.containers) containers.get(keyOf(wish.place))?.wishes.push({ ...wish, injection });
  return [...containers.values()];
}

interface Comparison {
  /** Absent where nothing is missing. */
  readonly missing?: InjectionPlan['containers'][number];
  readonly problems: readonly Problem[];
  readonly warnings: readonly string[];
}

/** What a container lacks of what it is to have, and what is in the way. */
function compare({ place, wishes }: Wishes, object: string, windows: boolean): Comparison {
  // On Windows the case of a variable's name does not count.
  const known = (name: string) => (windows ? name.toUpperCase() : name);
  const variables = new Map((place.container.env ?? []).map((variable) => [known(variable.name), variable]));
  const present = (name: string) => variables.get(known(name));
  const mounts: VolumeMount[] = [];
  const env: EnvVar[] = [];
  const problems: Problem[] = [];
  const warnings: string[] = [];
  for (const wish of wishes) {
    for (const mount of wish.mounts) {
      if ((place.container.volumeMounts ?? []).some((each) => isDeepStrictEqual(each, mount))) continue;
      mounts.push(mount);
      for (const problem of hiddenMounts(wish, mount, object, windows)) problems.push(problem);
    }
    for (const group of wish.env) {
      const kept = group.filter(({ name }) => present(name) !== undefined);
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
