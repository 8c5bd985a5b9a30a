import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { USER } from '../../src/cli/manifests/deployment.ts';
import type { BundledPackage } from './bundled.ts';
import { type Entry, file, folder } from './entry.ts';
import type { Library } from './libraries.ts';
import type { NodeRelease } from './node-release.ts';

/** The program that the image starts, and the script that it is given. */
export const NODE = '/usr/local/bin/node';
export const SCRIPT = '/app/dist/podpass.js';
export const SBOM = 'app/podpass.spdx.json';

/** What changes with Node and the system: the runtime, its libraries, and the few files that they read. */
export async function systemFiles(node: NodeRelease, libraries: readonly Library[]): Promise<Entry[]> {
  const texts = new Map<string, Entry>();
  const common = new Set<string>();
  for (const { origin } of libraries) {
    if (origin?.copyright === undefined) continue;
    const path = `usr/share/doc/${origin.name}/copyright`;
    texts.set(path, file(path, origin.copyright));
    const names = Buffer.from(origin.copyright)
      .toString('latin1')
      .matchAll(/\/usr\/share\/(common-licenses\/[\w.-]*\w)/g);
    for (const [, name = ''] of names) common.add(`usr/share/${name}`);
  }
  // Debian's copyright files name the long licences instead of quoting them.
  for (const path of common) {
    const content = await readFile(`/${path}`).catch(() => undefined);
    if (content !== undefined) texts.set(path, file(path, content));
  }
  return [
    file(NODE.slice(1), node.binary, 0o755),
    file('usr/share/doc/node/LICENSE', node.license),
    ...libraries.map(({ path, content }) => file(path, content, 0o755)),
    ...texts.values(),
    // Node has these built in; other readers, and Node with --use-openssl-ca, look here.
    file('etc/ssl/certs/ca-certificates.crt', node.certificates),
    file('etc/passwd', `root:x:0:0:root:/:/sbin/nologin\nnonroot:x:${USER}:${USER}:nonroot:/tmp:/sbin/nologin\n`),
    file('etc/group', `root:x:0:\nnonroot:x:${USER}:\n`),
    file('etc/nsswitch.conf', 'passwd: files\ngroup: files\nhosts: files dns\n'),
    // Most container runtimes mount their own over it.
    file('etc/hosts', '127.0.0.1 localhost\n::1 localhost\n'),
    folder('tmp', 0o1777),
    // What the container's runtime mounts over.
    ...['dev', 'proc', 'sys'].map((path) => folder(path)),
  ];
}

/** What changes with podpass. package.json says that the executable is an ES module. */
export async function appFiles(
  checkout: string,
  dist: readonly { readonly path: string; readonly contents: Uint8Array }[],
  packages: readonly BundledPackage[],
): Promise<Entry[]> {
  const own = ['package.json', 'LICENSE'].map(async (name) =>
    file(`app/${name}`, await readFile(join(checkout, name))),
  );
  return [
    ...(await Promise.all(own)),
    ...dist.map(({ path, contents }) => file(`app/dist/${path}`, contents, path === 'podpass.js' ? 0o755 : 0o644)),
    ...packages.flatMap(({ texts }) => texts),
  ];
}
