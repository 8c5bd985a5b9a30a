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
  readonly hostNetwork?: boolean | null;
  readonly restartPolicy?: string | null;
  readonly securityContext?: { readonly runAsUser?: number | null } | null;
  readonly volumes?: readonly Named[] | null;
  readonly initContainers?: readonly Container[] | null;
  readonly containers?: readonly Container[] | null;
  readonly ephemeralContainers?: readonly Container[] | null;
}

export interface Named {
  readonly name: string;
}

export interface Container extends Named {
  readonly env?: readonly (Named & { readonly value?: string })[] | null;
  readonly volumeMounts?: readonly (Named & { readonly mountPath: string })[] | null;
  readonly volumeDevices?: readonly (Named & { readonly devicePath: string })[] | null;
  readonly ports?: readonly ContainerPort[] | null;
  /** Nobody has looked at what they are. */
  readonly args?: unknown;
  readonly restartPolicy?: string | null;
}

export interface ContainerPort {
  readonly name?: string | null;
  readonly containerPort?: number | null;
  readonly hostPort?: number | null;
  /** TCP where it is absent. */
  readonly protocol?: string | null;
}

/** The container that podpass adds itself. It sees no tokens, and no list of containers can name it. */
export const PROXY_CONTAINER = 'podpass-oauth2-proxy';

const LISTS = ['initContainers', 'containers', 'ephemeralContainers'] as const;

/** A container and where it stands in the Pod. */
export interface ContainerPlace {
  readonly list: (typeof LISTS)[number];
  readonly index: number;
  readonly container: Container;
}

/** Init containers (native sidecars among them), containers and debug containers, in the Pod's order; not podpass' own. */
export function containerPlaces(spec: PodSpec): ContainerPlace[] {
  const places: ContainerPlace[] = [];
  for (const list of LISTS)
    for (const [index, container] of spec[list]?.entries() ?? [])
      if (container.name !== PROXY_CONTAINER) places.push({ list, index, container });
  return places;
}

/** The container that podpass has added, or one that has its name. */
export function proxyPlace(spec: PodSpec): ContainerPlace | undefined {
  for (const list of LISTS)
    for (const [index, container] of spec[list]?.entries() ?? [])
      if (container.name === PROXY_CONTAINER) return { list, index, container };
  return undefined;
}

/** How many things a Pod has that are looked at one by one: containers, and what their and its lists hold. */
export function thingsIn(spec: PodSpec): number {
  let things = spec.volumes?.length ?? 0;
  for (const containers of [spec.initContainers, spec.containers, spec.ephemeralContainers])
    for (const { env, volumeMounts, volumeDevices, ports } of containers ?? [])
      things +=
        1 + (env?.length ?? 0) + (volumeMounts?.length ?? 0) + (volumeDevices?.length ?? 0) + (ports?.length ?? 0);
  return things;
}

/** The name that the API server's own admission would fill in: kubernetes/plugin/pkg/admission/serviceaccount. */
export function serviceAccountNameOf(spec: PodSpec): string {
  return spec.serviceAccountName || spec.serviceAccount || 'default';
}

export function isWindows(spec: PodSpec): boolean {
  const { os, nodeSelector: selector } = spec;
  if (os?.name === 'windows') return true;
  return selector?.['kubernetes.io/os'] === 'windows' || selector?.['beta.kubernetes.io/os'] === 'windows';
}

/** The API server's copy of a static Pod, which may not carry tokens: kubernetes/plugin/pkg/admission/serviceaccount. */
export function isMirror(pod: Pod): boolean {
  return pod.metadata?.annotations?.['kubernetes.io/config.mirror'] !== undefined;
}

/** `undefined` where the value is as it should be; else where in it something is not, and what: `[0].name must be a string`. */
type Check = (value: unknown) => string | undefined;

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const string: Check = (value) => (typeof value === 'string' ? undefined : ' must be a string');

const number: Check = (value) => (typeof value === 'number' ? undefined : ' must be a number');

const boolean: Check = (value) => (typeof value === 'boolean' ? undefined : ' must be true or false');

const optional =
  (check: Check): Check =>
  (value) =>
    value === undefined || value === null ? undefined : check(value);

// A Pod may have a million of something, so these make nothing but the message.

function record(members: Readonly<Record<string, Check>>): Check {
  const checks = Object.entries(members);
  return (value) => {
    if (!isObject(value)) return ' must be an object';
    for (const [key, check] of checks) {
      const wrong = check(value[key]);
      if (wrong !== undefined) return `.${key}${wrong}`;
    }
    return undefined;
  };
}

const strings: Check = (value) => {
  if (!isObject(value)) return ' must be an object';
  for (const key in value) if (typeof value[key] !== 'string') return `[${quote(key)}] must be a string`;
  return undefined;
};

const list =
  (check: Check): Check =>
  (value) => {
    if (!Array.isArray(value)) return ' must be a list';
    for (let index = 0; index < value.length; index++) {
      const wrong = check(value[index]);
      if (wrong !== undefined) return `[${index}]${wrong}`;
    }
    return undefined;
  };

const containers = optional(
  list(
    record({
      name: string,
      env: optional(list(record({ name: string, value: optional(string) }))),
      volumeMounts: optional(list(record({ name: string, mountPath: string }))),
      volumeDevices: optional(list(record({ name: string, devicePath: string }))),
      ports: optional(
        list(
          record({
            name: optional(string),
            containerPort: optional(number),
            hostPort: optional(number),
            protocol: optional(string),
          }),
        ),
      ),
      restartPolicy: optional(string),
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
    hostNetwork: optional(boolean),
    restartPolicy: optional(string),
    securityContext: optional(record({ runAsUser: optional(number) })),
    volumes: optional(list(record({ name: string }))),
    initContainers: containers,
    containers,
    ephemeralContainers: containers,
  }),
});

/** A Pod (or a Pod template) as a Pod, or the first thing in it that keeps it from being read as one. */
export function readPod(value: unknown): { readonly pod: Pod } | { readonly wrong: string } {
  const wrong = podShape(value);
  if (wrong === undefined) return { pod: value as Pod };
  return { wrong: wrong.startsWith('.') ? wrong.slice(1) : `the Pod${wrong}` };
}
