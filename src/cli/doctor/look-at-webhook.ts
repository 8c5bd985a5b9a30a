import { X509Certificate } from 'node:crypto';
import { TOKENS_VOLUME } from '../../../webhook/token-injection.ts';
import { settingRows } from '../../catalog/settings.ts';
import { KubeError } from '../../runtime/kube-client.ts';
import { names } from '../manifests/object.ts';
import { type Asking, messageIn } from './asking.ts';
import { lifetimeOf } from './certificate.ts';
import { DOCTOR_AUDIENCE } from './mint-token.ts';
import type { DeploymentSeen, EntrySeen, TrialSeen, WebhookSeen } from './observation.ts';
import { jsonObject } from './outsider.ts';

const GROUP = '/apis/admissionregistration.k8s.io/v1';
const PREFIX = settingRows.annotationPrefix.default;
/** Where the Pod to try is created; it is not one of those that the registration leaves alone. */
const TRIAL_NAMESPACE = 'default';

/** The parts of an installation that the manifests make, and whether a Pod gets its token. */
export async function lookAtWebhook(asking: Asking): Promise<WebhookSeen> {
  const registration = await read(asking, `${GROUP}/mutatingwebhookconfigurations/${names.registration}`);
  const entries = (registration?.object?.webhooks ?? []) as readonly Entry[];
  const namespace = entries.map(({ clientConfig }) => clientConfig?.service?.namespace).find(Boolean) ?? 'podpass';
  const lookFor = (workloads: readonly string[]) =>
    Promise.all(workloads.map((name) => deployment(asking, namespace, name)));
  const [own, others] = await Promise.all([lookFor(Object.values(names.halves)), lookFor([names.discovery])]);
  // A webhook that is registered by an address runs elsewhere, and the documents may be published without discovery.
  const byService = entries.some(({ clientConfig }) => clientConfig?.service !== undefined);
  const seen = (each: DeploymentSeen | undefined) => each !== undefined;
  return {
    namespace,
    ...(registration === undefined ? {} : { registered: registration.found, entries: entries.map(entry) }),
    policy: await policy(asking),
    deployments: [
      ...own.filter(seen).filter(({ found }) => found || byService),
      ...others.filter(seen).filter(({ found }) => found),
    ],
    ...(registration?.found === false ? {} : { trial: await trial(asking) }),
  };
}

interface Entry {
  readonly name?: string;
  readonly failurePolicy?: string;
  readonly clientConfig?: { readonly caBundle?: string; readonly service?: { readonly namespace?: string } };
  readonly namespaceSelector?: Selector;
  readonly objectSelector?: Selector;
}

interface Selector {
  readonly matchLabels?: object;
  readonly matchExpressions?: readonly unknown[];
}

interface Reading {
  readonly found: boolean;
  readonly object?: Readonly<Record<string, unknown>> | undefined;
}

/** An object by its path; absent where it may not be read. */
async function read(asking: Asking, path: string): Promise<Reading | undefined> {
  const right = path.split('/').slice(-2).join('/');
  const response = await asking.get(path, `get ${right}`);
  if (response === undefined) return undefined;
  return { found: response.status === 200, object: response.status === 200 ? jsonObject(response.body) : undefined };
}

function entry({
  name = '',
  failurePolicy = 'Fail',
  clientConfig,
  namespaceSelector,
  objectSelector,
}: Entry): EntrySeen {
  const selects = (selector: Selector = {}) =>
    Object.keys(selector.matchLabels ?? {}).length + (selector.matchExpressions ?? []).length > 0;
  const selective = selects(namespaceSelector) || selects(objectSelector);
  const text = Buffer.from(clientConfig?.caBundle ?? '', 'base64').toString('latin1');
  if (text === '') return { name, failurePolicy, selective, caBundle: 'missing' };
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g) ?? [];
  try {
    const [lastCa] = blocks
      .map((block) => lifetimeOf(new X509Certificate(block)))
      .sort((one, other) => other.notAfter - one.notAfter);
    if (lastCa === undefined) return { name, failurePolicy, selective, caBundle: 'unreadable' };
    return { name, failurePolicy, selective, caBundle: 'readable', lastCa };
  } catch {
    return { name, failurePolicy, selective, caBundle: 'unreadable' };
  }
}

async function policy(asking: Asking): Promise<boolean | undefined> {
  const kinds = ['validatingadmissionpolicies', 'validatingadmissionpolicybindings'];
  const readings = await Promise.all(kinds.map((kind) => read(asking, `${GROUP}/${kind}/${names.registration}`)));
  if (readings.some((reading) => reading?.found === false)) return false;
  return readings.includes(undefined) ? undefined : true;
}

async function deployment(asking: Asking, namespace: string, name: string): Promise<DeploymentSeen | undefined> {
  const reading = await read(asking, `/apis/apps/v1/namespaces/${namespace}/deployments/${name}`);
  if (reading === undefined) return undefined;
  const { spec, status } = (reading.object ?? {}) as {
    spec?: { replicas?: number; template?: { spec?: { containers?: { image?: string }[] } } };
    status?: { availableReplicas?: number };
  };
  return {
    name: `Deployment ${namespace}/${name}`,
    found: reading.found,
    wanted: spec?.replicas ?? 0,
    available: status?.availableReplicas ?? 0,
    image: spec?.template?.spec?.containers?.[0]?.image,
  };
}

async function trial(asking: Asking): Promise<TrialSeen | undefined> {
  const container = {
    name: 'doctor',
    image: 'podpass-doctor:none',
    securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
    resources: { requests: { cpu: '1m', memory: '1Mi' }, limits: { cpu: '1m', memory: '1Mi' } },
  };
  const pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      generateName: 'podpass-doctor-',
      // With the label the API server says what is wrong with the webhook, instead of going on without it.
      labels: { [`${PREFIX}/inject`]: 'true' },
      annotations: { [`${PREFIX}/audience.doctor`]: DOCTOR_AUDIENCE },
    },
    spec: {
      securityContext: { runAsNonRoot: true, runAsUser: 65532, seccompProfile: { type: 'RuntimeDefault' } },
      containers: [container],
    },
  };
  const path = `/api/v1/namespaces/${TRIAL_NAMESPACE}/pods?dryRun=All`;
  const response = await asking.post(path, pod, `create pods in ${TRIAL_NAMESPACE}`).catch((error: unknown) => {
    // One slow webhook is no reason to tell nothing else.
    if (error instanceof KubeError && error.code === 'timeout') return error;
    throw error;
  });
  if (response === undefined) return undefined;
  if (response instanceof KubeError) return { status: 0, injected: false, message: response.message };
  const { spec } = (jsonObject(response.body) ?? {}) as { spec?: { volumes?: { name?: string }[] } };
  const injected = (spec?.volumes ?? []).some(({ name = '' }) => name.startsWith(TOKENS_VOLUME));
  return { status: response.status, injected, message: messageIn(response.body) };
}
