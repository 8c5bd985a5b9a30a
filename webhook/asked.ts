import type { Problem } from '../src/fault.ts';
import { type AnnotationSettings, readAnnotations, type Token } from './annotations.ts';
import type { Effective } from './effective-annotations.ts';
import { type Injection, tooManyAdditions, tooManyThings } from './injection.ts';
import type { ProxySettings } from './oauth2-proxy/settings.ts';
import { containerPlaces, isWindows, type Pod, thingsIn } from './pod.ts';
import type { Account, Preset, PresetReading } from './presets/preset.ts';
import { tokenInjection } from './token-injection.ts';
import { windowsFileNames } from './windows-file-names.ts';

export interface MutationSettings extends AnnotationSettings {
  /** Those that are switched on. */
  readonly presets: readonly Preset[];
  /** Absent where nobody said how oauth2-proxy is to run: a Pod that asks for it is refused. */
  readonly oauth2Proxy?: ProxySettings;
}

/** What the keys of all annotations begin with that are read, of Pods and of ServiceAccounts. */
export function annotationPrefixes({
  annotationPrefix,
  presets,
}: Pick<MutationSettings, 'annotationPrefix' | 'presets'>) {
  return [annotationPrefix, ...presets.map(({ prefix }) => prefix)].map((each) => `${each}/`);
}

/** Everything that annotations and labels ask for a Pod. With problems, the rest is not to be used. */
export interface Asked {
  /** Those that podpass' own annotations ask for, and what they want of the Pod. */
  readonly own: { readonly tokens: readonly Token[]; readonly injection?: Injection };
  readonly presets: readonly { readonly name: string; readonly audience: string; readonly injection: Injection }[];
  /** The annotations that count; absent where they were not read to the end. */
  readonly effective?: Effective;
  readonly problems: readonly Problem[];
  readonly warnings: readonly string[];
}

/** Returns `undefined` where the Pod is left alone. */
export function readAsked(
  pod: Pod,
  object: string,
  account: Account | undefined,
  settings: MutationSettings,
): Asked | undefined {
  const annotated = { object, annotations: pod.metadata?.annotations ?? {} };
  const size = sizeOf(annotated.annotations);
  const refused = (problem: Problem): Asked => ({
    own: { tokens: [] },
    presets: [],
    problems: [problem],
    warnings: [],
  });
  if (size > MAX_ANNOTATIONS) return refused(tooLarge(object, size));
  const tooLargeToChange = tooManyThings(object, thingsIn(pod.spec));
  if (tooLargeToChange !== undefined) {
    // Its size matters only where something is asked for, which can be told without its containers.
    const isAsked = asksForSomething({ ...pod, spec: {} }, object, account, settings);
    return isAsked ? refused(tooLargeToChange) : undefined;
  }
  const containers = containerPlaces(pod.spec).map(({ container }) => container.name);
  const reading = readAnnotations(annotated, account, containers, settings);
  if (reading === undefined) return undefined;
  const { tokens } = reading;
  const injection = tokenInjection(pod, reading);
  const presets = readPresets(pod, object, account, settings);
  return {
    own: injection === undefined ? { tokens } : { tokens, injection },
    effective: reading.effective,
    presets: presets.flatMap(({ name, audience = '', injection: wanted }) =>
      wanted === undefined ? [] : [{ name, audience, injection: wanted }],
    ),
    problems: [
      ...reading.problems,
      ...(isWindows(pod.spec) ? windowsFileNames(tokens, object) : []),
      ...(injection === undefined ? [tooManyAdditions(object)] : []),
      ...presets.flatMap((preset) => preset.problems),
    ],
    warnings: [...reading.warnings, ...presets.flatMap((preset) => preset.warnings)],
  };
}

/** podpass' own first. */
export function injectionsOf({ own, presets }: Asked): Injection[] {
  const ours = own.injection === undefined ? [] : [own.injection];
  return presets.length === 0 ? ours : [...ours, ...presets.map(({ injection }) => injection)];
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

/** True where the annotations ask for a token or oauth2-proxy, or a preset has something to give, whether a container sees it or not. */
function asksForSomething(pod: Pod, object: string, account: Account | undefined, settings: MutationSettings): boolean {
  const reading = readAnnotations({ object, annotations: pod.metadata?.annotations ?? {} }, account, [], settings);
  if (reading === undefined) return false;
  const asks = ({ injection, problems }: PresetReading) => injection !== undefined || problems.length > 0;
  if (reading.effective.get('oauth2-proxy') !== undefined) return true;
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
