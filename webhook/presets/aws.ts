import { createHash } from 'node:crypto';
import type { CommandSettings } from '../../src/catalog/commands.ts';
import { AWS_LABEL_PREFIX, type PresetKey } from '../../src/catalog/presets.ts';
import type { At } from '../effective-annotations.ts';
import { type ContainerWish, type EnvVar, pathInContainer, type VolumeMount } from '../injection.ts';
import { type ContainerPlace, isWindows, type Pod } from '../pod.ts';
import type { Account, Preset, PresetReading, PresetRequest } from './preset.ts';
import { type LifetimeRule, LONGEST_LIFETIME, PresetAnnotations } from './preset-annotations.ts';
import { readOnlyMount, tokenVolume } from './token-volume.ts';

/**
 * Pods on AWS: IAM roles for ServiceAccounts, and container credentials (EKS Pod Identity). The rules are those of
 * github.com/aws/amazon-eks-pod-identity-webhook, pkg/handler and pkg/cache.
 */
export type AwsSettings = Pick<
  CommandSettings<'webhook'>,
  | 'awsAnnotationPrefix'
  | 'awsTokenAudience'
  | 'awsTokenExpiration'
  | 'awsMountPath'
  | 'awsDefaultRegion'
  | 'awsStsRegionalEndpoint'
  | 'awsContainerCredentialsAudience'
  | 'awsContainerCredentialsMountPath'
  | 'awsContainerCredentialsFullUri'
>;

/** True for a ServiceAccount that has container credentials, which win over a role. */
export type HasContainerCredentials = (namespace: string, name: string) => boolean;

const labelKey = (key: PresetKey<'aws', 'label'>) => `${AWS_LABEL_PREFIX}/${key}`;
const LIFETIME: LifetimeRule = {
  min: 600,
  max: LONGEST_LIFETIME,
  below: 'raise',
  unreadable: 'ignore',
  empty: 'read',
};
const ROLE_ARN = /^arn:aws[a-z0-9-]*:iam::\d{12}:role\/[\w\-/.@+=,]+$/;

export function awsPreset(settings: AwsSettings, hasContainerCredentials: HasContainerCredentials): Preset {
  const prefix = settings.awsAnnotationPrefix;
  return { name: 'aws', prefix, read: (request) => read(request, settings, hasContainerCredentials) };
}

function read(request: PresetRequest, settings: AwsSettings, hasContainerCredentials: HasContainerCredentials) {
  const nothing: PresetReading = { problems: [], warnings: [] };
  const { pod, account } = request;
  if (pod.metadata?.labels?.[labelKey('skip-pod-identity-webhook')] !== undefined) return nothing;
  const annotations = new PresetAnnotations('aws', settings.awsAnnotationPrefix, request);
  const { problems, warnings } = annotations;
  const identity = hasContainerCredentials(account.namespace, account.name)
    ? containerCredentials(annotations, settings, request)
    : webIdentity(annotations, settings);
  if (identity === undefined) return { problems, warnings };

  const { volume, expirationSeconds, audience, mountPath, labels } = identity;
  const mount = readOnlyMount(volume, mountPath);
  const windows = isWindows(pod.spec);
  const file = pathInContainer(mountPath, identity.path, windows);
  const [fixed, forFile] = identity.variables;
  const region = settings.awsDefaultRegion;
  const groups: EnvVar[][] = [
    ...(useRegionalSts(annotations, settings) ? [[{ name: STS, value: 'regional' }]] : []),
    ...(region === undefined ? [] : [REGIONS.map((name) => ({ name, value: region }))]),
    [fixed, { name: forFile, value: file }],
  ];
  const skip = annotations.ofPod('skip-containers');
  const places = annotations
    .containersWithout(skip, skippedNames(annotations, skip))
    .filter((place) => !hasEverything(place, mount, [fixed.name, forFile]));
  const containers: ContainerWish[] = places.map((place) => ({ place, mounts: [mount], env: groups }));
  const volumes = [tokenVolume({ name: volume, audience, expirationSeconds, path: identity.path })];
  const injection = { by: 'the preset aws', names: ['aws'], volumes, containers, labels, uniform: true };
  return { injection, audience, problems, warnings };
}

// ---- the two ways ----------------------------------------------------------------------------------------------------

interface Identity {
  readonly volume: string;
  /** The token's file in the volume. */
  readonly path: string;
  readonly mountPath: string;
  readonly audience: string;
  readonly expirationSeconds: number;
  /** A variable with a value of its own, and the one that gets the path of the token's file. */
  readonly variables: readonly [EnvVar, string];
  readonly labels: Readonly<Record<string, string>>;
}

function webIdentity(annotations: PresetAnnotations<'aws'>, settings: AwsSettings): Identity | undefined {
  const role = annotations.ofAccount('role-arn');
  if (role === undefined || role.value === '') return undefined;
  if (!ROLE_ARN.test(role.value)) annotations.warn(role, 'is not the ARN of an IAM role; it is used as it is');
  return {
    volume: 'aws-iam-token',
    path: 'token',
    mountPath: settings.awsMountPath,
    audience: annotations.audience(annotations.ofAccount('audience'), [
      '--aws-token-audience',
      settings.awsTokenAudience,
    ]),
    expirationSeconds: annotations.lifetime('token-expiration', LIFETIME, settings.awsTokenExpiration),
    variables: [{ name: 'AWS_ROLE_ARN', value: role.value }, 'AWS_WEB_IDENTITY_TOKEN_FILE'],
    labels: {},
  };
}

function containerCredentials(
  annotations: PresetAnnotations<'aws'>,
  settings: AwsSettings,
  { pod, account }: PresetRequest,
): Identity {
  const lifetime = annotations.lifetime('token-expiration', LIFETIME, settings.awsTokenExpiration);
  return {
    volume: CREDENTIALS,
    path: CREDENTIALS,
    mountPath: settings.awsContainerCredentialsMountPath,
    audience: annotations.audience(undefined, [
      '--aws-container-credentials-audience',
      settings.awsContainerCredentialsAudience,
    ]),
    expirationSeconds: lifetime === DAY ? (spreadBefore(pod) ?? spread(account)) : lifetime,
    variables: [
      { name: 'AWS_CONTAINER_CREDENTIALS_FULL_URI', value: settings.awsContainerCredentialsFullUri },
      'AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE',
    ],
    labels: { [labelKey('pod-identity')]: 'enabled' },
  };
}

/** The volume, and the file in it. */
const CREDENTIALS = 'eks-pod-identity-token';
const DAY = 86_400;
const SPREAD_FROM = 79_200;

/**
 * A lifetime of a day is spread over its last two hours, so that not all tokens are renewed at once. By ServiceAccount,
 * not by chance: a second round must find what the first one added.
 */
function spread({ namespace, name }: Account): number {
  const digest = createHash('sha256').update(`${namespace}/${name}`).digest();
  return SPREAD_FROM + (digest.readUInt32BE(0) % (DAY - SPREAD_FROM + 1));
}

/** The lifetime that a Pod has of such a day already: EKS' own webhook chooses one by chance. */
function spreadBefore({ spec }: Pod): number | undefined {
  const volume = (spec.volumes ?? []).find(({ name }) => name === CREDENTIALS) as
    | { projected?: { sources?: { serviceAccountToken?: { expirationSeconds?: unknown } | null }[] | null } | null }
    | undefined;
  const seconds = volume?.projected?.sources?.[0]?.serviceAccountToken?.expirationSeconds;
  return typeof seconds === 'number' && seconds >= SPREAD_FROM && seconds <= DAY ? seconds : undefined;
}

// ---- details ---------------------------------------------------------------------------------------------------------

const STS = 'AWS_STS_REGIONAL_ENDPOINTS';
const REGIONS = ['AWS_DEFAULT_REGION', 'AWS_REGION'] as const;

/** A container with credentials, a region and the STS endpoint of its own is left wholly alone; what is ours stays so. */
function hasEverything({ container }: ContainerPlace, mount: VolumeMount, credentials: readonly string[]): boolean {
  if ((container.volumeMounts ?? []).some(({ name }) => name === mount.name)) return false;
  const present = new Set((container.env ?? []).map(({ name }) => name));
  const hasOne = (names: readonly string[]) => names.some((name) => present.has(name));
  return hasOne(credentials) && hasOne(REGIONS) && present.has(STS);
}

/** As Go's strconv.ParseBool reads it. */
const TRUE = /^(1|t|T|true|TRUE|True)$/;
const FALSE = /^(0|f|F|false|FALSE|False)$/;

function useRegionalSts(annotations: PresetAnnotations<'aws'>, settings: AwsSettings): boolean {
  const at = annotations.ofAccount('sts-regional-endpoints');
  if (at === undefined) return settings.awsStsRegionalEndpoint;
  if (TRUE.test(at.value)) return true;
  if (FALSE.test(at.value)) return false;
  annotations.warn(at, 'is neither "true" nor "false" and is ignored');
  return settings.awsStsRegionalEndpoint;
}

/** The names in one line of comma-separated values (RFC 4180), white space around them removed. */
function skippedNames(annotations: PresetAnnotations<'aws'>, at: At | undefined): string[] {
  const line = at?.value.split('\n').find((each) => each.trim() !== '');
  if (at === undefined || line === undefined) return [];
  // No name of a container has a comma in it, so a quoted one is no name either.
  const fields = line.split(',').map((field) => field.trim());
  const isQuoted = (field: string) => field.length > 1 && field.startsWith('"') && field.endsWith('"');
  if (fields.some((field) => (isQuoted(field) ? field.slice(1, -1) : field).includes('"'))) {
    annotations.warn(at, 'is not a list with commas and is ignored');
    return [];
  }
  return fields.map((field) => (isQuoted(field) ? field.slice(1, -1).trim() : field));
}
