import { editDistance } from './edit-distance.ts';

/**
 * The presets: each does what the pod identity webhook of one cloud does, with its keys. One row for each key that is
 * known; what is not done with it stands in its meaning.
 */
export const presetNames = ['aws', 'azure', 'gcp'] as const;
export type PresetName = (typeof presetNames)[number];

export interface PresetRow {
  readonly preset: PresetName;
  /** The part after the prefix. */
  readonly key: string;
  readonly kind: 'annotation' | 'label';
  /** Where it counts; elsewhere it is a warning. `podpass` itself writes the last ones. */
  readonly on: 'ServiceAccount' | 'Pod' | 'Pod, ServiceAccount' | 'Pod, by podpass';
  readonly value: string;
  readonly meaning: string;
}

/** The prefixes that no setting changes. */
export const AZURE_PREFIX = 'azure.workload.identity';
export const AWS_LABEL_PREFIX = 'eks.amazonaws.com';

const annotation = { kind: 'annotation' } as const;
const label = { kind: 'label' } as const;
const aws = { preset: 'aws' } as const;
const azure = { preset: 'azure' } as const;
const gcp = { preset: 'gcp' } as const;
const account = { on: 'ServiceAccount' } as const;
const pod = { on: 'Pod' } as const;
const both = { on: 'Pod, ServiceAccount' } as const;
const ours = { on: 'Pod, by podpass' } as const;

export const presetRows = [
  {
    ...{ ...aws, ...annotation, ...account, key: 'role-arn', value: 'the ARN of an IAM role' },
    meaning: 'without it the Pod is left alone; one that is no ARN is a warning',
  },
  {
    ...{ ...aws, ...annotation, ...account, key: 'audience', value: 'one audience' },
    meaning: 'else `--aws-token-audience`; an empty one is refused',
  },
  {
    ...{ ...aws, ...annotation, ...both, key: 'token-expiration', value: 'a duration' },
    meaning: 'else `--aws-token-expiration`; raised to 600 s, ignored where it is no duration',
  },
  {
    ...{ ...aws, ...annotation, ...account, key: 'sts-regional-endpoints', value: '`"true"` or `"false"`' },
    meaning: 'else `--aws-sts-regional-endpoint`; ignored where it is neither',
  },
  {
    ...{ ...aws, ...annotation, ...pod, key: 'skip-containers', value: 'names with commas between them' },
    meaning: 'these containers get nothing',
  },
  {
    ...{ ...aws, ...label, ...pod, key: 'skip-pod-identity-webhook', value: 'anything' },
    meaning: 'the preset leaves the Pod alone',
  },
  {
    ...{ ...aws, ...label, ...ours, key: 'pod-identity', value: '`enabled`' },
    meaning: 'the Pod has container credentials',
  },
  {
    ...{ ...azure, ...label, ...pod, key: 'use', value: '`"true"`' },
    meaning: 'without it the Pod is left alone',
  },
  {
    ...{ ...azure, ...annotation, ...account, key: 'client-id', value: 'a client ID' },
    meaning: 'the value of `AZURE_CLIENT_ID`',
  },
  {
    ...{ ...azure, ...annotation, ...account, key: 'tenant-id', value: 'a tenant ID' },
    meaning: 'the value of `AZURE_TENANT_ID`, else `--azure-tenant-id`',
  },
  {
    ...{ ...azure, ...annotation, ...both, key: 'service-account-token-expiration', value: '3600 s to 86400 s' },
    meaning: 'else `--azure-token-expiration`; anything else is refused',
  },
  {
    ...{ ...azure, ...annotation, ...pod, key: 'skip-containers', value: 'names with `;` between them' },
    meaning: 'these containers get nothing',
  },
  {
    ...{ ...azure, ...annotation, ...pod, key: 'inject-proxy-sidecar', value: 'anything' },
    meaning: 'a warning: podpass has no proxy',
  },
  {
    ...{ ...azure, ...annotation, ...pod, key: 'proxy-sidecar-port', value: 'a port' },
    meaning: 'nothing: podpass has no proxy',
  },
  {
    ...{ ...gcp, ...annotation, ...account, key: 'workload-identity-provider' },
    value: '`projects/…/locations/…/workloadIdentityPools/…/providers/…`',
    meaning: 'with `service-account-email`; without both the Pod is left alone, one alone is refused',
  },
  {
    ...{ ...gcp, ...annotation, ...account, key: 'service-account-email', value: 'an e-mail address' },
    meaning: 'the service account to act as',
  },
  {
    ...{ ...gcp, ...annotation, ...account, key: 'audience', value: 'one audience' },
    meaning: 'else `--gcp-token-audience`; an empty one is refused',
  },
  {
    ...{ ...gcp, ...annotation, ...both, key: 'token-expiration', value: 'a duration' },
    meaning: 'else `--gcp-token-expiration`; raised to 3600 s, refused where it is no duration',
  },
  {
    ...{ ...gcp, ...annotation, ...account, key: 'injection-mode', value: '`direct` or `gcloud`' },
    meaning: 'always `direct`; `gcloud` is a warning',
  },
  {
    ...{ ...gcp, ...annotation, ...account, key: 'gcloud-run-as-user', value: 'a number' },
    meaning: 'a warning: there is no gcloud container',
  },
  {
    ...{ ...gcp, ...annotation, ...pod, key: 'skip-containers', value: 'names with commas between them' },
    meaning: 'these containers get nothing',
  },
  {
    ...{ ...gcp, ...annotation, ...ours, key: 'external-credentials-json', value: 'JSON' },
    meaning: 'the credential file, which a downwardAPI volume shows',
  },
] as const satisfies readonly PresetRow[];

type Row = (typeof presetRows)[number];

/** The keys of a preset, without its prefix. */
export type PresetKey<P extends PresetName, K extends PresetRow['kind'] = PresetRow['kind']> = Extract<
  Row,
  { preset: P; kind: K }
>['key'];

/** Where an annotation of a preset counts; `undefined` where none has this key. */
export function presetAnnotation(preset: PresetName, key: string): PresetRow | undefined {
  const rows: readonly PresetRow[] = presetRows;
  return rows.find((row) => row.preset === preset && row.kind === 'annotation' && row.key === key);
}

/** At this distance it is most likely a slip; others share these prefixes, so that most unknown keys are theirs. */
const SLIP = 2;

/** The annotation that an unknown key was most likely meant to be. */
export function meantPresetAnnotation(preset: PresetName, key: string): string | undefined {
  const near = presetRows
    .filter((row) => row.preset === preset && row.kind === 'annotation' && row.on !== 'Pod, by podpass')
    .filter((row) => Math.abs(row.key.length - key.length) <= SLIP)
    .map((row) => ({ key: row.key, distance: editDistance(key, row.key) }))
    .filter(({ distance }) => distance <= SLIP);
  return near.sort((a, b) => a.distance - b.distance)[0]?.key;
}
