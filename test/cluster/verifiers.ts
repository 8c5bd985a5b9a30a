/**
 * Independent judges of tokens, each a program of its own that knows nothing but the issuer's URL: jose (Node), go-oidc
 * and cap (Go), PyJWT (Python) and Nimbus (Java).
 */
import { spawn } from 'node:child_process';
import { delimiter, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { TestContext } from 'vitest';
import { javaWith, type Missing, pythonWith } from './cached-install.ts';
import { type Ran, runProgram } from './podpass.ts';
import { clusterBinaries } from './suite.ts';

export const verifierNames = ['jose', 'go-oidc', 'PyJWT', 'Nimbus', 'cap'] as const;
export type VerifierName = (typeof verifierNames)[number];

export type Verdict = { ok: true; subject: string; claims: Record<string, unknown> } | { ok: false; error: string };

export interface Issuer {
  url: string;
  caFile: string;
}

/** One command line of a verifier. */
interface Program {
  program: string;
  args: string[];
  env?: Record<string, string>;
}

/** A verifier that stays, with the keys that it has: a relying party that runs for days. */
export interface Resident {
  /** One verdict for each token, in their order. */
  judge(tokens: readonly string[]): Promise<Verdict[]>;
  stop(): Promise<void>;
}

export class Verifier {
  readonly name: VerifierName;
  readonly #programOf: (words: string[], issuer?: Issuer) => Program;

  constructor(name: VerifierName, programOf: (words: string[], issuer?: Issuer) => Program) {
    this.name = name;
    this.#programOf = programOf;
  }

  /** As the library itself says. */
  async version(): Promise<string> {
    const { program, args, env = {} } = this.#programOf(['--version']);
    const { code, stdout, stderr } = await runProgram(program, args, { env });
    if (code !== 0) throw new Error(`${this.name} --version: exit code ${code}\n${stderr}`);
    return stdout.trim();
  }

  /**
   * One verdict for each token, in their order, of a verifier that has just started. Without algorithms it accepts those
   * of the discovery document (cap: RS256 alone). Throws where the program itself fails.
   */
  async judge(
    issuer: Issuer,
    audience: string,
    tokens: readonly string[],
    algorithms: readonly string[] = [],
  ): Promise<Verdict[]> {
    const { program, args, env = {} } = this.#programOf([issuer.url, audience, ...commaList(algorithms)], issuer);
    const input = tokens.map((token) => `${token}\n`).join('');
    return verdicts(this.name, await runProgram(program, args, { input, env }), tokens);
  }

  /** Starts it and lets it stay; it has read the issuer's documents when the promise is fulfilled. */
  async stay(
    issuer: Issuer,
    audience: string,
    first: readonly string[],
    algorithms: readonly string[] = [],
  ): Promise<{ resident: Resident; verdicts: Verdict[] }> {
    const resident = start(this.name, this.#programOf([issuer.url, audience, ...commaList(algorithms)], issuer));
    try {
      return { resident, verdicts: await resident.judge(first) };
    } catch (error) {
      await resident.stop();
      throw error;
    }
  }
}

const commaList = (algorithms: readonly string[]) => (algorithms.length === 0 ? [] : [algorithms.join()]);
const folder = fileURLToPath(new URL('./verifiers/', import.meta.url));

export const jose = new Verifier('jose', (words, issuer) => ({
  program: process.execPath,
  args: [join(folder, 'verify-jose.mjs'), ...words],
  env: issuer === undefined ? {} : { NODE_EXTRA_CA_CERTS: issuer.caFile },
}));

/** Both Go programs take flags. */
const goFlags = ([issuer = '', audience, algorithms]: string[], caFile?: string) =>
  audience === undefined
    ? [issuer]
    : [
        ...['--issuer', issuer, '--audience', audience],
        ...(caFile === undefined ? [] : ['--ca', caFile]),
        ...(algorithms === undefined ? [] : ['--algorithms', algorithms]),
      ];

export const goOidc = new Verifier('go-oidc', (words, issuer) => ({
  program: clusterBinaries().verify,
  args: goFlags(words, issuer?.caFile),
}));

const cap = new Verifier('cap', (words, issuer) => ({
  program: clusterBinaries().cap,
  args: goFlags(words, issuer?.caFile),
}));

/** The CA file is the third word of those that have no flag for it. */
function withCa([issuer = '', audience, ...rest]: string[], caFile?: string): string[] {
  return audience === undefined || caFile === undefined ? [issuer] : [issuer, audience, caFile, ...rest];
}

async function pyJwt(): Promise<Verifier | Missing> {
  const python = await pythonWith(join(folder, 'requirements.txt'), 'PyJWT');
  if ('reason' in python) return python;
  return new Verifier('PyJWT', (words, issuer) => ({
    program: python.program,
    args: ['-I', join(folder, 'verify-pyjwt.py'), ...withCa(words, issuer?.caFile)],
  }));
}

async function nimbus(): Promise<Verifier | Missing> {
  const java = await javaWith(join(folder, 'pom.xml'), join(folder, 'VerifyNimbus.java'), 'Nimbus');
  if ('reason' in java) return java;
  return new Verifier('Nimbus', (words, issuer) => ({
    program: java.program,
    // A short life is not worth the second compiler.
    args: [
      '-XX:TieredStopAtLevel=1',
      '-cp',
      java.classPath.join(delimiter),
      'VerifyNimbus',
      ...withCa(words, issuer?.caFile),
    ],
  }));
}

/** All of them; those with packages of their own are installed at the first use. */
export class Verifiers {
  readonly #found: Record<VerifierName, Verifier | Missing>;

  private constructor(found: Record<VerifierName, Verifier | Missing>) {
    this.#found = found;
  }

  /** Under CI one that is missing is a failure. */
  static async open(): Promise<Verifiers> {
    const found = { jose, 'go-oidc': goOidc, PyJWT: await pyJwt(), Nimbus: await nimbus(), cap };
    for (const [name, each] of Object.entries(found)) if ('reason' in each) reportMissing(name, each);
    return new Verifiers(found);
  }

  /** Skips the test, with the reason, where this machine cannot run it. */
  get(name: VerifierName, context: Pick<TestContext, 'skip'>): Verifier {
    const found = this.#found[name];
    return 'reason' in found ? context.skip(found.reason) : found;
  }

  /** Those that this machine can run. */
  get present(): Verifier[] {
    return Object.values(this.#found).filter((each) => each instanceof Verifier);
  }
}

export function reportMissing(name: string, { reason }: Missing): void {
  if (process.env.CI && process.env.CI !== 'false') throw new Error(`${name} cannot run: ${reason}`);
  process.stderr.write(`cluster tests: SKIPPED: ${name}: ${reason}\n`);
}

function verdicts(name: string, { code, stdout, stderr }: Ran, tokens: readonly string[]): Verdict[] {
  const printed = stdout.split('\n').filter((line) => line !== '');
  if (code !== 0 || printed.length !== tokens.length) {
    throw new Error(`${name}: exit code ${code}, ${printed.length} verdicts on ${tokens.length} tokens\n${stderr}`);
  }
  return printed.map((line) => JSON.parse(line) as Verdict);
}

/** Every program ends with its input, so none outlives the tests. */
function start(name: string, { program, args, env = {} }: Program): Resident {
  const child = spawn(program, args, { env, stdio: ['pipe', 'pipe', 'pipe'] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  let complaint = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaint = (complaint + text).slice(-4000);
  });
  child.stdin.on('error', () => undefined);
  const ended = new Promise<void>((fulfil) => {
    child.once('error', (error) => {
      complaint += error.message;
      fulfil();
    });
    child.once('close', () => fulfil());
  });
  return {
    async judge(tokens) {
      const found: Verdict[] = [];
      for (const token of tokens) {
        child.stdin.write(`${token}\n`);
        const { done, value } = await lines.next();
        if (done) throw new Error(`${name} has ended\n${complaint}`);
        found.push(JSON.parse(value) as Verdict);
      }
      return found;
    },
    async stop() {
      child.stdin.end();
      const timer = setTimeout(() => child.kill('SIGKILL'), 5_000);
      await ended;
      clearTimeout(timer);
    },
  };
}
