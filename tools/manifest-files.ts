import { installationFiles } from '../src/cli/manifests/installation.ts';
import { dashboardConfig, monitoring } from '../src/cli/manifests/monitoring.ts';
import type { Installation } from '../src/cli/manifests/object.ts';
import { toYaml } from '../src/cli/manifests/text.ts';
import { DEFAULT_IMAGE } from '../src/cli/manifests.ts';
import { chartFiles } from './manifest-chart.ts';
import {
  certManagerOverlay,
  debugContainersComponent,
  discoveryComponents,
  presetsOverlay,
} from './manifest-overlay.ts';

export const HEAD = '# Generated from src/cli/manifests by `npm run reference`; changes here are lost.\n';
const DEFAULT = { namespace: 'podpass', image: DEFAULT_IMAGE, tls: 'managed' } as const satisfies Installation;

/** Everything below manifests/ that is generated, by its path there. */
export function manifestFiles(): Map<string, string> {
  const files = new Map<string, string>();
  const folders = Object.entries(installationFiles(DEFAULT));
  for (const [folder, contents] of folders) {
    for (const [name, objects] of Object.entries(contents)) files.set(`base/${folder}/${name}`, HEAD + toYaml(objects));
    files.set(`base/${folder}/kustomization.yaml`, kustomization(Object.keys(contents)));
  }
  files.set('base/kustomization.yaml', kustomization(folders.map(([folder]) => folder)));
  for (const only of ['webhook', 'discovery']) {
    files.set(
      `overlays/${only}-only/kustomization.yaml`,
      kustomization(['../../base/namespace', `../../base/${only}`]),
    );
  }
  for (const [path, text] of certManagerOverlay(DEFAULT)) files.set(`overlays/cert-manager/${path}`, HEAD + text);
  for (const [path, text] of monitoringOverlay(DEFAULT.namespace))
    files.set(`overlays/monitoring/${path}`, HEAD + text);
  for (const [path, text] of presetsOverlay(DEFAULT)) files.set(`overlays/presets/${path}`, HEAD + text);
  for (const [path, text] of debugContainersComponent(DEFAULT))
    files.set(`overlays/debug-containers/${path}`, HEAD + text);
  for (const [path, text] of discoveryComponents(DEFAULT)) files.set(`overlays/${path}`, HEAD + text);
  for (const [path, text] of chartFiles()) files.set(`helm/podpass/${path}`, text);
  return files;
}

/** A component rather than an overlay, to be added to any of them; in parts, for those who install one service. */
function monitoringOverlay(namespace: string): [path: string, text: string][] {
  const component = (rest: object) =>
    toYaml([{ apiVersion: 'kustomize.config.k8s.io/v1alpha1', kind: 'Component', ...rest }]);
  const services = ['webhook', 'discovery'] as const;
  return [
    ['kustomization.yaml', component({ components: services, resources: ['dashboard.yaml'] })],
    ['dashboard.yaml', toYaml([dashboardConfig(namespace)])],
    ...services.flatMap((service): [string, string][] => [
      [`${service}/kustomization.yaml`, component({ resources: ['monitoring.yaml'] })],
      [`${service}/monitoring.yaml`, toYaml(monitoring(namespace, service))],
    ]),
  ];
}

function kustomization(resources: readonly string[]): string {
  return HEAD + toYaml([{ apiVersion: 'kustomize.config.k8s.io/v1beta1', kind: 'Kustomization', resources }]);
}
