/** The clouds' own libraries, in the versions of packages/package-lock.json and packages/requirements.txt. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { TestContext } from 'vitest';
import { type Missing, nodeModulesOf, pythonWith } from '../cached-install.ts';
import type { SimulatedContainer } from './container.ts';

const folder = fileURLToPath(new URL('./', import.meta.url));

/** What a program prints: `ok` and more, or `ok: false` and an `error`. */
export type Said = { ok: boolean; error?: string; [field: string]: unknown };

export interface Sdk {
  /** Skips the test where this machine lacks the library; the reason has been printed. */
  run(context: TestContext, container: SimulatedContainer, args: string[], outside?: Outside): Promise<Said>;
}

export type Outside = Readonly<Record<string, string>>;

/** Runs `script` with Node's or Python's libraries. */
export async function sdk(script: string): Promise<Sdk> {
  const program = join(folder, script);
  if (script.endsWith('.py')) {
    const python = checked(
      await pythonWith(join(folder, 'packages/requirements.txt'), 'the Python libraries of the clouds'),
    );
    return {
      run: async (context, container, args, outside) =>
        'reason' in python
          ? context.skip(python.reason)
          : said(script, await container.run(python.program, ['-I', program, ...args], { ...outside })),
    };
  }
  const modules = checked(
    await nodeModulesOf(join(folder, 'packages/package.json'), 'the Node libraries of the clouds'),
  );
  return {
    run: async (context, container, args, outside) =>
      'reason' in modules
        ? context.skip(modules.reason)
        : said(script, await container.run(process.execPath, [program, modules.folder, ...args], { ...outside })),
  };
}

function checked<T extends object>(found: T | Missing): T | Missing {
  if (!('reason' in found)) return found;
  if (process.env.CI && process.env.CI !== 'false') throw new Error(`a cloud's library cannot run: ${found.reason}`);
  process.stderr.write(`cluster tests: SKIPPED: libraries of the clouds: ${found.reason}\n`);
  return found;
}

function said(script: string, { code, stdout, stderr }: Awaited<ReturnType<SimulatedContainer['run']>>): Said {
  try {
    return JSON.parse(stdout) as Said;
  } catch {
    throw new Error(`${script}: exit code ${code}, no JSON\n${stdout}${stderr}`);
  }
}
