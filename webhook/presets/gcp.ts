import type { CommandSettings } from '../../src/catalog/commands.ts';
import type { At } from '../effective-annotations.ts';
import { pathInContainer, type Volume } from '../injection.ts';
import { isWindows } from '../pod.ts';
import type { Preset, PresetReading, PresetRequest } from './preset.ts';
import { type LifetimeRule, LONGEST_LIFETIME, PresetAnnotations } from './preset-annotations.ts';
import { readOnlyMount, tokenVolume } from './token-volume.ts';

/**
 * Pods on Google Cloud, by workload identity federation. The rules are those of the direct mode of
 * github.com/pfnet-research/gcp-workload-identity-federation-webhook, webhooks.
 */
export type GcpSettings = Pick<
  CommandSettings<'webhook'>,
  'gcpAnnotationPrefix' | 'gcpTokenAudience' | 'gcpTokenExpiration' | 'gcpDefaultRegion'
>;

const LIFETIME: LifetimeRule = {
  min: 3600,
  max: LONGEST_LIFETIME,
  below: 'raise',
  unreadable: 'refuse',
  empty: 'read',
};
const PROVIDER_PARTS = ['projects/', '/locations/', '/workloadIdentityPools/', '/providers/'] as const;
const PROVIDER_FORM = 'projects/<number>/locations/<location>/workloadIdentityPools/<pool>/providers/<provider>';
const TOKEN = { volume: 'gcp-iam-token', folder: '/var/run/secrets/sts.googleapis.com/serviceaccount', file: 'token' };
/** The file of its token, for what is made by hand. */
export const GCP_TOKEN_FILE = `${TOKEN.folder}/${TOKEN.file}`;
const CREDENTIALS = {
  volume: 'external-credential-config',
  folder: '/var/run/secrets/workload-identity',
  file: 'federation.json',
};
/** Of both volumes: only the owner and the group of the Pod read them. */
const MODE = 0o440;

export function gcpPreset(settings: GcpSettings): Preset {
  return { name: 'gcp', prefix: settings.gcpAnnotationPrefix, read: (request) => read(request, settings) };
}

function read(request: PresetRequest, settings: GcpSettings): PresetReading {
  const { pod } = request;
  const annotations = new PresetAnnotations('gcp', settings.gcpAnnotationPrefix, request);
  const { problems, warnings } = annotations;
  const identity = identityOf(annotations);
  if (identity === undefined) return { problems, warnings };
  readMode(annotations);

  const audience = annotations.audience(annotations.ofAccount('audience'), [
    '--gcp-token-audience',
    settings.gcpTokenAudience,
  ]);
  const expirationSeconds = annotations.lifetime('token-expiration', LIFETIME, settings.gcpTokenExpiration);
  const credentialsKey = annotations.keyOf('external-credentials-json');
  const skip = annotations.ofPod('skip-containers');
  const names = (skip?.value ?? '').split(',').map((name) => name.trim());
  const mounts = [TOKEN, CREDENTIALS].map(({ volume, folder }) => readOnlyMount(volume, folder));
  const env = Object.entries({
    GOOGLE_APPLICATION_CREDENTIALS: pathInContainer(CREDENTIALS.folder, CREDENTIALS.file, isWindows(pod.spec)),
    // These are set even where they are empty.
    CLOUDSDK_COMPUTE_REGION: settings.gcpDefaultRegion ?? '',
    CLOUDSDK_CORE_PROJECT: projectOf(identity.email),
  }).map(([name, value]) => [{ name, value }]);
  const injection = {
    by: 'the preset gcp',
    names: ['gcp'],
    volumes: [
      tokenVolume({ name: TOKEN.volume, audience, expirationSeconds, path: TOKEN.file, defaultMode: MODE }),
      credentialsVolume(credentialsKey),
    ],
    containers: annotations.containersWithout(skip, names).map((place) => ({ place, mounts, env })),
    annotations: { [credentialsKey]: JSON.stringify(credentials(identity)) },
    uniform: true,
  };
  return { injection, audience, problems, warnings };
}

interface Identity {
  readonly provider: string;
  readonly email: string;
}

/** Both annotations or none; `undefined` where there is nothing to do. */
function identityOf(annotations: PresetAnnotations<'gcp'>): Identity | undefined {
  const provider = annotations.ofAccount('workload-identity-provider');
  const email = annotations.ofAccount('service-account-email');
  if (provider === undefined && email === undefined) return undefined;
  const alone = (at: At, other: string) =>
    annotations.refuse(at, 'stands alone', `together with ${other}, or none of the two`);
  if (provider !== undefined && !isProvider(provider.value))
    annotations.refuse(provider, 'is not the name of a provider', PROVIDER_FORM);
  if (email !== undefined && email.value.trim() === '')
    annotations.refuse(email, 'is empty', 'the e-mail address of a service account');
  if (provider === undefined && email !== undefined) alone(email, annotations.keyOf('workload-identity-provider'));
  if (email === undefined && provider !== undefined) alone(provider, annotations.keyOf('service-account-email'));
  return { provider: provider?.value ?? '', email: email?.value ?? '' };
}

// What follows does what these expressions of the cloud's own webhook do, in a time that grows with the text alone: Go
// searches so, JavaScript would try every way to divide it.

const isOneLine = (text: string) => !/[\n\r\u2028\u2029]/.test(text);

/** `^projects/.+/locations/.+/workloadIdentityPools/.+/providers/.+$` */
function isProvider(name: string): boolean {
  if (!name.startsWith(PROVIDER_PARTS[0]) || !isOneLine(name)) return false;
  let end = 0;
  for (const part of PROVIDER_PARTS) {
    // There is something between two parts.
    const at = name.indexOf(part, end === 0 ? 0 : end + 1);
    if (at < 0) return false;
    end = at + part.length;
  }
  return end < name.length;
}

/** `@(.*).iam.gserviceaccount.com` */
function projectOf(email: string): string {
  for (const line of email.split(/[\n\r\u2028\u2029]/)) {
    const [, ...rest] = line.split('@');
    const host = rest.join('@');
    const end = [...host.matchAll(/(?=.iam.gserviceaccount.com)/g)].at(-1)?.index;
    if (end !== undefined) return host.slice(0, end);
  }
  return '';
}

/** The mode is always the direct one, for which there is no container beside the Pod's. */
function readMode(annotations: PresetAnnotations<'gcp'>): void {
  const mode = annotations.ofAccount('injection-mode');
  const wanted = mode?.value.toLowerCase();
  if (mode !== undefined && wanted === 'gcloud')
    annotations.warn(mode, 'is not done; podpass works in the mode direct');
  else if (mode !== undefined && wanted !== 'direct') annotations.refuse(mode, 'is neither', 'direct or gcloud');
  const user = annotations.ofAccount('gcloud-run-as-user');
  if (user !== undefined) annotations.warn(user, 'does nothing: podpass has no gcloud container');
}

function credentialsVolume(key: string): Volume {
  const fieldRef = { apiVersion: 'v1', fieldPath: `metadata.annotations['${key}']` };
  return {
    name: CREDENTIALS.volume,
    downwardAPI: { items: [{ path: CREDENTIALS.file, fieldRef }], defaultMode: MODE },
  };
}

/** The file that Google's libraries read: https://google.aip.dev/auth/4117 */
function credentials({ provider, email }: Identity): object {
  return {
    type: 'external_account',
    audience: `//iam.googleapis.com/${provider}`,
    subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
    token_url: 'https://sts.googleapis.com/v1/token',
    service_account_impersonation_url: `https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/${email}:generateAccessToken`,
    credential_source: { file: `${TOKEN.folder}/${TOKEN.file}`, format: { type: 'text' } },
  };
}
