// Writes what is generated from the catalog: the tables of README.md and docs, and manifests/. With --check it only says whether they
// are up to date (exit code 1).
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { annotationRows, type PlainKey } from '../src/catalog/annotations.ts';
import { type CommandName, type CommandRow, commandRows } from '../src/catalog/commands.ts';
import { type ConsumerRow, consumerRows } from '../src/catalog/consumers.ts';
import { findingRows } from '../src/catalog/findings.ts';
import { type MetricRow, metricRows } from '../src/catalog/metrics.ts';
import { AWS_LABEL_PREFIX, AZURE_PREFIX, type PresetRow, presetNames, presetRows } from '../src/catalog/presets.ts';
import { codecOf, flagOf, type SettingKey, type SettingRow, settingRows, variableOf } from '../src/catalog/settings.ts';
import { describeSetting } from '../src/cli/help.ts';
import { pinnedVersion, verifiedWith } from '../test/verified-with.ts';
import { consumerSections } from './consumer-sections.ts';
import { manifestFiles } from './manifest-files.ts';

const DOCUMENTS = ['README.md', 'docs/switch.md', 'docs/consumers.md', 'docs/oauth2-proxy.md'];

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

const code = (text: string) => (text === '' ? '' : `\`${text}\``);
const names = Object.keys(commandRows) as CommandName[];

const EVIDENCE = {
  run: 'run for real',
  schema: 'checked against its schema',
  read: 'read from its documents',
} as const;

/** How the formats are known, the strongest first; the formats are named where they differ. */
function evidenceOf(formats: ConsumerRow['formats']): string {
  const found = Object.entries(EVIDENCE).map(([evidence, words]) => {
    const of = Object.keys(formats).filter((format) => formats[format]?.evidence === evidence);
    if (of.length === 0) return '';
    return of.length === Object.keys(formats).length ? words : `${words}: ${of.map(code).join(', ')}`;
  });
  return found.filter((each) => each !== '').join('; ');
}

const sections = await consumerSections();

/** The generated parts, by the name in their marker. */
const parts: Readonly<Record<string, () => string>> = {
  commands: () =>
    table(
      ['command', 'does'],
      names.map((name) => [code(`podpass ${name}`), commandRows[name].summary]),
    ),
  annotations: () => annotationsTable((key) => !key.startsWith(PROXY)),
  proxy: () => annotationsTable((key) => key.startsWith(PROXY)),
  presets: () =>
    table(
      ['preset', 'key', 'on', 'value', 'meaning'],
      presetRows.map((row: PresetRow) => [
        row.preset,
        `${code(`${presetPrefix(row)}/${row.key}`)}${row.kind === 'label' ? ' (label)' : ''}`,
        row.on,
        row.value,
        row.meaning,
      ]),
    ),
  replaced: () =>
    table(
      ['preset', 'of its own webhook', 'of podpass', 'default'],
      (Object.entries(settingRows) as [SettingKey, SettingRow][]).flatMap(([key, row]) => {
        const preset = presetNames.find((name) => key.startsWith(name));
        if (row.replaces === undefined || preset === undefined) return [];
        return [[preset, code(row.replaces), code(flagOf(key)), code(row.default ?? '')]];
      }),
    ),
  settings: () =>
    names.map((name) => `#### \`podpass ${name}\`\n\n${settingsTable(name, commandRows[name])}`).join('\n\n'),
  consumers: () =>
    table(
      ['consumer', 'what it is', 'formats', 'evidence'],
      (Object.entries(consumerRows) as [string, ConsumerRow][]).map(([name, { summary, formats }]) => [
        `[${code(name)}](docs/consumers.md#${name})`,
        summary,
        Object.keys(formats).map(code).join(', '),
        evidenceOf(formats),
      ]),
    ),
  consumerSections: () => sections,
  findings: () =>
    table(
      ['code', 'about', 'meaning'],
      Object.entries(findingRows).map(([name, row]) => [code(name), row.about, row.meaning]),
    ),
  verifiers: () =>
    table(
      ['verifier', 'version', 'is', 'keys', 'through a rotation'],
      verifiedWith.map((row) => [row.name, pinnedVersion(row), row.is, row.keys, row.rotation]),
    ),
  metrics: () =>
    table(
      ['metric', 'type', 'of', 'labels', 'meaning'],
      (Object.entries(metricRows) as [string, MetricRow][]).map(([name, row]) => [
        code(name),
        row.type,
        row.service,
        Object.entries(row.labels ?? {})
          .map(([label, values]) => `${code(label)}: ${values.map(code).join(', ')}`)
          .join('; '),
        row.help,
      ]),
    ),
};

const PROXY: PlainKey = 'oauth2-proxy';

function annotationsTable(isIn: (key: string) => boolean): string {
  return table(
    ['key under `podpass.dev/`', 'on', 'value', 'meaning', 'example'],
    annotationRows
      .filter(({ key }) => isIn(key))
      .map((row) => [
        code(row.named ? `${row.key}.<name>` : row.key),
        row.on,
        row.value,
        row.meaning,
        code(row.example),
      ]),
  );
}

function presetPrefix({ preset, kind }: PresetRow): string {
  if (preset === 'azure') return AZURE_PREFIX;
  if (kind === 'label') return AWS_LABEL_PREFIX;
  return preset === 'aws' ? settingRows.awsAnnotationPrefix.default : settingRows.gcpAnnotationPrefix.default;
}

/** The variable is always `PODPASS_` and the flag in upper snake case, the key in a config file its camelCase. */
function settingsTable(name: CommandName, row: CommandRow): string {
  const own = row.settings.filter((key) => key !== 'help' && key !== 'config');
  return table(
    ['flag', 'variable', 'meaning', 'accepted'],
    own.map((key: SettingKey) => {
      const { short, flagOnly, otherVariable }: SettingRow = settingRows[key];
      const flag = `${short === undefined ? '' : `-${short}, `}${flagOf(key)}`;
      const variables = flagOnly ? [] : [variableOf(key), ...(otherVariable === undefined ? [] : [otherVariable])];
      return [code(flag), variables.map(code).join(', '), describeSetting(name, key), codecOf(name, key).accepted];
    }),
  );
}

const seen = new Set<string>();
for (const path of DOCUMENTS) {
  const file = new URL(`../${path}`, import.meta.url);
  const before = readFileSync(file, 'utf8');
  const after = before.replace(
    /(<!-- generated: (\w+) -->\n)[\s\S]*?(<!-- end -->)/g,
    (_, start: string, part: string, end: string) => {
      seen.add(part);
      return `${start}\n${parts[part]?.() ?? ''}\n\n${end}`;
    },
  );
  if (before === after) continue;
  if (process.argv.includes('--check')) {
    console.error(`${path} is not up to date: run \`npm run reference\``);
    process.exitCode = 1;
  } else writeFileSync(file, after);
}
const missing = Object.keys(parts).filter((part) => !seen.has(part));
if (missing.length > 0) {
  console.error(`no document has a place for: ${missing.join(', ')}`);
  process.exitCode = 1;
}

// ---- manifests -------------------------------------------------------------------------------------------------------

const MANIFESTS = new URL('../manifests/', import.meta.url);
const wanted = manifestFiles();
const isGenerated = (path: string) =>
  readFileSync(new URL(path, MANIFESTS), 'utf8').slice(0, 200).includes('Generated from');
const stale = readdirSync(MANIFESTS, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile())
  .map((entry) => `${entry.parentPath}/${entry.name}`.slice(MANIFESTS.pathname.length))
  .filter((path) => !wanted.has(path) && isGenerated(path));
for (const path of [...wanted.keys(), ...stale]) {
  const file = new URL(path, MANIFESTS);
  const text = wanted.get(path);
  if (existsSync(file) && readFileSync(file, 'utf8') === text) continue;
  if (process.argv.includes('--check')) {
    console.error(`manifests/${path} is not up to date: run \`npm run reference\``);
    process.exitCode = 1;
  } else if (text === undefined) rmSync(file);
  else {
    mkdirSync(dirname(file.pathname), { recursive: true });
    writeFileSync(file, text);
  }
}
