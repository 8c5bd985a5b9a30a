import { type AddOperation, append, pointer, setMember } from '../src/json-patch.ts';
import type { InjectionPlan } from './plan.ts';
import type { Pod } from './pod.ts';

/**
 * The JSON Patch of a plan: additions only, empty where nothing is missing. Every path is checked against what the Pod
 * has, as a patch that does not apply fails the Pod even under `failurePolicy: Ignore`
 * (apiserver/pkg/admission/plugin/webhook/mutating/dispatcher.go).
 */
export function patchOf(pod: Pod, plan: InjectionPlan, injectedKey: string): AddOperation[] {
  const operations = append('/spec/volumes', pod.spec.volumes ?? undefined, plan.volumes);
  for (const { place, mounts, env } of plan.containers) {
    const at = pointer('spec', place.list, place.index);
    operations.push(
      ...append(`${at}/env`, place.container.env ?? undefined, env),
      ...append(`${at}/volumeMounts`, place.container.volumeMounts ?? undefined, mounts),
    );
  }
  if (plan.injected === undefined) return operations;
  const metadata = pod.metadata ?? undefined;
  const annotation = { [injectedKey]: plan.injected };
  if (metadata === undefined) operations.push({ op: 'add', path: '/metadata', value: { annotations: annotation } });
  else
    operations.push(setMember('/metadata/annotations', metadata.annotations ?? undefined, injectedKey, plan.injected));
  return operations;
}
