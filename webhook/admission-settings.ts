import type { CommandSettings } from '../src/catalog/commands.ts';
import type { AdmissionSettings } from './admit.ts';
import { type ClusterFacts, proxySettings } from './oauth2-proxy/settings.ts';
import type { Preset } from './presets/preset.ts';

/** What admission goes by: what is configured, and what is found while the webhook runs. */
export interface FoundSettings {
  /** The same object until something is found: by that it is known which answers still hold. */
  now(): AdmissionSettings;
  /** What a preset goes by has changed. */
  tellChanged(): void;
  /** The audiences that the API server accepts itself, as far as they are found. */
  tellReserved(audiences: ReadonlySet<string>): void;
  tellCluster(facts: ClusterFacts): void;
}

/** Made before the requests: a copy of all settings for each one costs more than many a Pod does. */
export function admissionSettings(settings: CommandSettings<'webhook'>, presets: readonly Preset[]): FoundSettings {
  const { annotationPrefix, mountPath, tokenExpiration, ephemeralContainers } = settings;
  let found: ReadonlySet<string> = new Set();
  let facts: ClusterFacts = {};
  const make = (): AdmissionSettings => ({
    ...{ annotationPrefix, mountPath, tokenExpiration, ephemeralContainers, presets },
    reservedAudiences: new Set([...settings.reservedAudiences, ...found]),
    oauth2Proxy: proxySettings(settings, facts),
  });
  let now = make();
  return {
    now: () => now,
    tellChanged() {
      now = make();
    },
    tellReserved(audiences) {
      found = audiences;
      now = make();
    },
    tellCluster(told) {
      facts = told;
      now = make();
    },
  };
}
