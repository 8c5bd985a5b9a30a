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
  const found = new Map<string, Omit<Library, 'origin'>>();
  const missing = new Set<string>();

  const add = async (name: string, paths: readonly string[]): Promise<void> => {
    if (found.has(name) || missing.has(name)) return;
    for (const path of paths) {
      const content = await readFile(path).catch(() => undefined);
      const dynamic = content && readDynamic(content);
      if (content === undefined || dynamic?.machine !== root.machine) continue;
      found.set(name, { name, path: path.slice(1), content });
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
  const origins = await originsOf([...found.values()].map(({ path }) => `/${path}`));
  return [...found.values()].map((library) => ({ ...library, origin: origins.get(`/${library.path}`) }));
}

/** The packages that the files are from, by path, where dpkg is there and knows them. */
async function originsOf(paths: readonly string[]): Promise<Map<string, SystemPackage>> {
  const candidates = new Map<string, string>();
  for (const path of paths) {
    const real = await realpath(path);
    // dpkg knows files by the path in their package, which on a system with a merged /usr may lack the /usr.
    for (const each of [real, real.replace(/^\/usr/, ''), path]) candidates.set(each, path);
  }
  const owners = new Map<string, string>();
  for (const line of await dpkgQuery('--search', ...candidates.keys())) {
    // `libc6:amd64: /lib/x86_64-linux-gnu/libc.so.6`; diversions have lines of their own.
    const [, owner, file = ''] = /^([^\s,]+): (\/.*)$/.exec(line) ?? [];
    const path = candidates.get(file);
    if (owner !== undefined && path !== undefined) owners.set(path, owner);
  }
  const packages = new Map<string, SystemPackage>();
  const release = await readFile('/etc/os-release', 'utf8').catch(() => '');
  const vendor = /^ID="?([\w.-]+)/m.exec(release)?.[1] ?? 'debian';
  for (const line of owners.size > 0 ? await dpkgQuery('--show', ...new Set(owners.values())) : []) {
    // `libc6:amd64<TAB>2.36-9`
    const [, owner = '', name = '', architecture = 'all', version = ''] =
      /^(([^:\s]+)(?::(\S+))?)\t(\S+)/.exec(line) ?? [];
    const copyright = await readFile(`/usr/share/doc/${name}/copyright`).catch(() => undefined);
    packages.set(owner, { name, version, architecture, vendor, copyright });
  }
  return new Map(
    [...owners].flatMap(([path, owner]) => {
      const found = packages.get(owner);
      return found === undefined ? [] : [[path, found] as const];
    }),
  );
}

/** The lines of its answer. It fails where it does not know one of the files, and yet answers for the others. */
function dpkgQuery(...args: string[]): Promise<string[]> {
  return run('dpkg-query', args, { env: { ...process.env, LC_ALL: 'C' } })
    .then(
      ({ stdout }) => stdout,
      ({ stdout = '' }: { stdout?: string }) => stdout,
    )
    .then((text) => text.split('\n'));
}
