import { type CommandName, type CommandSettings, commandRows } from '../../catalog/commands.ts';
import { flagOf, type SettingKey, type SettingRow, settingRows } from '../../catalog/settings.ts';

/** The arguments of a container. Keys are the catalog's, so a flag that a command does not have is no valid program. */
export function argumentsOf<C extends CommandName>(
  command: C,
  settings: { readonly [K in keyof CommandSettings<C>]?: string | undefined },
): string[] {
  const flags = (commandRows[command].settings as readonly SettingKey[]).flatMap((key) => {
    const value = settings[key as keyof CommandSettings<C>];
    return value === undefined ? [] : [`${flagOf(key)}=${value}`];
  });
  return [command, ...flags];
}

/** A port that a service listens on where nothing else is said. */
export function defaultPort(service: 'webhook' | 'discovery', key: 'port' | 'metricsPort'): number {
  const { defaults }: SettingRow = settingRows[key];
  return Number(defaults?.[service]);
}
