/** Packages of other languages and other people that judge ours: outside the checkout, beside the built binaries. */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, readFile, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { runProgram } from './podpass.ts';

/** What this machine lacks. */
export interface Missing {
  reason: string;
}

type Step = [program: string, args: string[], cwd?: string];

/** npm, pip and Maven may need minutes on a busy machine. */
const stepTimeoutMs = 600_000;

/** A Python that has the packages of a requirements file, in an environment of its own. */
export async function pythonWith(requirements: string, what: string): Promise<{ program: string } | Missing> {
  const system = { PATH: process.env.PATH ?? '', HOME: homedir() };
  const version = await runProgram('python3', ['-c', 'import sys; print(sys.version, sys.prefix)'], {
    env: system,
  }).catch(() => undefined);
  if (version?.code !== 0) return { reason: 'python3 is not installed' };
  const recipe = [version.stdout, await readFile(requirements, 'utf8')];
  const python = (folder: string) => join(folder, 'bin', 'python');
  const installed = await cachedInstall('python', recipe, what, async (workplace) => [
    ['python3', ['-m', 'venv', workplace]],
    [python(workplace), ['-m', 'pip', 'install', '--quiet', '--requirement', requirements]],
  ]);
  return 'reason' in installed ? installed : { program: python(installed.folder) };
}

/** The folder with the node_modules of a package.json and its lock file; no script of theirs is run. */
export async function nodeModulesOf(manifest: string, what: string): Promise<{ folder: string } | Missing> {
  const files = [manifest, join(dirname(manifest), 'package-lock.json')];
  const recipe = await Promise.all(files.map((file) => readFile(file, 'utf8')));
  return cachedInstall('node-modules', recipe, what, async (workplace) => {
    for (const file of files) await copyFile(file, join(workplace, file.slice(dirname(file).length + 1)));
    return [['npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'], workplace]];
  });
}

/** A Java that has the libraries of a POM, and a program compiled with them. */
export async function javaWith(
  pom: string,
  source: string,
  what: string,
): Promise<{ program: string; classPath: string[] } | Missing> {
  const version = await javaVersion();
  if ('reason' in version) return version;
  const recipe = [version.text, await readFile(pom, 'utf8'), await readFile(source, 'utf8')];
  const installed = await cachedInstall('java', recipe, what, async (workplace) => {
    const libraries = join(workplace, 'lib');
    return [
      await mavenStep(pom, 'copy-dependencies', libraries, workplace),
      ['javac', ['-d', join(workplace, 'classes'), '-cp', join(libraries, '*'), source]],
    ];
  });
  if ('reason' in installed) return installed;
  const { folder } = installed;
  return { program: version.program, classPath: [join(folder, 'classes'), join(folder, 'lib', '*')] };
}

/** The folder with the unpacked archives of a POM, in which further commands have run. */
export async function unpackedWith(
  pom: string,
  what: string,
  furtherSteps: (folder: string) => Step[],
): Promise<{ folder: string } | Missing> {
  const version = await javaVersion();
  if ('reason' in version) return version;
  // The commands are a part of the recipe, without the folder, which is another one each time.
  const recipe = [version.text, await readFile(pom, 'utf8'), JSON.stringify(furtherSteps(''))];
  const unpacked = (folder: string) => join(folder, 'unpacked');
  const installed = await cachedInstall('unpacked', recipe, what, async (workplace) => [
    await mavenStep(pom, 'unpack-dependencies', unpacked(workplace), workplace),
    ...furtherSteps(unpacked(workplace)),
  ]);
  return 'reason' in installed ? installed : { folder: unpacked(installed.folder) };
}

/** Maven writes beside its POM, so that is a copy. */
async function mavenStep(pom: string, goal: string, into: string, workplace: string): Promise<Step> {
  await copyFile(pom, join(workplace, 'pom.xml'));
  return ['mvn', ['--batch-mode', '--quiet', `dependency:${goal}`, `-DoutputDirectory=${into}`], workplace];
}

/** A compiler is needed too, and Maven. */
async function javaVersion(): Promise<{ text: string; program: string } | Missing> {
  const env = { PATH: process.env.PATH ?? '', HOME: homedir() };
  for (const program of ['java', 'javac', 'mvn']) {
    const found = await runProgram(program, ['-version'], { env }).catch(() => undefined);
    if (found?.code !== 0) return { reason: `${program} is not installed` };
  }
  const settings = ['-XshowSettings:properties', '-version'];
  const { stderr } = await runProgram('java', settings, { env });
  const property = (name: string) => stderr.match(new RegExp(`^ *${name} = (.*)$`, 'm'))?.[1] ?? '';
  return { text: property('java.vm.version'), program: join(property('java.home'), 'bin', 'java') };
}

/** One folder for each recipe; a fresh clone with the same one starts at once. */
async function cachedInstall(
  kind: string,
  recipe: readonly string[],
  what: string,
  stepsIn: (workplace: string) => Promise<Step[]>,
): Promise<{ folder: string } | Missing> {
  const root = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'podpass', kind);
  const folder = join(root, createHash('sha256').update(JSON.stringify(recipe)).digest('hex').slice(0, 24));
  if (existsSync(folder)) return { folder };

  process.stderr.write(`cluster tests: installing ${what} (first run only)\n`);
  await mkdir(root, { recursive: true });
  // Several runs may do this at once: each in a folder of its own, and the first one to end gives the name.
  const workplace = await mkdtemp(join(root, 'building-'));
  try {
    // All of the environment here: pip and npm may need a proxy or an index of this machine's.
    const env = { ...(process.env as Record<string, string>), PIP_DISABLE_PIP_VERSION_CHECK: '1' };
    for (const [program, args, cwd] of await stepsIn(workplace)) {
      const ran = await runProgram(program, args, { env, cwd, timeoutMs: stepTimeoutMs }).catch(String);
      if (typeof ran === 'string') return { reason: `${program} did not start: ${ran}` };
      if (ran.code === 0) continue;
      const told = `${ran.stdout}${ran.stderr}`.trim().split('\n').slice(-3).join(' ');
      return { reason: `${program} ${args.slice(0, 3).join(' ')} failed: ${told}` };
    }
    await rename(workplace, folder).catch((error) => {
      if (!existsSync(folder)) throw error;
    });
    return { folder };
  } finally {
    await rm(workplace, { recursive: true, force: true });
  }
}
