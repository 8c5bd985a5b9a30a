import { readFileSync } from 'node:fs';
import { type CommandName, type CommandSettings, commandRows } from '../catalog/commands.ts';
import { describe, Failure, messageOf, type Problem } from '../fault.ts';
import { parseSettings } from '../settings.ts';
import { commandHelp, overview } from './help.ts';
import type { Terminal } from './terminal.ts';

type Run<C extends CommandName> = (
  settings: CommandSettings<C>,
  terminal: Terminal,
  argument: string | undefined,
  issuers: readonly CommandSettings<C>[],
) => Promise<number>;

/** Each command is loaded when it is called: `mutate` does not pay for the Kubernetes client, nor the webhook for YAML. */
const commands: { readonly [C in CommandName]: () => Promise<Run<C>> } = {
  webhook: async () => (await import('./webhook.ts')).runWebhook,
  discovery: async () => (await import('./discovery.ts')).runDiscovery,
  demo: async () => (await import('./demo.ts')).runDemo,
  mutate: async () => (await import('./mutate.ts')).runMutate,
  jwks: async () => (await import('./jwks.ts')).runJwks,
  keys: async () => (await import('./keys.ts')).runKeys,
  publish: async () => (await import('./publish.ts')).runPublish,
  verify: async () => (await import('./verify.ts')).runVerify,
  doctor: async () => (await import('./doctor.ts')).runDoctor,
  render: async () => (await import('./render.ts')).runRender,
  manifests: async () => (await import('./manifests.ts')).runManifests,
};

/** Runs the command line and resolves with its exit code: 0 done, 1 failed, 2 wrong use. */
export async function main(
  argv: readonly string[],
  version: string,
  terminal: Omit<Terminal, 'version'>,
): Promise<number> {
  const [name, ...rest] = argv;
  if (name === '--version' || name === '-V') {
    terminal.out(`${version}\n`);
    return 0;
  }
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    const text = overview(version);
    if (name === undefined) terminal.err(text);
    else terminal.out(text);
    return name === undefined ? 2 : 0;
  }
  if (!Object.hasOwn(commandRows, name)) {
    const accepted = Object.keys(commandRows).join(', ');
    terminal.err(`${describe({ object: 'podpass', key: 'command', value: name, wrong: 'is not known', accepted })}\n`);
    return 2;
  }
  return run(name as CommandName, rest, { ...terminal, version });
}

async function run<C extends CommandName>(command: C, argv: readonly string[], terminal: Terminal): Promise<number> {
  const readFile = (path: string) => readFileSync(path, 'utf8');
  const parsed = parseSettings(command, { argv, env: terminal.env, readFile });
  if (!parsed.ok) return refuse(command, parsed.problems, terminal);
  if (parsed.help) {
    terminal.out(commandHelp(command));
    return 0;
  }
  try {
    const start = await commands[command]();
    return await start(parsed.settings, terminal, parsed.argument, parsed.issuers);
  } catch (error) {
    const stack = error instanceof Failure || !(error instanceof Error) ? '' : `${error.stack}\n`;
    terminal.err(`podpass ${command}: ${messageOf(error)}\n${stack}`);
    return 1;
  }
}

function refuse(command: CommandName, problems: readonly Problem[], terminal: Terminal): number {
  for (const problem of problems) terminal.err(`${describe(problem)}\n`);
  terminal.err(`podpass ${command} --help tells what it takes.\n`);
  return 2;
}
