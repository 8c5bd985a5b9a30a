import { parseArgs } from 'node:util';
import { parseDocument } from 'yaml';
import { type CommandName, type CommandRow, type CommandSettings, commandRows } from './catalog/commands.ts';
import {
  codecOf,
  flagOf,
  isRepeatable,
  type SettingKey,
  type SettingRow,
  settingRows,
  variableOf,
} from './catalog/settings.ts';
import { checks } from './checks.ts';
import { messageOf, type Problem, whyUnreadable } from './fault.ts';
import {
  type IssuerProblem,
  identity,
  issuerProblems,
  samePlaces,
  sameTargets,
  withoutOthersSources,
} from './issuers.ts';

export interface SettingsInput {
  /** The arguments after the command's name. */
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Reads the file of `--config`; throws where it cannot. */
  readonly readFile: (path: string) => string;
}

export type ParsedSettings<C extends CommandName> =
  | {
      readonly ok: true;
      readonly settings: CommandSettings<C>;
      /** One for each of `issuers` in the config file; without that list `settings` alone. */
      readonly issuers: readonly CommandSettings<C>[];
      readonly argument: string | undefined;
      readonly help: boolean;
    }
  | { readonly ok: false; readonly problems: readonly Problem[] };

/** A value as it was written, and where. */
interface Source {
  readonly object: string;
  readonly key: string;
  readonly values: readonly string[];
}

/** What a config file says: at its top, and for each issuer where it lists several. */
interface ConfigFile {
  readonly top: ReadonlyMap<SettingKey, Source>;
  readonly issuers?: readonly ReadonlyMap<SettingKey, Source>[];
}

const NO_FILE: ConfigFile = { top: new Map() };

/**
 * The settings of a command: flag over environment over config file over default. Pure but for `readFile`. All faults at
 * once; with `help`, the rest is not checked.
 */
export function parseSettings<C extends CommandName>(command: C, input: SettingsInput): ParsedSettings<C> {
  const row: CommandRow = commandRows[command];
  const problems: Problem[] = [];
  const { flags, positionals } = readFlags(command, row, input.argv, problems);
  const help = flags.get('help')?.values.at(-1) === 'true';
  const environment = help ? new Map() : readEnvironment(command, row, input.env);
  const config = flags.get('config') ?? environment.get('config');
  const file = help || config === undefined ? NO_FILE : readConfig(command, row, config, input.readFile, problems);

  const settings: Record<string, unknown> = {};
  const written = new Map<SettingKey, Source>();
  for (const key of row.settings) {
    const found: Source | undefined = flags.get(key) ?? environment.get(key) ?? file.top.get(key);
    if (found !== undefined) written.set(key, found);
    const source = found ?? fallback(command, key);
    settings[key] = source === undefined ? undefined : parseValues(command, key, source, problems);
    const missing = source === undefined || source.values.length === 0;
    const reported = problems.some((problem) => problem.key === key || problem.key === flagOf(key));
    if (missing && !reported && row.required?.includes(key)) problems.push(missingSetting(command, key));
  }
  const check = checks[command] as ((settings: object) => Problem[]) | undefined;
  // What an item of the list may say is checked item by item.
  const own = file.issuers === undefined ? [] : ownSettings(row);
  const checked = check?.(settings).filter(({ key }) => !own.some((each) => flagOf(each) === key)) ?? [];
  for (const problem of [...modeProblems(command, row, settings, written), ...checked]) {
    if (!problems.some(({ key }) => key === problem.key)) problems.push(problem);
  }
  const given = (key: SettingKey): Source | undefined => flags.get(key) ?? environment.get(key);
  const issuers: readonly object[] =
    row.issuers === undefined ? [settings] : issuersOf(command, settings, file, given, problems);
  const argument = readArgument(command, row, positionals, problems);
  if (problems.length > 0 && !help) return { ok: false, problems: problems.map((each) => hideSecret(row, each)) };
  return {
    ok: true,
    settings: settings as CommandSettings<C>,
    issuers: issuers as readonly CommandSettings<C>[],
    argument,
    help,
  };
}

const rowOf = (key: SettingKey): SettingRow => settingRows[key];

/** The settings that an item of `issuers` may have. */
const ownSettings = ({ settings, issuers }: CommandRow): readonly SettingKey[] =>
  settings.filter((key) => issuers !== undefined && !issuers.whole.includes(key));

function hideSecret(row: CommandRow, problem: Problem): Problem {
  const names = (key: SettingKey) => [key, flagOf(key), variableOf(key)];
  const secret = row.settings.some((key) => rowOf(key).secret && names(key).includes(problem.key));
  const { value: _, ...rest } = problem;
  return secret ? rest : problem;
}

// ---- sources ---------------------------------------------------------------------------------------------------------

function readFlags(command: CommandName, row: CommandRow, argv: readonly string[], problems: Problem[]) {
  const options = Object.fromEntries(
    row.settings.map((key) => {
      const { short, codec } = rowOf(key);
      const option = { type: codec.metavar === '' ? ('boolean' as const) : ('string' as const), multiple: true };
      return [flagOf(key).slice(2), short === undefined ? option : { ...option, short }] as const;
    }),
  );
  const byName = new Map(row.settings.map((key) => [flagOf(key).slice(2), key]));
  const { args, without } = withoutValue(argv, row);
  for (const key of without) {
    const { accepted } = codecOf(command, key);
    problems.push({ object: `podpass ${command}`, key: flagOf(key), wrong: 'has no value', accepted });
  }
  const { tokens } = parseArgs({ args, options, strict: false, allowPositionals: true, tokens: true });
  const flags = new Map<SettingKey, Source>();
  const positionals: string[] = [];
  let unknownAt: number | undefined;
  for (const token of tokens) {
    // What follows an unknown flag is most likely its value, and no second fault.
    if (token.kind === 'positional' && token.index - 1 !== unknownAt) positionals.push(token.value);
    if (token.kind !== 'option') continue;
    const key = byName.get(token.name);
    if (key === undefined) {
      if (token.value === undefined) unknownAt = token.index;
      const accepted = row.settings.map(flagOf).join(', ');
      problems.push({
        object: `podpass ${command}`,
        key: 'flag',
        value: token.rawName,
        wrong: 'is not known',
        accepted,
      });
      continue;
    }
    const isFlag = rowOf(key).codec.metavar === '';
    // `-o=json`, as kubectl takes it.
    const inline = token.rawName.startsWith('--') ? token.value : token.value?.replace(/^=/, '');
    const value = inline ?? (isFlag ? 'true' : undefined);
    const written = flags.get(key)?.values ?? [];
    if (value === undefined) continue;
    if (written.length > 0 && !isRepeatable(command, key) && !isFlag) {
      const wrong = 'is a second value';
      problems.push({ object: `podpass ${command}`, key: flagOf(key), value, wrong, accepted: 'the flag once' });
    } else flags.set(key, { object: `podpass ${command}`, key: flagOf(key), values: [...written, value] });
  }
  return { flags, positionals };
}

/** Takes out the flags whose value was forgotten: parseArgs would give them the flag that follows as their value. */
function withoutValue(argv: readonly string[], row: CommandRow): { args: string[]; without: SettingKey[] } {
  const flags = new Map(
    row.settings.flatMap((key) => {
      const { short } = rowOf(key);
      return [[flagOf(key), key] as const, ...(short === undefined ? [] : [[`-${short}`, key] as const])];
    }),
  );
  const without: SettingKey[] = [];
  const end = argv.includes('--') ? argv.indexOf('--') : argv.length;
  const args = argv.filter((each, index) => {
    const key = index < end ? flags.get(each) : undefined;
    if (key === undefined || rowOf(key).codec.metavar === '') return true;
    const next = index + 1 < end ? argv[index + 1] : undefined;
    const hasValue = next !== undefined && !flags.has(next.split('=')[0] ?? '');
    if (!hasValue) without.push(key);
    return hasValue;
  });
  return { args, without };
}

/** What Kubernetes writes into every Pod beside a Service called `podpass`: `PODPASS_PORT=tcp://10.96.0.1:443`. */
const SERVICE_LINK = /^(tcp|udp|sctp):\/\//;

function readEnvironment(command: CommandName, row: CommandRow, env: SettingsInput['env']): Map<SettingKey, Source> {
  const found = new Map<SettingKey, Source>();
  for (const key of row.settings) {
    const { flagOnly, mayBeEmpty, otherVariable } = rowOf(key);
    for (const variable of [variableOf(key), ...(otherVariable === undefined ? [] : [otherVariable])]) {
      const text = env[variable];
      // An empty variable is as good as none, but where it is an empty list.
      if (flagOnly || text === undefined || (text === '' && !mayBeEmpty) || SERVICE_LINK.test(text)) continue;
      const values = isRepeatable(command, key) ? text.split(',').flatMap((each) => each.trim() || []) : [text];
      found.set(key, { object: 'environment', key: variable, values });
      break;
    }
  }
  return found;
}

function readConfig(
  command: CommandName,
  row: CommandRow,
  config: Source,
  readFile: SettingsInput['readFile'],
  problems: Problem[],
): ConfigFile {
  const path = config.values.at(-1) ?? '';
  const keys = row.settings.filter((key) => key !== 'config' && !rowOf(key).flagOnly);
  const fail = (key: string, value: string, wrong: string, accepted: string) =>
    problems.push({ object: path, key, value, wrong, accepted });
  let text: string;
  try {
    text = readFile(path);
  } catch (error) {
    problems.push({
      object: config.object,
      key: config.key,
      value: path,
      wrong: whyUnreadable(error),
      accepted: 'a readable file',
    });
    return NO_FILE;
  }
  const document = parseDocument(text);
  for (const error of document.errors)
    fail('YAML', error.message.split('\n')[0] ?? '', 'is not YAML', 'a YAML mapping');
  if (document.errors.length > 0) return NO_FILE;
  let content: unknown;
  try {
    content = document.toJS() ?? {};
  } catch (error) {
    // Aliases without an anchor, or that unfold without end.
    fail('YAML', messageOf(error), 'is wrong', 'a YAML mapping');
    return NO_FILE;
  }
  if (typeof content !== 'object' || content === null || Array.isArray(content)) {
    fail(
      'YAML',
      typeof content === 'string' ? content : asJson(content),
      'is not a mapping',
      `a YAML mapping of ${keys.join(', ')}`,
    );
    return NO_FILE;
  }
  const { issuers, ...rest } = content as Readonly<Record<string, unknown>>;
  const listed = row.issuers !== undefined && 'issuers' in content;
  const found = readMapping(command, listed ? rest : content, path, '', keys, problems);
  if (!listed || row.issuers === undefined) return { top: found };
  const { whole } = row.issuers;
  const own = keys.filter((key) => !whole.includes(key));
  const accepted = `a list of mappings of ${own.join(', ')}`;
  if (!Array.isArray(issuers) || issuers.length === 0) {
    fail('issuers', asJson(issuers), Array.isArray(issuers) ? 'is empty' : 'is not a list', accepted);
    return { top: found };
  }
  const items = issuers.map((item: unknown, index) => {
    const prefix = `issuers[${index}]`;
    if (typeof item === 'object' && item !== null && !Array.isArray(item)) {
      return readMapping(command, item, path, `${prefix}.`, own, problems);
    }
    fail(prefix, asJson(item), 'is not a mapping', `a YAML mapping of ${own.join(', ')}`);
    return undefined;
  });
  // What is missing in an item that is none has been told.
  return items.includes(undefined) ? { top: found } : { top: found, issuers: items.flatMap((item) => item ?? []) };
}

/** A value as a message shows it. One that has itself in it, by an alias, cannot be shown. */
function asJson(value: unknown): string {
  try {
    return JSON.stringify(value) ?? '';
  } catch {
    return 'a value with itself in it';
  }
}

/** The settings in a mapping of the config file. `prefix` is its place in the file. */
function readMapping(
  command: CommandName,
  content: object,
  path: string,
  prefix: string,
  keys: readonly SettingKey[],
  problems: Problem[],
): Map<SettingKey, Source> {
  const found = new Map<SettingKey, Source>();
  const of = prefix === '' ? `podpass ${command}` : 'one issuer';
  const fail = (key: string, value: unknown, wrong: string, accepted: string) =>
    problems.push({ object: path, key: prefix + key, value: asJson(value), wrong, accepted });
  for (const [written, value] of Object.entries(content)) {
    const key = keys.find((each) => each === written);
    if (key === undefined) {
      fail(written, value, `is not a setting of ${of}`, keys.join(', '));
      continue;
    }
    const items: unknown[] = Array.isArray(value) ? value : [value];
    if (Array.isArray(value) && !isRepeatable(command, key)) fail(key, value, 'is a list', 'one value');
    else if (items.some((item) => typeof item === 'object')) {
      fail(key, value, 'is no plain value', rowOf(key).codec.accepted);
    } else found.set(key, { object: path, key: prefix + key, values: items.map(String) });
  }
  return found;
}

function fallback(command: CommandName, key: SettingKey): Source | undefined {
  const row = rowOf(key);
  const text = row.defaults?.[command] ?? row.default;
  if (text !== undefined) return { object: 'default', key, values: [text] };
  return isRepeatable(command, key) ? { object: 'default', key, values: [] } : undefined;
}

// ---- issuers ---------------------------------------------------------------------------------------------------------

/**
 * The settings of each issuer: flag over environment over its item of the list over the top of the file over default. A
 * flag that names an issuer or its keys would name them for all: it is refused beside an item that says otherwise.
 */
function issuersOf(
  command: CommandName,
  settings: Readonly<Record<string, unknown>>,
  file: ConfigFile,
  given: (key: SettingKey) => Source | undefined,
  problems: Problem[],
): Readonly<Record<string, unknown>>[] {
  const add = (problem: Problem) => {
    if (!problems.some(({ key }) => key === problem.key)) problems.push(problem);
  };
  const { issuers } = file;
  if (issuers === undefined) {
    for (const { key, ...problem } of issuerProblems(settings)) {
      // What was written and is wrong by itself is not missing.
      if (problems.some((each) => each.key === key || each.key === variableOf(key))) continue;
      add({ object: `podpass ${command}`, key: flagOf(key), ...problem });
    }
    return [settings];
  }
  for (const key of identity) {
    const source = given(key);
    const item = issuers.find((each) => each.has(key))?.get(key);
    if (source === undefined || item === undefined) continue;
    const wrong = `stands beside ${item.key} in ${item.object}`;
    add({ object: source.object, key: source.key, value: source.values.join(','), wrong, accepted: 'one of the two' });
  }
  const parsed = issuers.map((item) => {
    const one: Record<string, unknown> = { ...settings };
    for (const [key, source] of item) {
      const value = parseValues(command, key, source, problems);
      if (given(key) === undefined) one[key] = value;
    }
    return withoutOthersSources(one, new Set(item.keys()));
  });
  const object = [...issuers.flatMap((item) => [...item.values()])][0]?.object ?? `podpass ${command}`;
  const addFor = (index: number, { key, ...problem }: IssuerProblem) =>
    add({ object, key: `issuers[${index}].${key}`, ...problem });
  for (const [index, one] of parsed.entries()) {
    for (const problem of issuerProblems(one)) addFor(index, problem);
    for (const { key, wrong, accepted } of (checks[command] as ((one: object) => Problem[]) | undefined)?.(one) ?? []) {
      const own = ownSettings(commandRows[command]).find((each) => flagOf(each) === key);
      if (own !== undefined) addFor(index, { key: own, wrong, accepted });
    }
  }
  for (const key of ['publishTo', 'to'] as const) {
    const places = parsed.map((one) => ({ targets: one[key], s3Endpoint: one.s3Endpoint })) as Parameters<
      typeof sameTargets
    >[0];
    for (const { index, before, value } of sameTargets(places)) {
      const accepted = 'a folder or a prefix of its own';
      addFor(index, { key, value, wrong: `has the documents of issuers[${before}]`, accepted });
    }
  }
  const names = parsed.map(({ issuer }) => (typeof issuer === 'string' ? issuer : undefined));
  for (const [index, before] of samePlaces(names)) {
    const accepted = 'a host or a path of its own';
    const wrong = `has the host and path of issuers[${before}].issuer`;
    addFor(index, { key: 'issuer', value: names[index] ?? '', wrong, accepted });
  }
  return parsed;
}

// ---- values ----------------------------------------------------------------------------------------------------------

function parseValues(command: CommandName, key: SettingKey, source: Source, problems: Problem[]): unknown {
  const { commas, mayBeEmpty } = rowOf(key);
  const codec = codecOf(command, key);
  const written = commas
    ? source.values
        .flatMap((value) => value.split(',').map((each) => each.trim()))
        .filter((each) => each !== '' || !mayBeEmpty)
    : source.values;
  const values = written.flatMap((value) => {
    const parsed = codec.parse(value);
    if (parsed.ok) return [parsed.value];
    const shown = codec.shown?.(value) ?? value;
    problems.push({
      object: source.object,
      key: source.key,
      value: shown,
      wrong: parsed.wrong,
      accepted: codec.accepted,
    });
    return [];
  });
  return isRepeatable(command, key) ? [...new Set(values)] : values.at(-1);
}

function missingSetting(command: CommandName, key: SettingKey): Problem {
  const codec = codecOf(command, key);
  const accepted = rowOf(key).flagOnly
    ? codec.accepted
    : `${codec.accepted}; as this flag, as ${variableOf(key)} or as ${key} in a config file`;
  return { object: `podpass ${command}`, key: flagOf(key), wrong: 'is missing', accepted };
}

/** What is needed, or out of place, because of the value of another setting; nothing while that value is wrong itself. */
function modeProblems(
  command: CommandName,
  { modes }: CommandRow,
  settings: Readonly<Record<string, unknown>>,
  written: ReadonlyMap<SettingKey, Source>,
): Problem[] {
  const mode = modes === undefined ? undefined : settings[modes.of];
  if (modes === undefined || typeof mode !== 'string') return [];
  return Object.entries(modes.values).flatMap(([value, { needs = [], takes = [] }]) => {
    if (value === mode) {
      return needs.filter((key) => !written.has(key)).map((key) => missingSetting(command, key));
    }
    return [...needs, ...takes].flatMap((key) => {
      const source = written.get(key);
      if (source === undefined) return [];
      const wrong = `is only for ${flagOf(modes.of)} ${value}`;
      return [{ object: source.object, key: source.key, wrong, accepted: `nothing with ${flagOf(modes.of)} ${mode}` }];
    });
  });
}

function readArgument(
  command: CommandName,
  row: CommandRow,
  positionals: readonly string[],
  problems: Problem[],
): string | undefined {
  const [argument, ...rest] = positionals;
  const object = `podpass ${command}`;
  if (row.argument === undefined) {
    for (const value of positionals)
      problems.push({ object, key: 'argument', value, wrong: 'is not a flag', accepted: 'flags only' });
    return undefined;
  }
  if (argument === undefined) problems.push({ object, key: row.argument, wrong: 'is missing', accepted: row.argument });
  for (const value of rest)
    problems.push({
      object,
      key: 'argument',
      value,
      wrong: 'is one too many',
      accepted: row.argument,
    });
  return argument;
}
