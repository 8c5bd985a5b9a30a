/**
 * Independent judges of tokens, each a program of its own in another language that knows nothing but the issuer's URL:
 * jose (Node), go-oidc (Go) and PyJWT (Python).
 */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Ran, runProgram } from './podpass.ts';
import { clusterBinaries } from './suite.ts';

export type Verdict = { ok: true; subject: string; claims: Record<string, unknown> } | { ok: false; error: string };

export interface Issuer {
  url: string;
  caFile: string;
}

export interface Verifier {
  readonly name: string;
  /** One verdict for each token, in their order. Throws where the program itself fails. */
  judge(issuer: Issuer, audience: string, tokens: readonly string[]): Promise<Verdict[]>;
}

const folder = fileURLToPath(new URL('./verifiers/', import.meta.url));

export const jose: Verifier = {
  name: 'jose',
  async judge({ url, caFile }, audience, tokens) {
    const args = [join(folder, 'verify-jose.mjs'), url, audience];
    const env = { NODE_EXTRA_CA_CERTS: caFile };
    return verdicts('jose', await runProgram(process.execPath, args, { input: lines(tokens), env }), tokens);
  },
};

export const goOidc: Verifier = {
  name: 'go-oidc',
  async judge({ url, caFile }, audience, tokens) {
    const args = ['--issuer', url, '--audience', audience, '--ca', caFile];
    return verdicts('go-oidc', await runProgram(clusterBinaries().verify, args, { input: lines(tokens) }), tokens);
  },
};

/** With PyJWT in an environment of its own, which is made at the first use. A reason where this machine cannot. */
export async function pyJwt(): Promise<Verifier | { reason: string }> {
  const python = await pythonEnvironment();
  if ('reason' in python) return python;
  return {
    name: 'PyJWT',
    async judge({ url, caFile }, audience, tokens) {
      const args = ['-I', join(folder, 'verify-pyjwt.py'), url, audience, caFile];
      return verdicts('PyJWT', await runProgram(python.program, args, { input: lines(tokens) }), tokens);
    },
  };
}

const lines = (tokens: readonly string[]) => tokens.map((token) => `${token}\n`).join('');

function verdicts(name: string, { code, stdout, stderr }: Ran, tokens: readonly string[]): Verdict[] {
  const printed = stdout.split('\n').filter((line) => line !== '');
  if (code !== 0 || printed.length !== tokens.length) {
    throw new Error(`${name}: exit code ${code}, ${printed.length} verdicts on ${tokens.length} tokens\n${stderr}`);
  }
  return printed.map((line) => JSON.parse(line) as Verdict);
}

/** Outside the checkout, beside the binaries; a fresh clone with the same requirements starts at once. */
async function pythonEnvironment(): Promise<{ program: string } | { reason: string }> {
  const requirements = join(folder, 'requirements.txt');
  const system = { PATH: process.env.PATH ?? '', HOME: homedir() };
  const version = await runProgram('python3', ['-c', 'import sys; print(sys.version, sys.prefix)'], {
    env: system,
  }).catch(() => undefined);
  if (version?.code !== 0) return { reason: 'python3 is not installed' };
  const recipe = JSON.stringify([version.stdout, await readFile(requirements, 'utf8')]);
  const root = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'podpass', 'python');
  const home = join(root, createHash('sha256').update(recipe).digest('hex').slice(0, 24));
  const program = join(home, 'bin', 'python');
  if (existsSync(program)) return { program };

  process.stderr.write('cluster tests: installing PyJWT (first run only)\n');
  await mkdir(root, { recursive: true });
  // Several runs may do this at once: each in a folder of its own, and the first one to end gives the name.
  const workplace = await mkdtemp(join(root, 'building-'));
  try {
    // All of the environment here: pip may need a proxy or an index of this machine's.
    const env = { ...(process.env as Record<string, string>), PIP_DISABLE_PIP_VERSION_CHECK: '1' };
    const steps: [string, string[]][] = [
      ['python3', ['-m', 'venv', workplace]],
      [join(workplace, 'bin', 'python'), ['-m', 'pip', 'install', '--quiet', '--requirement', requirements]],
    ];
    for (const [step, args] of steps) {
      const { code, stdout, stderr } = await runProgram(step, args, { env });
      if (code !== 0) {
        const told = `${stdout}${stderr}`.trim().split('\n').slice(-3).join(' ');
        return { reason: `${args.slice(0, 3).join(' ')} failed: ${told}` };
      }
    }
    await rename(workplace, home).catch((error) => {
      if (!existsSync(program)) throw error;
    });
    return { program };
  } finally {
    await rm(workplace, { recursive: true, force: true });
  }
}
