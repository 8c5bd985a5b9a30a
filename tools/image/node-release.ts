import { execFile } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gunzipSync } from 'node:zlib';
import { Failure, messageOf } from '../../src/fault.ts';
import { type Architecture, NODE_VERSION, platformRows } from './platform.ts';
import { readTar } from './tar.ts';

const run = promisify(execFile);

export interface NodeRelease {
  readonly binary: Uint8Array;
  readonly license: Uint8Array;
  /** The npm package: its name and its sha512 in hexadecimal digits. */
  readonly npmPackage: string;
  readonly sha512: string;
  /** `process.versions`: Node itself and what is linked into it. */
  readonly versions: Readonly<Record<string, string>>;
  /** The CA certificates that Node trusts (PEM). */
  readonly certificates: string;
}

const cacheFolder = () => join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'podpass');

/** Node for the image, from the cache or from the npm registry. Throws a Failure where it is in neither, or another. */
export async function nodeRelease(architecture: Architecture): Promise<NodeRelease> {
  const { node, integrity } = platformRows[architecture];
  const npmPackage = `node-linux-${node}`;
  const archive = await cachedPackage(npmPackage, integrity);
  const files = readTar(gunzipSync(archive));
  const [binary, license] = [files.get('package/bin/node'), files.get('package/LICENSE')];
  if (binary === undefined || license === undefined) throw new Failure(`${npmPackage} has no bin/node or no LICENSE`);
  const sha512 = createHash('sha512').update(archive).digest('hex');
  return { binary, license, npmPackage, sha512, ...(await askNode(binary)) };
}

/** The npm package as it was published: checked each time, as the cache is older than this run. */
async function cachedPackage(name: string, integrity: string): Promise<Buffer> {
  const path = join(cacheFolder(), `${name}-${NODE_VERSION}.tgz`);
  const isRight = (content: Buffer) => `sha512-${createHash('sha512').update(content).digest('base64')}` === integrity;
  const cached = await readFile(path).catch(() => undefined);
  if (cached !== undefined && isRight(cached)) return cached;

  await mkdir(cacheFolder(), { recursive: true });
  const workplace = await mkdtemp(join(cacheFolder(), `${name}-`));
  try {
    const args = [
      'pack',
      '--loglevel=error',
      '--fetch-retries=1',
      '--pack-destination',
      workplace,
      `${name}@${NODE_VERSION}`,
    ];
    const { stdout } = await run('npm', args).catch((error) => {
      const lines = messageOf(error)
        .split('\n')
        .filter((line) => line.startsWith('npm error'));
      const said = lines.slice(0, 3).join('; ') || messageOf(error);
      throw new Failure(`${name} ${NODE_VERSION} is not in ${cacheFolder()} and npm cannot fetch it: ${said}`);
    });
    const fetched = join(workplace, stdout.trim().split('\n').at(-1) ?? '');
    const content = await readFile(fetched);
    if (!isRight(content)) throw new Failure(`what npm fetched as ${name} ${NODE_VERSION} is not what is pinned`);
    // Renamed, so that nobody ever sees half of it.
    await rename(fetched, path);
    return content;
  } finally {
    await rm(workplace, { recursive: true, force: true });
  }
}

/** Runs that Node to ask what is in it. In the cache folder: a temporary folder may be mounted without execution. */
async function askNode(binary: Uint8Array): Promise<Pick<NodeRelease, 'versions' | 'certificates'>> {
  const path = join(cacheFolder(), `node-${randomUUID()}`);
  try {
    await writeFile(path, binary, { mode: 0o700 });
    const question = 'JSON.stringify({ versions: process.versions, certificates: tls.rootCertificates })';
    const { stdout } = await run(path, ['-p', question], { maxBuffer: 2 ** 24, env: {} });
    const { versions, certificates } = JSON.parse(stdout);
    return { versions, certificates: `${certificates.join('\n')}\n` };
  } catch (error) {
    throw new Failure(`Node ${NODE_VERSION} does not run on this machine: ${messageOf(error)}`, { cause: error });
  } finally {
    await rm(path, { force: true });
  }
}
