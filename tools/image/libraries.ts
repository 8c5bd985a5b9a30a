import { execFile } from 'node:child_process';
import { readFile, realpath } from 'node:fs/promises';
import { promisify } from 'node:util';
import { Failure } from '../../src/fault.ts';
import { readDynamic } from './elf.ts';
import { type Architecture, platformRows } from './platform.ts';

const run = promisify(execFile);

/** A package of the build machine's system. */
export interface SystemPackage {
  readonly name: string;
  readonly version: string;
  readonly architecture: string;
  /** The ID of the system in its /etc/os-release: `debian`. */
  readonly vendor: string;
  /** /usr/share/doc/NAME/copyright, where the machine has it. */
  readonly copyright: Uint8Array | undefined;
}

export interface Library {
  /** `libc.so.6` */
  readonly name: string;
  /** Where the loader looks for it, with no link on the way: `lib/x86_64-linux-gnu/libc.so.6`. */
  readonly path: string;
  readonly content: Uint8Array;
  /** Undefined where dpkg does not know it. */
  readonly origin: SystemPackage | undefined;
}

/** Where glibc looks without a configuration, on Debian and its like and on others. */
const foldersOf = (triplet: string) => [
  ...[`/lib/${triplet}`, `/usr/lib/${triplet}`],
  ...['/lib64', '/usr/lib64', '/lib', '/usr/lib'],
];

/** Name lookups of an older glibc load these by name; newer ones have them built in (glibc 2.34, NEWS). */
const NAME_SERVICES = ['libnss_files.so.2', 'libnss_dns.so.2', 'libresolv.so.2'];

/**
 * The loader and every library that the program needs, from this machine. Throws a Failure that names all that are
 * missing.
 */
export async function librariesOf(program: Uint8Array, architecture: Architecture): Promise<Library[]> {
  const folders = foldersOf(platformRows[architecture].triplet);
  const root = readDynamic(program);
  if (root?.interpreter === undefined) throw new Failure('node is no dynamic program');
  const found = new Map<string, Library>();
  const missing = new Set<string>();

  const add = async (name: string, paths: readonly string[]): Promise<void> => {
    if (found.has(name) || missing.has(name)) return;
    for (const path of paths) {
      const content = await readFile(path).catch(() => undefined);
      const dynamic = content && readDynamic(content);
      if (content === undefined || dynamic?.machine !== root.machine) continue;
      found.set(name, { name, path: path.slice(1), content, origin: await originOf(path) });
      for (const each of dynamic.needed) await add(each, inFolders(each));
      return;
    }
    missing.add(name);
  };
  const inFolders = (name: string) => folders.map((folder) => `${folder}/${name}`);

  await add(root.interpreter.split('/').at(-1) ?? '', [root.interpreter]);
  for (const name of root.needed) await add(name, inFolders(name));
  const isOld = !Buffer.from(found.get('libc.so.6')?.content ?? []).includes('GLIBC_2.34');
  if (isOld) for (const name of NAME_SERVICES) await add(name, inFolders(name));
  if (missing.size > 0) {
    const looked = [root.interpreter, ...folders].join(', ');
    throw new Failure(`this machine lacks ${[...missing].join(', ')}, which Node needs; looked at ${looked}`);
  }
  return [...found.values()];
}

/** The package that a file is from; undefined where dpkg is missing or does not know it. */
async function originOf(path: string): Promise<SystemPackage | undefined> {
  const real = await realpath(path);
  // dpkg knows files by the path in their package, which on a system with a merged /usr may lack the /usr.
  for (const each of new Set([real, real.replace(/^\/usr/, ''), path])) {
    const owner = await run('dpkg-query', ['--search', each]).then(
      ({ stdout }) => /^([^\s,]+): \//m.exec(stdout)?.[1],
      () => undefined,
    );
    if (owner === undefined) continue;
    // `libc6:amd64<TAB>2.36-9`
    const { stdout } = await run('dpkg-query', ['--show', owner]);
    const [, name = '', architecture = 'all', version = ''] = /^([^:\s]+)(?::(\S+))?\t(\S+)/.exec(stdout) ?? [];
    const copyright = await readFile(`/usr/share/doc/${name}/copyright`).catch(() => undefined);
    const release = await readFile('/etc/os-release', 'utf8').catch(() => '');
    const vendor = /^ID="?([\w.-]+)/m.exec(release)?.[1] ?? 'debian';
    return { name, version, architecture, vendor, copyright };
  }
  return undefined;
}
