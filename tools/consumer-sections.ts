/** The sections of docs/consumers.md, one for each row of the catalog, with what the command prints. */
import {
  type ConsumerName,
  type ConsumerRow,
  consumerRows,
  type FormatRow,
  type Syntax,
  standIns,
} from '../src/catalog/consumers.ts';
import { flagOf } from '../src/catalog/settings.ts';
import { main } from '../src/cli/main.ts';

const EVIDENCE = {
  run: 'a test in which the consumer runs it',
  schema: "a test in which the consumer's own check takes it",
  read: 'its documentation and source',
} as const;

const FENCE: Readonly<Record<Syntax, string>> = {
  ...{ yaml: 'yaml', json: 'json', toml: 'toml', nginx: 'nginx', shell: 'sh', hcl: 'hcl' },
  ...{ properties: 'properties', python: 'python', text: 'text' },
};

const AUDIENCES: Readonly<Partial<Record<ConsumerName, string>>> = {
  keycloak: 'https://sso.example.com/realms/main',
};

/** Longer outputs are shown to here. */
const LINES = 45;

/** Flags with their values, as one writes them. */
function flagsFor(name: ConsumerName, format: string, row: FormatRow): readonly (readonly [string, string])[] {
  const { preset }: ConsumerRow = consumerRows[name];
  const audience = AUDIENCES[name] ?? 'https://api.example.com';
  return [
    ['-o', format],
    ['--issuer', 'https://k8s.example.com'],
    ...(row.audiences === 'none' || preset !== undefined ? [] : [['--audience', audience] as const]),
    ...(row.callers === false ? [] : [['--service-account', 'shop/web'] as const]),
    ...(row.needs ?? []).map((key) => [flagOf(key), standIns[key]] as const),
  ];
}

interface Printed {
  readonly body: string;
  readonly checks: readonly string[];
}

async function run(argv: readonly string[]): Promise<Printed> {
  let [out, err] = ['', ''];
  const code = await main(argv, '', {
    env: {},
    out: (text) => {
      out += text;
    },
    err: (text) => {
      err += text;
    },
    readInput: async () => Buffer.of(),
    colours: false,
  });
  if (code !== 0) throw new Error(`podpass ${argv.join(' ')}: exit code ${code}: ${err}`);
  const found = [...out.matchAll(/^# - (.*)$/gm), ...err.matchAll(/^check: (.*)$/gm)];
  const body = out.replace(/^(#.*\n)+(set -eu\n)?/, '').trimEnd();
  return { body, checks: found.map(([, check = '']) => check) };
}

async function section(name: ConsumerName): Promise<string> {
  const { summary, formats }: ConsumerRow = consumerRows[name];
  const [first] = Object.entries(formats);
  if (first === undefined) throw new Error(`${name} has no format`);
  const outputs: Printed[] = [];
  for (const [format, row] of Object.entries(formats))
    outputs.push(await run(['render', name, ...flagsFor(name, format, row).flat()]));
  const lines = (outputs[0]?.body ?? '').split('\n');
  const shown = lines.length > LINES ? [...lines.slice(0, LINES), '…'] : lines;
  const flags = flagsFor(name, ...first).map((pair) => pair.join(' '));
  const told = new Set<string>();
  const checks = Object.keys(formats).flatMap((format, index) => {
    const more = (outputs[index]?.checks ?? []).filter((check) => !told.has(check));
    for (const check of more) told.add(check);
    const title = index === 0 ? 'What to check:' : `With \`-o ${format}\` also:`;
    return more.length === 0 ? [] : [`${title}\n\n${more.map((check) => `- ${check}`).join('\n')}`];
  });
  return [
    `## ${name}`,
    `For ${summary}.`,
    [
      '| format | prints | known by |',
      '| --- | --- | --- |',
      ...Object.entries(formats).map(
        ([each, { about, evidence, provenBy }]) =>
          `| \`${each}\` | ${about} | ${provenBy === undefined ? EVIDENCE[evidence] : `[${EVIDENCE[evidence]}](../${provenBy})`} |`,
      ),
    ].join('\n'),
    `\`\`\`sh\npodpass render ${[name, ...flags].join(' \\\n  ')}\n\`\`\``,
    `\`\`\`${FENCE[first[1].syntax]}\n${shown.join('\n')}\n\`\`\``,
    ...checks,
  ].join('\n\n');
}

export async function consumerSections(): Promise<string> {
  const sections = [];
  for (const name of Object.keys(consumerRows) as ConsumerName[]) sections.push(await section(name));
  return sections.join('\n\n');
}
