import { type CommandName, type CommandRow, commandRows } from '../catalog/commands.ts';
import { codecOf, flagOf, isRepeatable, type SettingKey, type SettingRow, settingRows } from '../catalog/settings.ts';

const WIDTH = 100;

/** The help of the whole: one line for each command. */
export function overview(version: string): string {
  const names = Object.keys(commandRows) as CommandName[];
  const width = Math.max(...names.map((name) => name.length));
  return [
    `podpass ${version}: gives every Pod its own identity towards anything, and lets anyone outside verify it.`,
    '',
    'Usage: podpass COMMAND [FLAGS]',
    '',
    ...names.map((name) => `  ${name.padEnd(width)}  ${commandRows[name].summary}`),
    '',
    'podpass COMMAND --help tells more; podpass --version prints the version.',
    'Settings: flag over environment (PODPASS_…) over --config FILE (YAML, camelCase) over default.',
    'Exit codes: 0 done; 1 a check or an operation failed; 2 wrong use or configuration.',
    '',
  ].join('\n');
}

/** The help of one command: what it does, and a line or two for each flag. */
export function commandHelp(name: CommandName): string {
  const row: CommandRow = commandRows[name];
  const flags = row.settings.map((key) => ({ left: flagColumn(name, key), right: describeSetting(name, key) }));
  const width = Math.min(38, Math.max(...flags.map(({ left }) => left.length)));
  const usage = [`podpass ${name}`, row.argument, '[FLAGS]'].filter((part) => part !== undefined).join(' ');
  return [
    ...wrap(row.about, WIDTH),
    '',
    `Usage: ${usage}`,
    '',
    ...flags.flatMap(({ left, right }) => {
      const lines = wrap(right, WIDTH - width - 4);
      const [first = '', ...rest] = left.length > width ? ['', ...lines] : lines;
      return [`  ${left.padEnd(width)}  ${first}`.trimEnd(), ...rest.map((line) => `  ${' '.repeat(width)}  ${line}`)];
    }),
    '',
  ].join('\n');
}

function flagColumn(command: CommandName, key: SettingKey): string {
  const { short }: SettingRow = settingRows[key];
  const codec = codecOf(command, key);
  const flag = `${short === undefined ? '    ' : `-${short}, `}${flagOf(key)}`;
  return codec.metavar === '' ? flag : `${flag} ${codec.metavar}`;
}

/** The value of another setting that this one belongs to. */
function modeNotes(command: CommandName, key: SettingKey): string[] {
  const { modes }: CommandRow = commandRows[command];
  if (modes === undefined) return [];
  return Object.entries(modes.values).flatMap(([value, { needs, takes }]) => {
    const mode = `with ${flagOf(modes.of)} ${value}`;
    return [...(needs?.includes(key) ? [`required ${mode}`] : []), ...(takes?.includes(key) ? [`only ${mode}`] : [])];
  });
}

/** What a setting is, whether it is needed, and its default for this command. */
export function describeSetting(command: CommandName, key: SettingKey): string {
  const row: SettingRow = settingRows[key];
  const required = (commandRows[command] as CommandRow).required?.includes(key);
  const byDefault = row.defaults?.[command] ?? row.default;
  const notes = [
    ...(required ? ['required'] : []),
    ...(isRepeatable(command, key) ? ['repeatable'] : []),
    ...modeNotes(command, key),
    ...(byDefault === undefined || row.codec.metavar === '' ? [] : [`default ${byDefault}`]),
  ];
  const help = row.helps?.[command] ?? row.help;
  return notes.length === 0 ? help : `${help} (${notes.join(', ')})`;
}

export function wrap(text: string, width: number): string[] {
  const lines = [''];
  for (const word of text.split(' ')) {
    const line = lines.at(-1) ?? '';
    if (line !== '' && line.length + 1 + word.length > width) lines.push(word);
    else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`;
  }
  return lines;
}
