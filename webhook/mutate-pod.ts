import type { Problem } from '../src/fault.ts';
import { type AddOperation, setMembers } from '../src/json-patch.ts';
import { isOptedOut, type Token } from './annotations.ts';
import { injectionsOf, type MutationSettings, readAsked } from './asked.ts';
import { readSidecar, type SidecarReading } from './oauth2-proxy/sidecar.ts';
import { patchOf } from './patch.ts';
import { planInjections } from './plan.ts';
import { isMirror, type Pod } from './pod.ts';
import type { Account } from './presets/preset.ts';
import { waitsForAnswer } from './waiting.ts';

export interface Mutation {
  /** Relative to the Pod; empty where nothing is to be added, and where there are problems. Without tokens and presets it is the mark of who waits. */
  readonly patch: readonly AddOperation[];
  /** The tokens that at least one container sees. */
  readonly tokens: readonly Token[];
  /** How many tokens are asked for that no container sees. */
  readonly unseen: number;
  /** The presets that give something to at least one container, and the audiences of their tokens. */
  readonly presets: readonly { readonly name: string; readonly audience: string }[];
  /** Whose tokens oauth2-proxy lets through to which port; absent where it is not there. */
  readonly protects?: NonNullable<SidecarReading['protects']>;
  readonly problems: readonly Problem[];
  readonly warnings: readonly string[];
}

export const NOTHING: Mutation = { patch: [], tokens: [], unseen: 0, presets: [], problems: [], warnings: [] };

/** True for a Pod that is left alone whatever its ServiceAccount says, so that nobody needs to look that up. */
export function isLeftAlone(pod: Pod, annotationPrefix: string): boolean {
  return isMirror(pod) || isOptedOut(pod.metadata?.annotations ?? {}, annotationPrefix);
}

/**
 * What podpass does to a Pod at its creation: the one function behind the webhook, `podpass mutate` and the demo. Pure;
 * `object` is how messages name the Pod. Never throws for a Pod that `readPod` accepts.
 */
export function mutatePod(
  given: Pod,
  object: string,
  serviceAccount: Account | undefined,
  settings: MutationSettings,
): Mutation {
  const pod = withoutDebugContainers(given);
  if (isLeftAlone(pod, settings.annotationPrefix)) return NOTHING;
  const asked = readAsked(pod, object, serviceAccount, settings);
  const injected = `${settings.annotationPrefix}/injected`;
  const mark = waitsForAnswer(pod, settings) ? markOf(pod, injected) : [];
  if (asked === undefined) return { ...NOTHING, patch: mark };
  const sidecar = asked.effective && readSidecar(pod, object, asked.effective, settings);
  const injections = [...injectionsOf(asked), ...(sidecar?.injection === undefined ? [] : [sidecar.injection])];
  const plan = planInjections(pod, object, injections, injected);
  const problems = [...asked.problems, ...(sidecar?.problems ?? []), ...plan.problems];
  const warnings = [...asked.warnings, ...(sidecar?.warnings ?? []), ...plan.warnings];
  if (problems.length > 0) return { ...NOTHING, problems, warnings };
  const tokens = asked.own.tokens.filter(({ containers: seenBy }) => seenBy.size > 0);
  const presets = asked.presets.flatMap(({ name, audience, injection }) =>
    injection.containers.length > 0 ? [{ name, audience }] : [],
  );
  const protects = sidecar?.protects;
  return {
    patch: tokens.length + presets.length > 0 || protects !== undefined ? patchOf(pod, plan) : mark,
    tokens,
    unseen: asked.own.tokens.length - tokens.length,
    presets,
    ...(protects === undefined ? {} : { protects }),
    problems,
    warnings,
  };
}

/** Says that podpass was asked and has nothing for the Pod. */
function markOf({ metadata }: Pod, key: string): AddOperation[] {
  if (metadata?.annotations?.[key] !== undefined) return [];
  return setMembers('/metadata/annotations', metadata?.annotations ?? undefined, { [key]: '' });
}

/** A Pod that was written down while it ran may have some; no Pod is created with them. */
function withoutDebugContainers(pod: Pod): Pod {
  if (pod.spec.ephemeralContainers === undefined) return pod;
  const { ephemeralContainers: _, ...spec } = pod.spec;
  return { ...pod, spec };
}
