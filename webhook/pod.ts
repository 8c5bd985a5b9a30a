import { quote } from '../src/fault.ts';

/**
 * The parts of a Pod that are read here. Everything else stays raw and is never written again: a typed round trip would
 * drop the fields that are newer than the types.
 */
export interface Pod {
  readonly metadata?: {
    readonly name?: string;
    readonly generateName?: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>> | null;
    readonly annotations?: Readonly<Record<string, string>> | null;
  } | null;
  readonly spec: PodSpec;
}

export interface PodSpec {
  readonly serviceAccountName?: string;
  readonly serviceAccount?: string;
  readonly nodeSelector?: Readonly<Record<string, string>> | null;
  readonly os?: { readonly name?: string } | null;
  readonly volumes?: readonly Named[] | null;
  readonly initContainers?: readonly Container[] | null;
  readonly containers?: readonly Container[] | null;
}

export interface Named {
  readonly name: string;
}

export interface Container extends Named {
  readonly env?: readonly (Named & { readonly value?: string })[] | null;
  readonly volumeMounts?: readonly (Named & { readonly mountPath: string })[] | null;
  readonly volumeDevices?: readonly (Named & { readonly devicePath: string })[] | null;
}

/** A container and where it stands in the Pod. */
export interface ContainerPlace {
  readonly list: 'initContainers' | 'containers';
  readonly index: number;
  readonly container: Container;
}

/** Init containers (native sidecars among them) and containers, in the Pod's order. */
export function containerPlaces(spec: PodSpec): ContainerPlace[] {
  return (['initContainers', 'containers'] as const).flatMap((list) =>
    (spec[list] ?? []).map((container, index) => ({ list, index, container })),
  );
}

/** The name that the API server's own admission would fill in: kubernetes/plugin/pkg/admission/serviceaccount. */
export function serviceAccountNameOf(spec: PodSpec): string {
  return spec.serviceAccountName || spec.serviceAccount || 'default';
}

export function isWindows(spec: PodSpec): boolean {
  const selector = spec.nodeSelector ?? {};
  return [spec.os?.name, selector['kubernetes.io/os'], selector['beta.kubernetes.io/os']].includes('windows');
}

/** The API server's copy of a static Pod, which may not carry tokens: kubernetes/plugin/pkg/admission/serviceaccount. */
export function isMirror(pod: Pod): boolean {
  return pod.metadata?.annotations?.['kubernetes.io/config.mirror'] !== undefined;
}

type Check = (value: unknown, path: string) => string | undefined;

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const string: Check = (value, path) => (typeof value === 'string' ? undefined : `${path} must be a string`);

const optional =
  (check: Check): Check =>
  (value, path) =>
    value === undefined || value === null ? undefined : check(value, path);

const record =
  (members: Readonly<Record<string, Check>>): Check =>
  (value, path) => {
    if (!isObject(value)) return `${path || 'the Pod'} must be an object`;
    return first(Object.entries(members), ([key, check]) => check(value[key], path === '' ? key : `${path}.${key}`));
  };

const strings: Check = (value, path) =>
  isObject(value)
    ? first(Object.entries(value), ([key, item]) => string(item, `${path}[${quote(key)}]`))
    : `${path} must be an object`;

const list =
  (check: Check): Check =>
  (value, path) =>
    Array.isArray(value)
      ? first([...value.entries()], ([index, item]) => check(item, `${path}[${index}]`))
      : `${path} must be a list`;

function first<T>(items: readonly T[], check: (item: T) => string | undefined): string | undefined {
  for (const item of items) {
    const wrong = check(item);
    if (wrong !== undefined) return wrong;
  }
  return undefined;
}

const containers = optional(
  list(
    record({
      name: string,
      env: optional(list(record({ name: string, value: optional(string) }))),
      volumeMounts: optional(list(record({ name: string, mountPath: string }))),
      volumeDevices: optional(list(record({ name: string, devicePath: string }))),
    }),
  ),
);

const podShape = record({
  metadata: optional(
    record({
      name: optional(string),
      generateName: optional(string),
      namespace: optional(string),
      labels: optional(strings),
      annotations: optional(strings),
    }),
  ),
  spec: record({
    serviceAccountName: optional(string),
    serviceAccount: optional(string),
    nodeSelector: optional(strings),
    os: optional(record({ name: optional(string) })),
    volumes: optional(list(record({ name: string }))),
    initContainers: containers,
    containers,
  }),
});

/** A Pod (or a Pod template) as a Pod, or the first thing in it that keeps it from being read as one. */
export function readPod(value: unknown): { readonly pod: Pod } | { readonly wrong: string } {
  const wrong = podShape(value, '');
  return wrong === undefined ? { pod: value as Pod } : { wrong };
}
