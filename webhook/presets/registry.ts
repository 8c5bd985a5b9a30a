import type { CommandSettings } from '../../src/catalog/commands.ts';
import { type PresetName, presetNames } from '../../src/catalog/presets.ts';
import { type AwsSettings, awsPreset, type HasContainerCredentials } from './aws.ts';
import { type AzureSettings, azurePreset } from './azure.ts';
import { type GcpSettings, gcpPreset } from './gcp.ts';
import type { Preset } from './preset.ts';

export type PresetSettings = Pick<CommandSettings<'webhook'>, 'presets'> & AwsSettings & AzureSettings & GcpSettings;

/** The presets that are switched on, always in the same order: what they add depends on it. */
export function presetsOf(settings: PresetSettings, hasContainerCredentials: HasContainerCredentials): Preset[] {
  const make: Record<PresetName, () => Preset> = {
    aws: () => awsPreset(settings, hasContainerCredentials),
    azure: () => azurePreset(settings),
    gcp: () => gcpPreset(settings),
  };
  return presetNames.filter((name) => settings.presets.includes(name)).map((name) => make[name]());
}
