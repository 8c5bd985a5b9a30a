import { type AddOperation, append, setMembers } from '../src/json-patch.ts';
import type { InjectionPlan } from './plan.ts';
import type { Pod } from './pod.ts';

/**
 * The JSON Patch of a plan: additions only, empty where nothing is missing. An addition to a member that is there gives it
 * another value, which is done for the port that an annotation names, and for nothing else. Every path is checked against what the Pod
 * has, as a patch that does not apply fails the Pod even under `failurePolicy: Ignore`
 * (apiserver/pkg/admission/plugin/webhook/mutating/dispatcher.go).
 */
export function patchOf(pod: Pod, plan: InjectionPlan): AddOperation[] {
  const operations = append('/spec/volumes', pod.spec.volumes ?? undefined, plan.volumes);
  for (const { place, mounts, env } of plan.containers) {
    const at = `/spec/${place.list}/${place.index}`;
    operations.push(
      ...append(`${at}/env`, place.container.env ?? undefined, env),
      ...append(`${at}/volumeMounts`, place.container.volumeMounts ?? undefined, mounts),
    );
  }
  for (const { list, container, present, changes } of plan.sidecars) {
    operations.push(...changes);
    if (!present) operations.push(...append(`/spec/${list}`, pod.spec[list] ?? undefined, [container]));
  }
  const { annotations, labels } = plan;
  const { metadata } = pod;
  if (metadata === undefined || metadata === null) {
    const wanted = Object.entries({ labels, annotations }).filter(([, members]) => Object.keys(members).length > 0);
    if (wanted.length > 0) operations.push({ op: 'add', path: '/metadata', value: Object.fromEntries(wanted) });
    return operations;
  }
  operations.push(
    ...setMembers('/metadata/labels', metadata.labels ?? undefined, labels),
    ...setMembers('/metadata/annotations', metadata.annotations ?? undefined, annotations),
  );
  return operations;
}
