import { createHash } from 'node:crypto';
import type { CommandSettings } from '../../src/catalog/commands.ts';
import { AZURE_PREFIX, type PresetKey } from '../../src/catalog/presets.ts';
import { quote } from '../../src/fault.ts';
import { type EnvVar, isSameVolume, pathInContainer } from '../injection.ts';
import { isWindows, type Pod } from '../pod.ts';
import type { Preset, PresetReading, PresetRequest } from './preset.ts';
import { type LifetimeRule, PresetAnnotations } from './preset-annotations.ts';
import { readOnlyMount, type TokenVolume, tokenVolume } from './token-volume.ts';

/** Pods on Azure: the rules are those of github.com/Azure/azure-workload-identity, pkg/webhook. */
export type AzureSettings = Pick<
  CommandSettings<'webhook'>,
  'azureTenantId' | 'azureAuthorityHost' | 'azureTokenAudience' | 'azureTokenExpiration'
>;

const USE: PresetKey<'azure', 'label'> = 'use';
const LIFETIME: LifetimeRule = {
  min: 3600,
  max: 86_400,
  below: 'refuse',
  unreadable: 'refuse',
  empty: 'absent',
};
const MOUNT_PATH = '/var/run/secrets/azure/wi';
const TOKEN_PATH = 'token/azure-identity-token';
/** The file of its token, for what is made by hand. */
export const AZURE_TOKEN_FILE = `${MOUNT_PATH}/${TOKEN_PATH}`;
const VOLUME_PREFIX = 'azure-workload-identity-reserved-';

export function azurePreset(settings: AzureSettings): Preset {
  return { name: 'azure', prefix: AZURE_PREFIX, read: (request) => read(request, settings) };
}

function read(request: PresetRequest, settings: AzureSettings): PresetReading {
  const { pod, object } = request;
  const annotations = new PresetAnnotations('azure', AZURE_PREFIX, request);
  const { problems, warnings } = annotations;
  const use = pod.metadata?.labels?.[`${AZURE_PREFIX}/${USE}`];
  if (use !== 'true') {
    const at = { object, key: `the label ${AZURE_PREFIX}/${USE}`, value: use ?? '' };
    if (use?.toLowerCase() === 'true') annotations.warn(at, 'does nothing; only "true" does');
    return { problems, warnings };
  }
  const proxy = annotations.ofPod('inject-proxy-sidecar');
  if (proxy !== undefined) annotations.warn(proxy, 'does nothing: podpass has no proxy sidecar');
  const audience = annotations.audience(undefined, ['--azure-token-audience', settings.azureTokenAudience]);
  const expirationSeconds = annotations.lifetime(
    'service-account-token-expiration',
    LIFETIME,
    settings.azureTokenExpiration,
  );
  const fresh = { name: volumeName(pod), audience, expirationSeconds, path: TOKEN_PATH };
  const volume = reusedOr(pod, fresh, object, warnings);
  const wanted: EnvVar[] = [
    { name: 'AZURE_CLIENT_ID', value: annotations.ofAccount('client-id')?.value ?? '' },
    { name: 'AZURE_TENANT_ID', value: annotations.ofAccount('tenant-id')?.value ?? settings.azureTenantId ?? '' },
    { name: 'AZURE_FEDERATED_TOKEN_FILE', value: pathInContainer(MOUNT_PATH, TOKEN_PATH, isWindows(pod.spec)) },
    { name: 'AZURE_AUTHORITY_HOST', value: settings.azureAuthorityHost },
  ];
  if (wanted.some(({ name, value }) => name === 'AZURE_TENANT_ID' && value === '')) {
    const tenant = annotations.keyOf('tenant-id');
    warnings.push(`${object}: AZURE_TENANT_ID is not set: neither ${tenant} nor --azure-tenant-id says it`);
  }
  const env = wanted.filter(({ value }) => value !== '').map((variable) => [variable]);
  const skip = annotations.ofPod('skip-containers');
  const names = (skip?.value ?? '').split(';').map((name) => name.trim());
  const mounts = [readOnlyMount(volume.name, MOUNT_PATH)];
  const containers = annotations.containersWithout(skip, names).map((place) => ({ place, mounts, env }));
  const volumes = [tokenVolume(volume)];
  const injection = { by: 'the preset azure', names: ['azure'], volumes, containers, uniform: true };
  return { injection, audience, problems, warnings };
}

/** By the Pod's name, which a Pod of a controller has not got yet. */
function volumeName({ metadata }: Pod): string {
  const name = metadata?.name || `${metadata?.generateName ?? ''} (prefix)`;
  const digest = createHash('sha256').update(name).digest('hex');
  // Names of volumes are DNS labels, of 63 characters at most.
  return `${VOLUME_PREFIX}${digest}`.slice(0, 63);
}

/** A volume that is there under another name is the one: between two rounds, somebody may have given the Pod its name. */
function reusedOr(pod: Pod, wanted: TokenVolume, object: string, warnings: string[]): TokenVolume {
  const reserved = (pod.spec.volumes ?? []).filter(({ name }) => name.startsWith(VOLUME_PREFIX));
  const same = reserved.find((volume) => isSameVolume(volume, tokenVolume({ ...wanted, name: volume.name })));
  if (same !== undefined) return { ...wanted, name: same.name };
  // Whatever follows from a content that is not ours is told: see review-parts.ts.
  const name = reserved[0]?.name;
  if (name !== undefined)
    warnings.push(`${object}: the volume ${quote(name)} is another one than the preset azure adds; it stays as it is`);
  return wanted;
}
