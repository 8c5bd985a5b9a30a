import type { annotationRows } from '../../catalog/annotations.ts';
import { settingRows } from '../../catalog/settings.ts';
import { defaultPort } from './arguments.ts';
import { type Installation, type KubeObject, metadataOf, names, type Service, selectorOf } from './object.ts';

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
const INJECT: (typeof annotationRows)[number]['key'] = 'inject';

/** A Deployment, with what keeps it up when nodes go, and a Service in front of it. */
export function workload(installation: Installation, wanted: Workload): KubeObject[] {
  const { service, portName } = wanted;
  const name = names[service];
  const selector = { matchLabels: selectorOf(service) };
  return [
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: metadataOf(service, name, installation.namespace),
      spec: {
        replicas: REPLICAS,
        selector,
        // A new Pod is ready before an old one goes.
        strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } },
        template: podTemplate(installation, wanted),
      },
    },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: metadataOf(service, name, installation.namespace),
      spec: {
        selector: selectorOf(service),
        ports: [{ name: portName, port: portName === 'https' ? 443 : 80, protocol: 'TCP', targetPort: portName }],
      },
    },
    {
      apiVersion: 'policy/v1',
      kind: 'PodDisruptionBudget',
      metadata: metadataOf(service, name, installation.namespace),
      // A Pod that is not ready protects nothing, and must not keep a node from being drained.
      spec: { maxUnavailable: 1, unhealthyPodEvictionPolicy: 'AlwaysAllow', selector },
    },
  ];
}

function podTemplate({ image }: Installation, wanted: Workload): object {
  const { service, args, portName, memory, cpu, envFrom, volumeMounts, volumes, fsGroup } = wanted;
  const spread = (topologyKey: string) => ({
    maxSkew: 1,
    topologyKey,
    whenUnsatisfiable: 'ScheduleAnyway',
    labelSelector: { matchLabels: selectorOf(service) },
    matchLabelKeys: ['pod-template-hash'],
  });
  const probe = (path: string, rest: object) => ({ httpGet: { path, port: 'metrics' }, timeoutSeconds: 2, ...rest });
  return {
    metadata: {
      labels: selectorOf(service),
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
      topologySpreadConstraints: [spread('kubernetes.io/hostname'), spread('topology.kubernetes.io/zone')],
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
