/** Pods as these tests write them and as the API server hands them out. */
import type { KubeObject } from './control-plane.ts';

export interface VolumeMount {
  name: string;
  mountPath: string;
  readOnly?: boolean;
}

export interface Container {
  name: string;
  env?: { name: string; value?: string }[];
  volumeMounts?: VolumeMount[];
  [field: string]: unknown;
}

export interface Volume {
  name: string;
  projected?: {
    sources: { serviceAccountToken?: { audience?: string; expirationSeconds: number; path: string } }[];
    defaultMode?: number;
  };
  [field: string]: unknown;
}

export interface PodSpec {
  volumes?: Volume[];
  initContainers?: Container[];
  containers: Container[];
  [field: string]: unknown;
}

export function specOf(pod: KubeObject): PodSpec {
  return pod.spec as PodSpec;
}

/** The volumes that podpass added. */
export function ourVolumes(pod: KubeObject): Volume[] {
  return (specOf(pod).volumes ?? []).filter(({ name }) => name.startsWith('podpass-tokens'));
}

/** `web: podpass-tokens at /var/run/…` for each of our mounts, in the order of the Pod. */
export function ourMounts(pod: KubeObject): string[] {
  const { initContainers = [], containers } = specOf(pod);
  return [...initContainers, ...containers].flatMap(({ name, volumeMounts = [] }) =>
    volumeMounts
      .filter((mount) => mount.name.startsWith('podpass-tokens'))
      .map((mount) => `${name}: ${mount.name} at ${mount.mountPath}${mount.readOnly ? '' : ', writable'}`),
  );
}

const SERVER_MADE = ['uid', 'resourceVersion', 'creationTimestamp', 'generation', 'managedFields', 'selfLink'];

/**
 * A Pod without what differs between two creations of the same one: what the API server makes up, and the volume for
 * its own tokens, whose name is random and which comes before ours.
 */
export function comparable(pod: KubeObject): unknown {
  const copy = structuredClone(pod);
  for (const field of SERVER_MADE) delete copy.metadata[field];
  const spec = specOf(copy);
  const isOwn = ({ name }: { name: string }) => name.startsWith('kube-api-access-');
  if (spec.volumes) spec.volumes = spec.volumes.filter((volume) => !isOwn(volume));
  for (const container of [...(spec.initContainers ?? []), ...spec.containers]) {
    if (container.volumeMounts) container.volumeMounts = container.volumeMounts.filter((mount) => !isOwn(mount));
  }
  return withoutEmpty(copy);
}

/** An absent list and an empty one mean the same. */
function withoutEmpty(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutEmpty);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, item]) => !(Array.isArray(item) && item.length === 0))
      .map(([key, item]) => [key, withoutEmpty(item)]),
  );
}
