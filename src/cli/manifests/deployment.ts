import type { annotationRows } from '../../catalog/annotations.ts';
import { settingRows } from '../../catalog/settings.ts';
import { defaultPort } from './arguments.ts';
import {
  HALF_LABEL,
  HALVES,
  type Half,
  type Installation,
  type KubeObject,
  metadataOf,
  names,
  type Service,
  selectorOf,
} from './object.ts';

/** What differs between the two services. */
export interface Workload {
  readonly service: Service;
  readonly args: readonly string[];
  /** The name of the port of the service itself, beside `metrics`. */
  readonly portName: 'https' | 'http';
  /**
   * Request and limit are the same, so that no node is short of it. There is no limit for the CPU: it would throttle
   * bursts of TLS handshakes, and Pod creations wait for them.
   */
  readonly memory: string;
  readonly cpu: string;
  readonly envFrom?: readonly object[];
  readonly volumeMounts?: readonly object[];
  readonly volumes?: readonly object[];
  /** Who may read the files of `volumes`, beside their owner. */
  readonly fsGroup?: number;
}

/** The user of the image, as in the Dockerfile. */
export const USER = 65532;
const REPLICAS = 2;
const REPLICAS_OF_HALF = 1;
/**
 * For how long a new Pod of a half is ready before an old one goes, in seconds. A rollout begins in both halves at once. On
 * a busy node a Service may still lead to an old Pod after that has ended, its quiet period (`--shutdown-delay`) included;
 * by then the other half must be one that is there.
 */
const SETTLED_SECONDS = { a: 3, b: 15 } as const satisfies Record<Half, number>;
const INJECT: (typeof annotationRows)[number]['key'] = 'inject';

/** A Deployment, or two halves of one, with what keeps them up when nodes go, and a Service in front of each and of all. */
export function workload(installation: Installation, wanted: Workload): KubeObject[] {
  const { service } = wanted;
  const name = names[service];
  const own = { name, labels: selectorOf(service) };
  const halves = service === 'webhook' ? HALVES.map((half) => ({ ...halfOf(half), half })) : [];
  const metadata = metadataOf(service, name, installation.namespace);
  return [
    ...(halves.length > 0 ? halves : [own]).map((part) => deployment(installation, wanted, part)),
    ...[own, ...halves].map((part) => serviceFor(installation, wanted, part)),
    {
      apiVersion: 'policy/v1',
      kind: 'PodDisruptionBudget',
      metadata,
      // A Pod that is not ready protects nothing, and must not keep a node from being drained.
      spec: {
        maxUnavailable: 1,
        unhealthyPodEvictionPolicy: 'AlwaysAllow',
        selector: { matchLabels: selectorOf(service) },
      },
    },
  ];
}

/** A Deployment and its Service: their name, and the labels of its Pods, which select them. */
interface Part {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly half?: Half;
}

function halfOf(half: Half): Part {
  return { name: names.halves[half], labels: { ...selectorOf('webhook'), [HALF_LABEL]: half } };
}

function deployment(installation: Installation, wanted: Workload, part: Part): KubeObject {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { ...metadataOf(wanted.service, part.name, installation.namespace), labels: part.labels },
    spec: {
      replicas: part.half === undefined ? REPLICAS : REPLICAS_OF_HALF,
      ...(part.half === undefined ? {} : { minReadySeconds: SETTLED_SECONDS[part.half] }),
      selector: { matchLabels: part.labels },
      // A new Pod is ready before an old one goes.
      strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } },
      template: podTemplate(installation, wanted, part),
    },
  };
}

function serviceFor({ namespace }: Installation, { service, portName }: Workload, { name, labels }: Part): KubeObject {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { ...metadataOf(service, name, namespace), labels },
    spec: {
      selector: labels,
      ports: [{ name: portName, port: portName === 'https' ? 443 : 80, protocol: 'TCP', targetPort: portName }],
    },
  };
}

const HOST = 'kubernetes.io/hostname';
const ZONE = 'topology.kubernetes.io/zone';

/**
 * Over nodes and zones, as far as there are several: with one node it must run as well.
 *
 * Halves are counted together, those that a rollout replaces too, as `matchLabelKeys` would count each half alone. It is
 * their dislike of each other that keeps them on different nodes through a rollout: an old Pod of the same half is no
 * reason to go elsewhere.
 */
function placement(service: Service, half: Half | undefined): object {
  const selector = { matchLabels: selectorOf(service) };
  const spread = (topologyKey: string) => ({
    maxSkew: 1,
    topologyKey,
    whenUnsatisfiable: 'ScheduleAnyway',
    labelSelector: selector,
    ...(half === undefined ? { matchLabelKeys: ['pod-template-hash'] } : {}),
  });
  const topologySpreadConstraints = [spread(HOST), spread(ZONE)];
  if (half === undefined) return { topologySpreadConstraints };
  const others = HALVES.filter((each) => each !== half);
  const apart = (topologyKey: string, weight: number) => ({
    weight,
    podAffinityTerm: {
      topologyKey,
      labelSelector: { ...selector, matchExpressions: [{ key: HALF_LABEL, operator: 'In', values: others }] },
    },
  });
  return {
    topologySpreadConstraints,
    affinity: {
      podAntiAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [apart(HOST, 100), apart(ZONE, 50)] },
    },
  };
}

function podTemplate({ image }: Installation, wanted: Workload, { labels, half }: Part): object {
  const { service, args, portName, memory, cpu, envFrom, volumeMounts, volumes, fsGroup } = wanted;
  const probe = (path: string, rest: object) => ({ httpGet: { path, port: 'metrics' }, timeoutSeconds: 2, ...rest });
  return {
    metadata: {
      labels,
      // Beside the namespace, which is left out too: podpass must not wait for itself.
      annotations: { [`${settingRows.annotationPrefix.default}/${INJECT}`]: 'false' },
    },
    spec: {
      serviceAccountName: names[service],
      // Only here; the ServiceAccounts say no for everything else that may use them.
      automountServiceAccountToken: true,
      // Variables of Services beside it could be taken for settings, and are not needed.
      enableServiceLinks: false,
      priorityClassName: 'system-cluster-critical',
      // More than the quiet period and what comes after it: contract of `--shutdown-delay`, 30 s at most.
      terminationGracePeriodSeconds: 30,
      ...placement(service, half),
      nodeSelector: { 'kubernetes.io/os': 'linux' },
      securityContext: {
        runAsNonRoot: true,
        runAsUser: USER,
        runAsGroup: USER,
        ...(fsGroup === undefined ? {} : { fsGroup }),
        seccompProfile: { type: 'RuntimeDefault' },
      },
      containers: [
        {
          name: service,
          image,
          imagePullPolicy: 'IfNotPresent',
          args,
          ...(envFrom === undefined ? {} : { envFrom }),
          ports: [
            { name: portName, containerPort: defaultPort(service, 'port'), protocol: 'TCP' },
            { name: 'metrics', containerPort: defaultPort(service, 'metricsPort'), protocol: 'TCP' },
          ],
          resources: { requests: { cpu, memory }, limits: { memory } },
          startupProbe: probe('/healthz', { periodSeconds: 1, failureThreshold: 60 }),
          livenessProbe: probe('/healthz', { periodSeconds: 10, failureThreshold: 3 }),
          readinessProbe: probe('/readyz', { periodSeconds: 2, failureThreshold: 2 }),
          securityContext: {
            allowPrivilegeEscalation: false,
            readOnlyRootFilesystem: true,
            capabilities: { drop: ['ALL'] },
          },
          ...(volumeMounts === undefined ? {} : { volumeMounts }),
        },
      ],
      ...(volumes === undefined ? {} : { volumes }),
    },
  };
}
