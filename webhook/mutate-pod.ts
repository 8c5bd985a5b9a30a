import type { Problem } from '../src/fault.ts';
import type { AddOperation } from '../src/json-patch.ts';
import { isOptedOut, type Token } from './annotations.ts';
import { injectionsOf, type MutationSettings, readAsked } from './asked.ts';
import { patchOf } from './patch.ts';
import { planInjections } from './plan.ts';
import { isMirror, type Pod } from './pod.ts';
import type { Account } from './presets/preset.ts';

export interface Mutation {
  /** Relative to the Pod; empty where nothing is to be added, and where there are problems. */
  readonly patch: readonly AddOperation[];
  /** The tokens that at least one container sees. */
  readonly tokens: readonly Token[];
  /** How many tokens are asked for that no container sees. */
  readonly unseen: number;
  /** The presets that give something to at least one container, and the audiences of their tokens. */
  readonly presets: readonly { readonly name: string; readonly audience: string }[];
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
  if (asked === undefined) return NOTHING;
  const plan = planInjections(pod, object, injectionsOf(asked), `${settings.annotationPrefix}/injected`);
  const problems = [...asked.problems, ...plan.problems];
  const warnings = [...asked.warnings, ...plan.warnings];
  if (problems.length > 0) return { ...NOTHING, problems, warnings };
  const tokens = asked.own.tokens.filter(({ containers: seenBy }) => seenBy.size > 0);
  return {
    patch: patchOf(pod, plan),
    tokens,
    unseen: asked.own.tokens.length - tokens.length,
    presets: asked.presets.flatMap(({ name, audience, injection }) =>
      injection.containers.length > 0 ? [{ name, audience }] : [],
    ),
    problems,
    warnings,
  };
}

/** A Pod that was written down while it ran may have some; no Pod is created with them. */
function withoutDebugContainers(pod: Pod): Pod {
  if (pod.spec.ephemeralContainers === undefined) return pod;
  const { ephemeralContainers: _, ...spec } = pod.spec;
  return { ...pod, spec };
}
