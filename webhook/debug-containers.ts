import { describe, type Problem, quote } from '../src/fault.ts';
import { injectionsOf, type MutationSettings, readAsked } from './asked.ts';
import {
  type ContainerWish,
  type Injection,
  isSameVolume,
  isTooMuch,
  sizeOf,
  tooManyAdditions,
  type Volume,
} from './injection.ts';
import { isLeftAlone, type Mutation, NOTHING } from './mutate-pod.ts';
import { patchOf } from './patch.ts';
import { planContainers } from './plan.ts';
import { type Container, containerPlaces, type Pod } from './pod.ts';
import type { Account } from './presets/preset.ts';

/** A request for `pods/ephemeralcontainers`: a Pod that runs, and its list of debug containers as it is to become. */
export interface DebugRequest {
  /** As it is stored. Of the Pod in the request the API server takes the list alone: registry/core/pod/strategy.go. */
  readonly stored: Pod;
  readonly requested: readonly Container[];
}

/** The containers that the request adds; the others cannot be changed any more. */
export function addedContainers({ stored, requested }: DebugRequest): Container[] {
  const known = new Set((stored.spec.ephemeralContainers ?? []).map(({ name }) => name));
  return requested.filter(({ name }) => !known.has(name));
}

/**
 * What podpass does to the debug containers that a request adds to a Pod: they see the tokens that containers of their
 * names would have got with the Pod. The patch is relative to the Pod in the request. Pure; never throws for Pods that
 * `readPod` accepts.
 *
 * Volumes cannot be added any more, so one that the Pod lacks, or has in another form than annotations ask for by now, is
 * a warning. Nobody is kept from debugging by what cannot be mended in this request, annotations with problems among it;
 * what is wrong in the new containers themselves is a problem, as at a creation.
 */
export function mutateDebugContainers(
  request: DebugRequest,
  object: string,
  account: Account | undefined,
  settings: MutationSettings,
): Mutation {
  const { stored, requested } = request;
  const added = new Set(addedContainers(request));
  if (added.size === 0 || isLeftAlone(stored, settings.annotationPrefix)) return NOTHING;
  const pod: Pod = { ...stored, spec: { ...stored.spec, ephemeralContainers: requested } };
  const asked = readAsked(pod, object, account, settings);
  if (asked === undefined) return NOTHING;
  if (asked.problems.length > 0) return withoutTokens(asked.problems);
  const remainders = new Map(
    injectionsOf(asked).map((injection) => [injection, cutDown(injection, stored, object, added)]),
  );
  const all = [...remainders.values()];
  const size = sizeOf(all.map(({ injection, given }) => ({ ...injection, volumes: [], containers: given })));
  if (isTooMuch(size)) return { ...NOTHING, problems: [tooManyAdditions(object)] };
  const places = containerPlaces(pod.spec).filter(({ container }) => added.has(container));
  const cut = all.map(({ injection }) => injection);
  const plan = planContainers(pod, places, object, cut);
  const warnings = [...all.flatMap((each) => each.warnings), ...plan.warnings];
  if (plan.collisions.length > 0) return withoutTokens(plan.collisions);
  if (plan.problems.length > 0) return { ...NOTHING, problems: plan.problems, warnings };
  const given = (injection: Injection | undefined) => (injection && remainders.get(injection)?.given) ?? [];
  const seers = given(asked.own.injection).map(({ place }) => place.container.name);
  return {
    ...NOTHING,
    patch: patchOf(pod, { ...plan, volumes: [], sidecars: [], annotations: {}, labels: {} }),
    tokens: asked.own.tokens.filter(({ containers }) => seers.some((name) => containers.has(name))),
    presets: asked.presets.flatMap(({ name, audience, injection }) =>
      given(injection).length > 0 ? [{ name, audience }] : [],
    ),
    warnings,
  };
}

/** For problems that the request did not make. */
function withoutTokens(problems: readonly Problem[]): Mutation {
  const warnings = problems.slice(0, SHOWN).map((each) => `debug containers get nothing: ${describe(each)}`);
  return { ...NOTHING, warnings };
}

/** The API server passes on 4 KiB of warnings. */
const SHOWN = 10;

/** What of an injection a Pod that runs can still take. */
interface Remainder {
  /** With the volumes that the Pod has, and without what new containers cannot be given. */
  readonly injection: Injection;
  /** What new containers are given. */
  readonly given: readonly ContainerWish[];
  readonly warnings: readonly string[];
}

function cutDown(
  injection: Injection,
  { metadata, spec }: Pod,
  object: string,
  added: ReadonlySet<Container>,
): Remainder {
  const present = new Map((spec.volumes ?? []).map((volume) => [volume.name, volume]));
  const isThere = (volume: Volume) => {
    const there = present.get(volume.name);
    return there !== undefined && isSameVolume(there, volume);
  };
  const volumes = injection.volumes.filter(isThere);
  const usable = new Set(volumes.map(({ name }) => name));
  const other = Object.entries(injection.annotations ?? {}).find(
    ([key, value]) => metadata?.annotations?.[key] !== value,
  );
  const why = ({ mounts }: ContainerWish) => {
    const lacking = mounts.find(({ name }) => !usable.has(name))?.name;
    if (lacking === undefined)
      return other && `the annotation ${other[0]} of the Pod is not what ${injection.by} would write now`;
    return present.has(lacking)
      ? `the volume ${quote(lacking)} of the Pod is not the one that annotations ask for now`
      : `the Pod has no volume ${quote(lacking)}, and none can be added while it runs`;
  };
  const isNew = ({ place }: ContainerWish) => added.has(place.container);
  const wanted = injection.containers.filter(isNew).map((wish) => ({ wish, reason: why(wish) }));
  const given = wanted.filter(({ reason }) => reason === undefined).map(({ wish }) => wish);
  return {
    injection: {
      ...injection,
      volumes,
      containers: [...injection.containers.filter((wish) => !isNew(wish)), ...given],
    },
    given,
    warnings: wanted.flatMap(({ wish: { place }, reason }) =>
      reason === undefined
        ? []
        : [`${object}: the debug container ${quote(place.container.name)} gets nothing of ${injection.by}: ${reason}`],
    ),
  };
}
