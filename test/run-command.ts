/** Runs commands in this process, with a terminal that keeps what they write. */
import { main } from '../src/cli/main.ts';

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export async function runCommand(
  argv: readonly string[],
  { input = '', env = {}, version = '0.0.0' }: { input?: string; env?: Record<string, string>; version?: string } = {},
): Promise<Ran> {
  let out = '';
  let err = '';
  const code = await main(argv, version, {
    env,
    out: (text) => {
      out += text;
    },
    err: (text) => {
      err += text;
    },
    readInput: async () => Buffer.from(input),
    colours: false,
  });
  return { code, out, err };
}
