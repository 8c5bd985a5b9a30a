import { annotationRows } from '../../src/catalog/annotations.ts';
import { AWS_LABEL_PREFIX, AZURE_PREFIX, presetRows } from '../../src/catalog/presets.ts';
import { mutationSettings } from '../mutation-settings.ts';

/** Texts that readers look for, from the catalog where it has them. */

const { annotationPrefix, presets } = mutationSettings({ presets: 'aws,azure,gcp' });
const prefixOf = (preset: string) => presets.find(({ name }) => name === preset)?.prefix ?? preset;

export const annotationKeys: readonly string[] = [
  ...annotationRows.map(({ key, named }) => `${annotationPrefix}/${key}${named ? '.api' : ''}`),
  ...presetRows.map(({ preset, key }) => `${prefixOf(preset)}/${key}`),
  ...[`${AWS_LABEL_PREFIX}/skip-pod-identity-webhook`, `${AZURE_PREFIX}/use`, 'kubernetes.io/config.mirror'],
];

export const annotationValues: readonly string[] = [
  ...annotationRows.map(({ example }) => example),
  ...['true', 'false', '600', '599', '3600', '86400', '4294967296', '4294967297', '10m', '1h', '*', 'apiserver'],
  ...['arn:aws:iam::111122223333:role/r', 'sts.amazonaws.com', 'app@project.iam.gserviceaccount.com', 'gcloud'],
  'projects/1/locations/global/workloadIdentityPools/p/providers/c',
  ...['/var/run/secrets/tokens', '/var/run/secrets/kubernetes.io/serviceaccount', 'https://api.example.com', '/', '..'],
  ...['web', 'init', 'api', 'vault', 'podpass-tokens', 'podpass-oauth2-proxy', 'oauth2-proxy', 'unprotected', 'http'],
];

export const podMembers: readonly string[] = [
  ...['metadata', 'spec', 'name', 'generateName', 'namespace', 'labels', 'annotations', 'containers', 'initContainers'],
  ...['ephemeralContainers', 'volumes', 'volumeMounts', 'volumeDevices', 'mountPath', 'devicePath', 'subPath', 'env'],
  ...['value', 'valueFrom', 'ports', 'containerPort', 'hostPort', 'protocol', 'args', 'restartPolicy', 'Always'],
  ...['serviceAccountName', 'serviceAccount', 'nodeSelector', 'kubernetes.io/os', 'os', 'windows', 'hostNetwork'],
  ...[
    'securityContext',
    'runAsUser',
    'projected',
    'sources',
    'serviceAccountToken',
    'readinessGates',
    'httpGet',
    'port',
  ],
  ...['livenessProbe', 'lifecycle', 'preStop', 'tcpSocket', 'UDP', 'TCP', 'emptyDir', 'configMap', 'path', 'audience'],
];

export const jsonTokens: readonly string[] = [
  ...['{', '}', '[', ']', ':', ',', '"', '\\"', '\\\\', '\\u0000', '\\ud83d', 'null', 'true', 'false', '1e9', '-0'],
  ...['{}', '[]', '""', '"":', '\ufeff', '\\u006', '/*', '//', '1.', '01', '\\x', '"__proto__":', '"toString":'],
];
