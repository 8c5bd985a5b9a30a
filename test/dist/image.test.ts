import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Failure } from '../../src/fault.ts';
import { buildRootFileSystem, type RootFileSystem } from '../../tools/image/build.ts';
import { type Entry, inOrder, piecesOf } from '../../tools/image/entry.ts';
import { type NodeRelease, nodeRelease } from '../../tools/image/node-release.ts';
import { imageArchive, NODE_FLAGS } from '../../tools/image/oci.ts';
import { type Architecture, NODE_VERSION, ownArchitecture } from '../../tools/image/platform.ts';
import { SBOM } from '../../tools/image/root-files.ts';
import { writeFolder } from '../../tools/image/write.ts';
import { checkSpdx, type SpdxDocument } from './spdx.ts';

const run = promisify(execFile);
const checkout = join(import.meta.dirname, '../..');
const { version } = JSON.parse(readFileSync(join(checkout, 'package.json'), 'utf8'));
const name = { full: `docker.io/library/podpass:${version}`, tag: version };

const own = ownArchitecture();
const found = own === undefined ? 'images are built on Linux, on x64 and arm64' : await nodeOrReason(own);

async function nodeOrReason(architecture: Architecture): Promise<NodeRelease | string> {
  try {
    return await nodeRelease(architecture);
  } catch (error) {
    if (error instanceof Failure) return error.message;
    throw error;
  }
}

/** Whether a part is missing. On a build server that is a failure: without it the tests would prove nothing. */
function isMissing(what: string, reason: string | undefined): boolean {
  if (reason !== undefined && process.env.CI === 'true') throw new Error(`${what}: ${reason}`);
  if (reason !== undefined) process.stderr.write(`skipped: the tests of ${what}: ${reason}\n`);
  return reason !== undefined;
}

const noImage = isMissing('the image', typeof found === 'string' ? found : undefined);
const noRoot = isMissing('the program in the image', process.getuid?.() === 0 ? undefined : 'chroot needs root');

describe.skipIf(noImage)('the image', () => {
  const node = found as NodeRelease;
  const architecture = own as Architecture;
  let folder: string;
  /** From a copy of the checkout in another folder. */
  let built: RootFileSystem;
  let printed: Record<string, string>;
  const at = (...path: string[]) => join(folder, ...path);
  const blobAt = (digest = '') => at('layout/blobs', digest.replace(':', '/'));
  const json = async (path: string) => JSON.parse(await readFile(path, 'utf8'));

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'podpass-image-'));
    const output = at('image.tar');
    const tsx = join(checkout, 'node_modules/tsx/dist/cli.mjs');
    const { stdout } = await run(process.execPath, [tsx, 'tools/image/main.ts', '--output', output], { cwd: checkout });
    printed = Object.fromEntries(stdout.split('\n').map((line) => line.split(/ {2,}/)));
    // By a program that has nothing to do with the one that packed it.
    await mkdir(at('layout'));
    await run('tar', ['-xf', output, '-C', at('layout')]);
    await mkdir(at('unpacked'));
    for (const { digest } of (await json(blobAt(printed.digest))).layers)
      await run('tar', ['-xpf', blobAt(digest), '-C', at('unpacked')]);
    const other = at('another/checkout');
    const { packages } = await json(join(checkout, 'package-lock.json'));
    const copied = Object.entries<{ dev?: boolean }>(packages)
      .filter(([path, { dev }]) => path.startsWith('node_modules/') && !dev)
      .map(([path]) => path)
      .filter((path) => existsSync(join(checkout, path)));
    const sources = ['src', 'webhook', 'discovery', 'package.json', 'package-lock.json', 'tsconfig.json', 'LICENSE'];
    const filter = (path: string) => !/\.d\.[cm]?ts$/.test(path);
    for (const path of [...sources, ...copied])
      await cp(join(checkout, path), join(other, path), { recursive: true, filter });
    built = await buildRootFileSystem(other, node, architecture, 0);
  }, 120_000);

  afterAll(() => rm(folder, { recursive: true, force: true }));

  test('is printed with its name, digest, size and files', async () => {
    expect(printed).toMatchObject({ name: name.full, archive: at('image.tar'), sbom: at('image.spdx.json') });
    expect(printed.digest).toMatch(/^sha256:[0-9a-f]{64}$/);
    expect(printed.size).toBe(`${(await stat(at('image.tar'))).size} bytes`);
    expect(await readFile(at('image.spdx.json'), 'utf8')).toBe(built.sbom);
    expect(await readFile(at('unpacked', SBOM), 'utf8')).toBe(built.sbom);
  });

  test('is the same from another checkout, and another with another time', async () => {
    const digestAt = (seconds: number) => imageArchive(built.layers, built.about, name, architecture, seconds).digest;
    expect(digestAt(0)).toBe(printed.digest);
    expect(digestAt(1)).not.toBe(printed.digest);
    for (const entry of built.layers.flatMap(({ entries }) => entries)) {
      if (!entry.path.startsWith('app/')) continue;
      const text = Buffer.concat(piecesOf(entry));
      expect([entry.path, text.includes(checkout), text.includes(folder)]).toEqual([entry.path, false, false]);
    }
  });

  test('is a whole OCI image layout', async () => {
    expect(await json(at('layout/oci-layout'))).toEqual({ imageLayoutVersion: '1.0.0' });
    const index = await json(at('layout/index.json'));
    expect(index).toMatchObject({
      schemaVersion: 2,
      manifests: [
        {
          mediaType: 'application/vnd.oci.image.manifest.v1+json',
          digest: printed.digest,
          platform: { os: 'linux', architecture },
          annotations: { 'io.containerd.image.name': name.full, 'org.opencontainers.image.ref.name': version },
        },
      ],
    });
    const manifest = await json(blobAt(printed.digest));
    const descriptors: { digest: string; size: number }[] = [index.manifests[0], manifest.config, ...manifest.layers];
    for (const { digest, size } of descriptors) {
      const content = await readFile(blobAt(digest));
      expect(content.length).toBe(size);
      expect(`sha256:${createHash('sha256').update(content).digest('hex')}`).toBe(digest);
    }
    expect((await readdir(at('layout/blobs/sha256'))).length).toBe(descriptors.length);
    const digests = descriptors.slice(2).map(({ digest }) => digest);
    const config = await json(blobAt(manifest.config.digest));
    expect(config).toMatchObject({ os: 'linux', architecture, created: '1970-01-01T00:00:00Z' });
    // The layers are not compressed.
    expect(config.rootfs).toEqual({ type: 'layers', diff_ids: digests });
    expect(config.history.length).toBe(digests.length);
    const path = (digest: string) => `blobs/${digest.replace(':', '/')}`;
    expect(await json(at('layout/manifest.json'))).toEqual([
      { Config: path(manifest.config.digest), RepoTags: [name.full], Layers: digests.map(path) },
    ]);
  });

  test('has no shell, nothing with more rights than its user, and only /tmp to write to', async () => {
    const entries: { mode: string; owner: string; time: string; path: string }[] = [];
    for (const { digest } of (await json(blobAt(printed.digest))).layers) {
      const { stdout } = await run('tar', ['--numeric-owner', '--utc', '--full-time', '-tvf', blobAt(digest)]);
      for (const line of stdout.trim().split('\n')) {
        const [mode = '', owner = '', , day, time, path = ''] = line.split(/\s+/);
        entries.push({ mode, owner, time: `${day} ${time}`, path });
      }
    }
    expect(entries.length).toBeGreaterThan(100);
    const modes = [...new Set(entries.map(({ mode }) => mode))];
    expect(modes.sort()).toEqual(['-rw-r--r--', '-rwxr-xr-x', 'drwxr-xr-x', 'drwxrwxrwt']);
    expect(entries.filter(({ mode }) => mode === 'drwxrwxrwt').map(({ path }) => path)).toEqual(['tmp/']);
    const owners = [...new Set(entries.map(({ owner, time }) => `${owner} ${time}`))];
    expect(owners).toEqual(['0/0 1970-01-01 00:00:00']);
    const programs = entries.filter(({ mode, path }) => mode === '-rwxr-xr-x' && !/^lib(64)?\//.test(path));
    expect(programs.map(({ path }) => path).sort()).toEqual(['app/dist/podpass.js', 'usr/local/bin/node']);
    expect(entries.filter(({ path }) => /(^|\/)(sh|(ba|da|a)sh|busybox|npm|apt|dpkg|apk)$/.test(path))).toEqual([]);
  });

  test('says in its SBOM what it is made of', async () => {
    const document: SpdxDocument = JSON.parse(built.sbom);
    checkSpdx(document);
    const versions = new Map(document.packages.map((each) => [each.name, each.versionInfo]));
    expect(versions.get('podpass')).toBe(version);
    expect(versions.get('node')).toBe(NODE_VERSION);
    expect(versions.get('openssl')).toBe(node.versions.openssl);

    const files = built.layers.flatMap(({ entries }) => entries.filter(({ content }) => content !== undefined));
    // What a source map names is in the bundle.
    const isMap = ({ path }: Entry) => path.endsWith('.map');
    const sources: string[] = files
      .filter(isMap)
      .flatMap((entry) => JSON.parse(Buffer.concat(piecesOf(entry)).toString()).sources);
    const bundled = new Set(sources.flatMap((path) => /.*node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1] ?? []));
    const npm = document.packages.filter(({ SPDXID }) => SPDXID.startsWith('SPDXRef-Npm-'));
    expect(bundled).toContain('jose');
    expect(bundled).not.toContain('vitest');
    expect(npm.map((each) => each.name)).toEqual(expect.arrayContaining([...bundled]));
    expect(npm.filter(({ checksums }) => checksums === undefined)).toEqual([]);

    const paths = files.map(({ path }) => path).filter((path) => path !== SBOM);
    expect(paths.length).toBe(files.length - 1);
    expect(document.files.map(({ fileName }) => fileName.slice(2))).toEqual(paths.sort());
    const copied = document.relationships.filter(({ relationshipType }) => relationshipType === 'OTHER');
    expect(copied.length).toBe(paths.filter((path) => /^lib(64)?\//.test(path)).length);
    const systems = document.packages.filter(({ SPDXID }) => SPDXID.startsWith('SPDXRef-System-'));
    expect(systems.length).toBeGreaterThan(1);
    expect(systems.filter(({ licenseDeclared }) => licenseDeclared === 'NOASSERTION')).toEqual([]);
  });

  test('has the root file system that --rootfs writes', async () => {
    await writeFolder(at('written'), inOrder(built.layers.flatMap(({ entries }) => entries)), 0);
    await run('diff', ['--recursive', at('written'), at('unpacked')]);
    const listing = async (each: string) => {
      const { stdout } = await run('find', [at(each), '-mindepth', '1', '-printf', '%P %m %y\n']);
      return stdout.split('\n').sort();
    };
    expect(await listing('written')).toEqual(await listing('unpacked'));
  });

  describe.skipIf(noRoot)('in a root file system of its own', () => {
    const inside = (...argv: string[]) =>
      run('chroot', ['--userspec=65532:65532', at('unpacked'), '/usr/local/bin/node', ...argv], {
        // Not this process's, with settings of the tests in it.
        env: { PATH: process.env.PATH },
      });

    test('podpass starts', async () => {
      const { stdout } = await inside(...NODE_FLAGS, '/app/dist/podpass.js', '--version');
      expect(stdout).toBe(`${version}\n`);
      expect((await inside('--version')).stdout).toBe(`v${NODE_VERSION}\n`);
    });

    test('the demo walks through: names are looked up, keys made, tokens verified', async () => {
      const { stdout } = await inside('/app/dist/podpass.js', 'demo', '--once');
      expect(stdout.match(/^ {3}accepted {2}system:serviceaccount:shop:web/gm)).toHaveLength(2);
    });

    test('every CA certificate can be read', async () => {
      const script = `
        const text = fs.readFileSync('/etc/ssl/certs/ca-certificates.crt', 'utf8');
        const all = text.match(/-----BEGIN CERTIFICATE-----[^]*?-----END CERTIFICATE-----/g);
        console.log(all.filter((each) => new crypto.X509Certificate(each).ca).length);`;
      expect(Number((await inside('-e', script)).stdout)).toBeGreaterThan(50);
    });
  });
});
