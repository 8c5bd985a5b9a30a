import type { CommandSettings } from '../catalog/commands.ts';
import { type ConsumerName, type ConsumerRow, consumerNames, consumerRows } from '../catalog/consumers.ts';
import { describe, type Problem } from '../fault.ts';
import { type Asked, gather } from './render/gather.ts';
import { make } from './render/make.ts';
import type { Terminal } from './terminal.ts';

/** Exit code 2 where something is missing or is known to fail: nothing is printed then. */
export async function runRender(
  settings: CommandSettings<'render'>,
  terminal: Terminal,
  argument: string | undefined,
): Promise<number> {
  const refuse = (problems: readonly Problem[]) => {
    for (const problem of problems) terminal.err(`${describe(problem)}\n`);
    terminal.err('podpass render --help tells what it takes.\n');
    return 2;
  };
  const asked = askedFor(argument ?? '', settings.format);
  if ('problem' in asked) return refuse([asked.problem]);
  const gathered = await gather(asked, settings, terminal);
  if ('problems' in gathered) return refuse(gathered.problems);
  const { text, checks, warnings, problems } = make(asked.consumer, asked.format, gathered.facts);
  for (const warning of warnings) terminal.err(`warning: ${warning}\n`);
  if (problems.length > 0) return refuse(problems);
  terminal.out(text);
  for (const check of checks) terminal.err(`check: ${check}\n`);
  return 0;
}

function askedFor(name: string, format: string | undefined): Asked | { readonly problem: Problem } {
  const consumer = consumerNames.find((each): each is ConsumerName => each === name);
  if (consumer === undefined) {
    const accepted = consumerNames.join(', ');
    return { problem: { object: 'podpass render', key: 'CONSUMER', value: name, wrong: 'is not known', accepted } };
  }
  const { formats }: ConsumerRow = consumerRows[consumer];
  const names = Object.keys(formats);
  const found = format === undefined ? names[0] : names.find((each) => each === format);
  if (found !== undefined) return { consumer, format: found };
  const object = `podpass render ${consumer}`;
  return {
    problem: { object, key: '--format', value: format ?? '', wrong: 'is not known', accepted: names.join(', ') },
  };
}
