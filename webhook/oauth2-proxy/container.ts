import { oauth2ProxyFlags } from '../../src/oauth2-proxy/flags.ts';
import type { ProxyWishes } from '../../src/oauth2-proxy/wishes.ts';
import type { Volume, VolumeMount } from '../injection.ts';
import { PROXY_CONTAINER } from '../pod.ts';
import type { Resources } from './resources.ts';

/** Where oauth2-proxy finds its files. */
export const CALLERS = { volume: `${PROXY_CONTAINER}-callers`, folder: '/etc/oauth2-proxy/callers', file: 'callers' };
export const CA = { volume: `${PROXY_CONTAINER}-ca`, folder: '/etc/oauth2-proxy/ca', file: 'ca.crt' };

/** Everything that a container of oauth2-proxy is made of. */
export interface ProxyContainer {
  readonly wishes: ProxyWishes;
  readonly image: string;
  /** Started with the init containers and kept beside the others: `restartPolicy: Always`. */
  readonly native: boolean;
  readonly portName: string;
  /** The Secret of people's logins, in which `wishes.people` can be read. */
  readonly secret: string | undefined;
  readonly resources: Resources;
  readonly volumes: readonly Volume[];
  /** The Pod runs its containers as root where they do not say otherwise. */
  readonly rootByDefault: boolean;
}

/**
 * The arguments, which tell whether a container is the one that podpass would add. `$` is doubled, as the kubelet expands
 * `$(NAME)` in them.
 */
export function proxyArguments(wishes: ProxyWishes): string[] {
  const flags = oauth2ProxyFlags(wishes).map((flag) => flag.replaceAll('$', '$$$$'));
  return wishes.people === undefined ? [...flags, `--cookie-secret=$(${POD_ID})podpass`] : flags;
}

/**
 * Of the Pod's uid and seven letters more base64 makes the 32 bytes that oauth2-proxy asks for. It is no secret, and need
 * not be one: no session counts (src/oauth2-proxy/flags.ts). It is another one for each Pod, which no caller can guess.
 */
const POD_ID = 'POD_ID';

export function proxyContainer(container: ProxyContainer): object {
  const { wishes, image, native, portName, secret, resources, volumes, rootByDefault } = container;
  const probe = (path: string) => ({ httpGet: { path, port: wishes.port } });
  const mounts = [CALLERS, CA]
    .filter(({ volume }) => volumes.some(({ name }) => name === volume))
    .map(({ volume, folder }): VolumeMount => ({ name: volume, mountPath: folder, readOnly: true }));
  return {
    name: PROXY_CONTAINER,
    image,
    args: proxyArguments(wishes),
    ...(native ? { restartPolicy: 'Always' } : {}),
    ports: [{ name: portName, containerPort: wishes.port, protocol: 'TCP' }],
    env: secret === undefined ? [podId] : SECRET_KEYS.map((key) => fromSecret(secret, key)),
    ...(mounts.length > 0 ? { volumeMounts: mounts } : {}),
    livenessProbe: probe('/ping'),
    readinessProbe: probe('/ready'),
    resources,
    securityContext: {
      allowPrivilegeEscalation: false,
      capabilities: { drop: ['ALL'] },
      readOnlyRootFilesystem: true,
      runAsNonRoot: true,
      // Its image has a user of its own, and some clusters choose one: only root has to be replaced.
      ...(rootByDefault ? { runAsUser: IMAGE_USER, runAsGroup: IMAGE_USER } : {}),
      seccompProfile: { type: 'RuntimeDefault' },
    },
    // Why it does not start, as where the issuer is away, is then seen in the Pod's status.
    terminationMessagePolicy: 'FallbackToLogsOnError',
  };
}

const IMAGE_USER = 65_532;

const podId = { name: POD_ID, valueFrom: { fieldRef: { apiVersion: 'v1', fieldPath: 'metadata.uid' } } };

const SECRET_KEYS = ['client-id', 'client-secret', 'cookie-secret'] as const;

function fromSecret(name: string, key: (typeof SECRET_KEYS)[number]): object {
  const variable = `OAUTH2_PROXY_${key.replace('-', '_').toUpperCase()}`;
  return { name: variable, valueFrom: { secretKeyRef: { name, key } } };
}
