import { createTwoFilesPatch } from 'diff';
import type { AddOperation } from '../json-patch.ts';
import type { ManifestObject } from './manifest-file.ts';

/** What a patch does to an object, as a unified diff of its YAML; empty without a patch. Applies the patch to the object. */
export function applyAndDiff(object: ManifestObject, patch: readonly AddOperation[], context: number): string {
  if (patch.length === 0) return '';
  const before = object.yaml();
  object.add(patch);
  const label = `${object.kind} ${object.namespace}/${object.name}`;
  const text = createTwoFilesPatch(label, label, before, object.yaml(), 'as written', 'as admitted', { context });
  return text.slice(text.indexOf('---'));
}
