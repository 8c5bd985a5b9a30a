import { existsSync, readdirSync, statSync } from 'node:fs';
import { parseArgs } from 'node:util';
import type { Problem } from '../../src/fault.ts';
import { type Architecture, architectures } from './platform.ts';
import { accepted as acceptedName, type ImageName, imageName } from './reference.ts';

export interface Options {
  readonly help: boolean;
  readonly output: string;
  readonly name: ImageName;
  readonly architecture: Architecture;
  /** The folder to write the root file system into, in place of an archive. */
  readonly rootfs: string | undefined;
  /** The time of everything, in seconds since 1970. */
  readonly seconds: number;
}

interface Option {
  readonly metavar: string;
  readonly help: string;
}

const options = {
  output: { metavar: 'FILE', help: 'the archive; without it build/podpass-VERSION-linux-ARCH.tar' },
  name: { metavar: 'IMAGE', help: 'its name and tag; without it podpass:VERSION, as the manifests have it' },
  platform: { metavar: 'PLATFORM', help: "linux/amd64 or linux/arm64; only this machine's can be built" },
  rootfs: { metavar: 'DIR', help: 'writes the root file system alone, into this folder, which must be new or empty' },
  help: { metavar: '', help: 'prints this help' },
} as const satisfies Readonly<Record<string, Option>>;
type Key = keyof typeof options;

const COMMAND = 'npm run image --';
const platforms = architectures.map((each) => `linux/${each}`);

export const help = `Writes the container image, an OCI image layout in a tar archive, and its SBOM beside it.

Usage: ${COMMAND} [flags]

${Object.entries<Option>(options)
  .map(([key, { metavar, help: text }]) => `  ${`--${key} ${metavar}`.padEnd(22)}${text}`)
  .join('\n')}

SOURCE_DATE_EPOCH in the environment is the time of everything in it, in seconds since 1970; without it 0.
`;

/** The options, or every problem of them at once. `own` is this machine's platform, undefined where it can make none. */
export function parseOptions(
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
  version: string,
  own: Architecture | undefined,
): Options | readonly Problem[] {
  const problems: Problem[] = [];
  const refuse = (key: string, value: string | undefined, wrong: string, accepted: string, object = COMMAND) =>
    problems.push({ object, key, wrong, accepted, ...(value !== undefined && { value }) });
  const values = readFlags(argv, refuse);

  const name = imageName(values.name ?? `podpass:${version}`);
  if (typeof name === 'string') refuse('--name', values.name, name, acceptedName);

  const platform = values.platform ?? (own && `linux/${own}`);
  if (platform === undefined) {
    refuse(
      '--platform',
      undefined,
      "is missing, and this machine's is no such",
      `${platforms.join(', ')}, on a machine of it`,
    );
  } else if (!platforms.includes(platform)) refuse('--platform', platform, 'is not known', platforms.join(', '));
  else if (platform !== `linux/${own}`) {
    const wrong = "cannot be made here: Node's shared libraries come from the machine that builds";
    refuse('--platform', platform, wrong, own === undefined ? 'a machine of it, or the Dockerfile' : `linux/${own}`);
  }

  const { rootfs, output } = values;
  if (rootfs !== undefined && existsSync(rootfs)) {
    if (!statSync(rootfs).isDirectory()) refuse('--rootfs', rootfs, 'is no folder', 'a new or empty folder');
    else if (readdirSync(rootfs).length > 0) refuse('--rootfs', rootfs, 'is not empty', 'a new or empty folder');
  }
  if (rootfs !== undefined) {
    for (const key of ['output', 'name'] as const) {
      if (values[key] !== undefined) refuse(`--${key}`, values[key], 'is for an archive', 'either it or --rootfs');
    }
  }
  if (output !== undefined && existsSync(output) && !statSync(output).isFile())
    refuse('--output', output, 'is no file', 'the path of a file, new or old');

  // reproducible-builds.org/specs/source-date-epoch; eleven octal digits are what a tar header holds.
  const { SOURCE_DATE_EPOCH: epoch = '0' } = env;
  const seconds = /^\d{1,11}$/.test(epoch) ? Number(epoch) : Number.NaN;
  if (!(seconds < 8 ** 11))
    refuse('SOURCE_DATE_EPOCH', epoch, 'is no such time', 'whole seconds since 1970, below 8^11', 'environment');

  if (values.help) problems.length = 0;
  if (problems.length > 0) return problems;
  return {
    help: values.help === true,
    output: output ?? `build/podpass-${version}-linux-${own}.tar`,
    name: name as ImageName,
    architecture: own as Architecture,
    rootfs,
    seconds,
  };
}

type Refuse = (key: string, value: string | undefined, wrong: string, accepted: string) => unknown;

function readFlags(
  argv: readonly string[],
  refuse: Refuse,
): { [K in Exclude<Key, 'help'>]?: string } & { help?: true } {
  const known = Object.keys(options) as Key[];
  const types = Object.fromEntries(
    known.map((key) => [key, { type: options[key].metavar === '' ? ('boolean' as const) : ('string' as const) }]),
  );
  const { tokens } = parseArgs({
    args: [...argv],
    options: types,
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  const values: Partial<Record<Key, string>> = {};
  for (const token of tokens) {
    if (token.kind === 'positional') refuse('argument', token.value, 'is one too many', 'flags only');
    if (token.kind !== 'option') continue;
    const { name, rawName } = token;
    const key = known.find((each) => `--${each}` === rawName);
    if (key === undefined) refuse('flag', rawName, 'is not known', known.map((each) => `--${each}`).join(', '));
    else if (options[key].metavar === '') values[key] = 'true';
    // parseArgs would take the flag that follows for the value.
    else if (token.value === undefined || token.value === '' || (!token.inlineValue && token.value.startsWith('--')))
      refuse(rawName, undefined, 'has no value', options[key].metavar);
    else if (values[key] !== undefined) refuse(rawName, token.value, 'is a second value', 'the flag once');
    else values[name as Key] = token.value;
  }
  const { help: asked, ...rest } = values;
  return { ...rest, ...(asked === 'true' && { help: true }) };
}
