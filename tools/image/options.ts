import { existsSync, readdirSync, statSync } from 'node:fs';
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

const COMMAND = 'npm run image';
const platforms = architectures.map((each) => `linux/${each}`);

export const help = `Writes the container image, an OCI image layout in a tar archive, and its SBOM beside it.

Usage: ${COMMAND} -- [flags]

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

  const isHelp = values.help !== undefined;
  if (problems.length > 0 && !isHelp) return problems;
  return {
    help: isHelp,
    output: output ?? `build/podpass-${version}-linux-${own}.tar`,
    name: name as ImageName,
    architecture: own as Architecture,
    rootfs,
    seconds,
  };
}

type Refuse = (key: string, value: string | undefined, wrong: string, accepted: string) => unknown;

function readFlags(argv: readonly string[], refuse: Refuse): Partial<Record<Key, string>> {
  const known = Object.keys(options).map((key) => `--${key}`);
  const values: Partial<Record<Key, string>> = {};
  const rest = [...argv];
  for (let word = rest.shift(); word !== undefined; word = rest.shift()) {
    const [, flag = '', inline] = /^(--[^=]*)(?:=(.*))?$/s.exec(word) ?? [];
    const isKnown = known.includes(flag);
    const key = flag.slice(2) as Key;
    // What follows an unknown flag is most likely its value, and no second fault.
    const takesValue = flag !== '' && !(isKnown && options[key].metavar === '');
    const value = inline ?? (takesValue && rest[0]?.startsWith('-') === false ? rest.shift() : undefined);
    if (flag === '') refuse('argument', word, 'is one too many', 'flags only');
    else if (!isKnown) refuse('flag', flag, 'is not known', known.join(', '));
    else if (!takesValue && inline !== undefined) refuse(flag, inline, 'is a value too many', 'the flag alone');
    else if (takesValue && !value) refuse(flag, undefined, 'has no value', options[key].metavar);
    else if (values[key] !== undefined) refuse(flag, value, 'is a second value', 'the flag once');
    else values[key] = value ?? 'true';
  }
  return values;
}
