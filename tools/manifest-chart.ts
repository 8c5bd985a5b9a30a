import packageJson from '../package.json' with { type: 'json' };
import { defaultPort } from '../src/cli/manifests/arguments.ts';
import { installationFiles } from '../src/cli/manifests/installation.ts';
import { dashboardConfig, monitoring } from '../src/cli/manifests/monitoring.ts';
import type { Installation, KubeObject } from '../src/cli/manifests/object.ts';
import { toYaml } from '../src/cli/manifests/text.ts';

/**
 * The chart's templates are the same objects with Helm's expressions in the place of what differs, so that both ways to
 * install cannot drift apart. What is not in the chart is the namespace, which is Helm's.
 */
const HEAD = '{{- /* Generated from src/cli/manifests by `npm run reference`; changes here are lost. */ -}}\n';

const value = (expression: string) => `{{ ${expression} }}`;

const NAMESPACE = value('.Release.Namespace');

const templated = (tls: Installation['tls']): Installation => ({
  namespace: NAMESPACE,
  image: value('include "podpass.image" .'),
  issuer: value('.Values.issuer'),
  tls,
  ephemeralContainers: true,
  keyState: true,
  publishing: true,
  dns: true,
});

/** The values that decide whether a whole file is there, beside its service. */
const FILES: Readonly<Record<string, string>> = {
  'key-state.yaml': '.Values.discovery.keyState',
  'publishing.yaml': '.Values.discovery.publishing',
};

export function chartFiles(): [path: string, text: string][] {
  const managed = installationFiles(templated('managed'));
  const certManager = installationFiles(templated('cert-manager'));
  const templates = (['webhook', 'discovery'] as const).flatMap((service) =>
    Object.entries(managed[service]).map(([name, objects]): [string, string] => {
      const texts = [objects, certManager[service][name] ?? []].map((each) => withValues(toYaml(each), service));
      return [`templates/${service}/${name}`, `${HEAD}${when(service, name, either(...(texts as [string, string])))}`];
    }),
  );
  const chart = {
    apiVersion: 'v2',
    name: 'podpass',
    description: packageJson.description,
    type: 'application',
    version: packageJson.version,
    appVersion: packageJson.version,
    // ValidatingAdmissionPolicy v1.
    kubeVersion: '>=1.30.0-0',
  };
  return [
    ['Chart.yaml', `# Generated from package.json by \`npm run reference\`.\n${toYaml([chart])}`],
    ...templates,
    ...monitoringFiles(),
  ];
}

function monitoringFiles(): [path: string, text: string][] {
  const file = (condition: string, objects: readonly KubeObject[]) =>
    `${HEAD}{{- if ${condition} }}\n${withLabels(literally(toYaml(objects)))}{{- end }}\n`;
  return [
    ...(['webhook', 'discovery'] as const).map((service): [string, string] => [
      `templates/${service}/monitoring.yaml`,
      file(`and .Values.monitoring.enabled .Values.${service}.enabled`, monitoring(NAMESPACE, service)),
    ]),
    ['templates/dashboard.yaml', file('.Values.monitoring.enabled', [dashboardConfig(NAMESPACE)])],
  ];
}

/** The expressions of Prometheus and Grafana look like Helm's, and are not. */
const literally = (text: string) =>
  text.replace(/\{\{[^{}]*\}\}/g, (expression) => (expression === NAMESPACE ? expression : value(`\`${expression}\``)));

/** By which a Prometheus selects what concerns it. */
const withLabels = (text: string) =>
  text.replace(
    /^ {2}labels:\n/gm,
    (line) => `${line}{{- with .Values.monitoring.labels }}\n    {{- toYaml . | nindent 4 }}\n{{- end }}\n`,
  );

function either(managed: string, certManager: string): string {
  if (managed === certManager) return managed;
  return `{{- if eq .Values.tls.mode "managed" }}\n${managed}{{- else }}\n${certManager}{{- end }}\n`;
}

function when(service: string, file: string, text: string): string {
  const [enabled, other] = [`.Values.${service}.enabled`, FILES[file]];
  return onlyIf(other === undefined ? enabled : `and ${enabled} ${other}`, text);
}

const onlyIf = (condition: string, text: string) => `{{- if ${condition} }}\n${text}{{- end }}\n`;

/** What a value decides that is no text in an object: numbers, a flag that may be absent, and what users add. */
function withValues(text: string, service: string): string {
  return text
    .replace(/^( *replicas: )\d+$/gm, `$1{{ .Values.${service}.replicas }}`)
    .replace(/^( *- name: https\n *containerPort: )\d+$/gm, '$1{{ .Values.webhook.port }}')
    .replace(/^( *imagePullPolicy: ).*$/gm, '$1{{ .Values.image.pullPolicy }}')
    .replace(
      /^( *- ).*--issuer=\{\{.*$/gm,
      '{{- with .Values.issuer }}\n$1{{ printf "--issuer=%s" . | quote }}\n{{- end }}',
    )
    .replace(/^ *- --ephemeral-containers=true\n/gm, withDebugContainers)
    .replace(/^ *- --state=.*\n/gm, (line) => onlyIf('.Values.discovery.keyState', line))
    .replace(/^( *)- protocol: UDP\n\1 {2}port: 53\n/gm, (item) => onlyIf('.Values.discovery.dns', item))
    .replace(/^( *)- name: debug\.podpass\.dev\n(?:\1 .*\n)+/gm, withDebugContainers)
    .replace(
      /^( *)args:\n(?:(?:\1- .*|\{\{.*)\n)+/gm,
      (list, indent: string) =>
        `${list}${portFlag(indent, service)}{{- range .Values.${service}.args }}\n${indent}- {{ . | quote }}\n{{- end }}\n`,
    )
    .replace(
      /^( *)serviceAccountName: .*\n/gm,
      (line, indent: string) =>
        `${line}{{- with .Values.image.pullSecrets }}\n${indent}imagePullSecrets:\n${indent}{{- toYaml . | nindent ${indent.length} }}\n{{- end }}\n`,
    );
}

const withDebugContainers = (text: string) => onlyIf('.Values.webhook.ephemeralContainers', text);

/** Like the base, the chart does not repeat a default. */
function portFlag(indent: string, service: string): string {
  if (service !== 'webhook') return '';
  const port = defaultPort('webhook', 'port');
  return `{{- if ne (int .Values.webhook.port) ${port} }}\n${indent}- --port={{ .Values.webhook.port }}\n{{- end }}\n`;
}
