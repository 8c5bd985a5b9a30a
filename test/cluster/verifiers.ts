/**
 * Independent judges of tokens, each a program of its own in another language that knows nothing but the issuer's URL:
 * jose (Node), go-oidc (Go) and PyJWT (Python).
 */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Missing, pythonWith } from './cached-install.ts';
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
export async function pyJwt(): Promise<Verifier | Missing> {
  const python = await pythonWith(join(folder, 'requirements.txt'), 'PyJWT');
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
