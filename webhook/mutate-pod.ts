import type { Problem } from '../src/fault.ts';
import type { AddOperation } from '../src/json-patch.ts';
import { type AnnotationSettings, isOptedOut, readAnnotations, type Token } from './annotations.ts';
import { tooManyAdditions, tooManyThings } from './injection.ts';
import { patchOf } from './patch.ts';
import { planInjections } from './plan.ts';
import { containerPlaces, isMirror, isWindows, type Pod, thingsIn } from './pod.ts';
import type { Account, Preset, PresetReading } from './presets/preset.ts';
import { tokenInjection } from './token-injection.ts';
import { windowsFileNames } from './windows-file-names.ts';

export interface MutationSettings extends AnnotationSettings {
  /** Those that are switched on. */
  readonly presets: readonly Preset[];
}

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

const NOTHING: Mutation = { patch: [], tokens: [], unseen: 0, presets: [], problems: [], warnings: [] };

/** True for a Pod that is left alone whatever its ServiceAccount says, so that nobody needs to look that up. */
export function isLeftAlone(pod: Pod, annotationPrefix: string): boolean {
  return isMirror(pod) || isOptedOut(pod.metadata?.annotations ?? {}, annotationPrefix);
}

/**
 * What podpass does to a Pod: the one function behind the webhook, `podpass mutate` and the demo. Pure; `object` is how
 * messages name the Pod. Never throws for a Pod that `readPod` accepts.
 */
export function mutatePod(
  pod: Pod,
  object: string,
  serviceAccount: Account | undefined,
  settings: MutationSettings,
): Mutation {
  if (isLeftAlone(pod, settings.annotationPrefix)) return NOTHING;
  const annotated = { object, annotations: pod.metadata?.annotations ?? {} };
  const size = sizeOf(annotated.annotations);
  if (size > MAX_ANNOTATIONS) return { ...NOTHING, problems: [tooLarge(object, size)] };
  const tooLargeToChange = tooManyThings(object, thingsIn(pod.spec));
  if (tooLargeToChange !== undefined) {
    // Its size matters only where something is asked for, which can be told without its containers.
    const isAsked = asksForSomething({ ...pod, spec: {} }, object, serviceAccount, settings);
    return isAsked ? { ...NOTHING, problems: [tooLargeToChange] } : NOTHING;
  }
  const containers = containerPlaces(pod.spec).map(({ container }) => container.name);
  const reading = readAnnotations(annotated, serviceAccount, containers, settings);
  if (reading === undefined) return NOTHING;
  const own = tokenInjection(pod, reading);
  const presets = readPresets(pod, object, serviceAccount, settings);
  const injections = [own, ...presets.map(({ injection }) => injection)].flatMap((each) => each ?? []);
  const plan = planInjections(pod, object, injections, `${settings.annotationPrefix}/injected`);
  const problems = [
    ...reading.problems,
    ...(isWindows(pod.spec) ? windowsFileNames(reading.tokens, object) : []),
    ...(own === undefined ? [tooManyAdditions(object)] : []),
    ...presets.flatMap((preset) => preset.problems),
    ...plan.problems,
  ];
  const warnings = [...reading.warnings, ...presets.flatMap((preset) => preset.warnings), ...plan.warnings];
  if (problems.length > 0) return { ...NOTHING, problems, warnings };
  const tokens = reading.tokens.filter(({ containers: seenBy }) => seenBy.size > 0);
  return {
    patch: patchOf(pod, plan),
    tokens,
    unseen: reading.tokens.length - tokens.length,
    presets: presets.flatMap(({ name, injection, audience = '' }) =>
      injection === undefined || injection.containers.length === 0 ? [] : [{ name, audience }],
    ),
    problems,
    warnings,
  };
}

/** What the presets want; nothing where nobody knows the ServiceAccount. */
function readPresets(
  pod: Pod,
  object: string,
  account: Account | undefined,
  { presets, reservedAudiences: reserved }: MutationSettings,
): (PresetReading & { readonly name: string })[] {
  if (account === undefined) return [];
  return presets.map((preset) => ({ name: preset.name, ...preset.read({ pod, object, account, reserved }) }));
}

/** True where the annotations ask for a token or a preset has something to give, whether a container sees it or not. */
function asksForSomething(pod: Pod, object: string, account: Account | undefined, settings: MutationSettings): boolean {
  const reading = readAnnotations({ object, annotations: pod.metadata?.annotations ?? {} }, account, [], settings);
  if (reading === undefined) return false;
  const asks = ({ injection, problems }: PresetReading) => injection !== undefined || problems.length > 0;
  return reading.tokens.length + reading.problems.length > 0 || readPresets(pod, object, account, settings).some(asks);
}

/** What the API server allows, too: apimachinery/pkg/api/validation/objectmeta.go, TotalAnnotationSizeLimitB. */
const MAX_ANNOTATIONS = 256 * 1024;

function sizeOf(annotations: Readonly<Record<string, string>>): number {
  let size = 0;
  for (const key in annotations) size += Buffer.byteLength(key) + Buffer.byteLength(annotations[key] ?? '');
  return size;
}

function tooLarge(object: string, size: number): Problem {
  const wrong = 'bytes are in the annotations together';
  return { object, key: 'metadata.annotations', value: String(size), wrong, accepted: `at most ${MAX_ANNOTATIONS}` };
}
