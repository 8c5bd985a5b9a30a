import { AZURE_PREFIX, type PresetKey } from '../src/catalog/presets.ts';
import type { MutationSettings } from './asked.ts';
import type { Pod } from './pod.ts';

const AZURE_USE: PresetKey<'azure', 'label'> = 'use';

/**
 * True for a Pod that is not created before podpass has answered, by a label: podpass' own, or Azure's where podpass is in
 * the place of its webhook. The registration asks for such a Pod again until it carries the annotation `injected`, and not
 * by the same replica (src/cli/manifests/registration.ts): so it gets that one also where there is nothing to inject.
 */
export function waitsForAnswer(pod: Pod, { annotationPrefix, presets }: MutationSettings): boolean {
  const has = (label: string) => pod.metadata?.labels?.[label] === 'true';
  const azure = presets.some(({ name }) => name === 'azure');
  return has(`${annotationPrefix}/inject`) || (azure && has(`${AZURE_PREFIX}/${AZURE_USE}`));
}
