import { parseSettings } from '../src/settings.ts';
import type { MutationSettings } from '../webhook/asked.ts';
import { proxySettings } from '../webhook/oauth2-proxy/settings.ts';
import type { HasContainerCredentials } from '../webhook/presets/aws.ts';
import { presetsOf } from '../webhook/presets/registry.ts';

/** Settings that differ from their defaults, named and written as in a config file. */
export type WrittenSettings = Readonly<Record<string, string | readonly string[]>>;

/** What decides over a Pod, from settings as a user writes them. Throws an Error where one is wrong. */
export function mutationSettings(
  written: WrittenSettings = {},
  hasContainerCredentials: HasContainerCredentials = () => false,
): MutationSettings {
  const argv = ['--file=-', '--config=settings.yaml'];
  const parsed = parseSettings('mutate', { argv, env: {}, readFile: () => JSON.stringify(written) });
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems));
  const { annotationPrefix, mountPath, tokenExpiration, reservedAudiences } = parsed.settings;
  return {
    annotationPrefix,
    mountPath,
    tokenExpiration,
    reservedAudiences: new Set(reservedAudiences),
    presets: presetsOf(parsed.settings, hasContainerCredentials),
    oauth2Proxy: proxySettings(parsed.settings),
  };
}
