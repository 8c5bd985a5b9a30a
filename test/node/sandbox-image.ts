/** The image of a Pod's sandbox: one program that waits. Made here, as a node of the tests pulls nothing. */
import { createHash } from 'node:crypto';
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { arch } from 'node:os';
import { dirname, join } from 'node:path';
import { runProgram } from '../cluster/podpass.ts';
import { SANDBOX } from './settings.ts';

const media = (name: string) => `application/vnd.oci.image.${name}`;

/** Writes an OCI image archive (image-spec, image-layout.md) with this program alone, and returns its path. */
export async function sandboxImage(program: string, archive: string): Promise<string> {
  const folder = await mkdtemp(join(dirname(archive), 'sandbox-'));
  const blobs = join(folder, 'layout/blobs/sha256');
  await mkdir(blobs, { recursive: true });
  const blob = async (mediaType: string, content: Buffer | object) => {
    const bytes = Buffer.isBuffer(content) ? content : Buffer.from(JSON.stringify(content));
    const digest = createHash('sha256').update(bytes).digest('hex');
    await writeFile(join(blobs, digest), bytes);
    return { mediaType, digest: `sha256:${digest}`, size: bytes.length };
  };
  const root = join(folder, 'root');
  await mkdir(root);
  await copyFile(program, join(root, 'pause'));
  await tar(join(folder, 'layer.tar'), root);

  const layer = await blob(media('layer.v1.tar'), await readFile(join(folder, 'layer.tar')));
  const config = await blob(media('config.v1+json'), {
    architecture: arch() === 'x64' ? 'amd64' : arch(),
    os: 'linux',
    config: { User: '65535:65535', Entrypoint: ['/pause'] },
    rootfs: { type: 'layers', diff_ids: [layer.digest] },
  });
  const manifest = await blob(media('manifest.v1+json'), {
    schemaVersion: 2,
    mediaType: media('manifest.v1+json'),
    config,
    layers: [layer],
  });
  const named = { ...manifest, annotations: { 'io.containerd.image.name': SANDBOX } };
  const layout = join(folder, 'layout');
  await writeFile(join(layout, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests: [named] }));
  await writeFile(join(layout, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }));
  await tar(archive, layout);
  await rm(folder, { recursive: true });
  return archive;
}

async function tar(archive: string, folder: string): Promise<void> {
  const env = { PATH: '/usr/bin:/bin' };
  const { code, stderr } = await runProgram('tar', ['--create', '--file', archive, '--directory', folder, '.'], {
    env,
  });
  if (code !== 0) throw new Error(`tar: ${stderr}`);
}
