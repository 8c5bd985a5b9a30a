import packageJson from '../../package.json' with { type: 'json' };
import type { CommandSettings } from '../catalog/commands.ts';
import { allObjects } from './manifests/installation.ts';
import { toYaml } from './manifests/text.ts';
import type { Terminal } from './terminal.ts';

const DEFAULT_NAMESPACE = 'podpass';

/** The image of this version; where it is kept is the installer's own. */
export const DEFAULT_IMAGE = `podpass:${packageJson.version}`;

export async function runManifests(settings: CommandSettings<'manifests'>, terminal: Terminal): Promise<number> {
  const { namespace = DEFAULT_NAMESPACE, image = DEFAULT_IMAGE, issuer, ephemeralContainers } = settings;
  terminal.out(toYaml(allObjects({ namespace, image, issuer, tls: 'managed', ephemeralContainers })));
  return 0;
}
