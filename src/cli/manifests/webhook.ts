import { argumentsOf } from './arguments.ts';
import { certificate } from './certificate.ts';
import { USER, type Workload, workload } from './deployment.ts';
import { finalStatePolicy } from './final-state-policy.ts';
import { networkPolicy } from './network-policy.ts';
import { type Installation, type KubeObject, metadataOf, names } from './object.ts';
import { proxyPolicy } from './proxy-policy.ts';
import { registration } from './registration.ts';
import { webhookRights } from './rights.ts';

const TLS_FOLDER = '/var/run/secrets/podpass-webhook-certificate';

/** The webhook by file: the registration comes last, as a webhook that is not there yet would be asked for nothing. */
export function webhookFiles(installation: Installation): Readonly<Record<string, readonly KubeObject[]>> {
  return {
    'rights.yaml': webhookRights(installation),
    'certificate.yaml': installation.tls === 'managed' ? [emptySecret(installation)] : certificate(installation),
    'deployment.yaml': workload(installation, webhookWorkload(installation)),
    'network-policy.yaml': [networkPolicy(installation, 'webhook', 'https')],
    'policy.yaml': [...finalStatePolicy(installation), ...proxyPolicy(installation)],
    'registration.yaml': [registration(installation)],
  };
}

/** What the two sources of a certificate differ in, for the container. */
export function webhookWorkload({ tls, presets, ephemeralContainers }: Installation): Workload {
  const common = {
    service: 'webhook',
    portName: 'https',
    cpu: '50m',
    // 64 MiB of reviews may be held at once, several times over while they are read (webhook/body.ts).
    memory: '512Mi',
    ...(presets === undefined ? {} : { envFrom: [{ configMapRef: { name: names.settings, optional: true } }] }),
  } as const;
  const all = {
    presets: presets?.join(','),
    // Like the base, it does not repeat a default.
    ephemeralContainers: ephemeralContainers ? 'true' : undefined,
  };
  if (tls === 'managed') return { ...common, args: argumentsOf('webhook', { ...all, tlsMode: 'managed' }) };
  const args = argumentsOf('webhook', {
    ...all,
    tlsMode: 'files',
    tlsCert: `${TLS_FOLDER}/tls.crt`,
    tlsKey: `${TLS_FOLDER}/tls.key`,
  });
  return {
    ...common,
    args,
    fsGroup: USER,
    volumes: [{ name: 'tls', secret: { secretName: names.certificateSecret, defaultMode: 0o440 } }],
    volumeMounts: [{ name: 'tls', mountPath: TLS_FOLDER, readOnly: true }],
  };
}

/** The webhook fills it. Without `data`, applying this again keeps what is in it. */
function emptySecret({ namespace }: Installation): KubeObject {
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: metadataOf('webhook', names.tlsSecret, namespace),
    type: 'Opaque',
  };
}
