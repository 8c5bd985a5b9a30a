import { createHash } from 'node:crypto';
import { defaultPort } from '../../src/cli/manifests/arguments.ts';
import { USER } from '../../src/cli/manifests/deployment.ts';
import { type Entry, file, inOrder } from './entry.ts';
import type { Architecture } from './platform.ts';
import type { ImageName } from './reference.ts';
import { NODE, SCRIPT } from './root-files.ts';
import { writeTar } from './tar.ts';

/** The fields of package.json that the image repeats in its labels. */
export interface Package {
  readonly name: string;
  readonly version: string;
  readonly description: string;
  readonly license: string;
  readonly repository?: string | { readonly url: string };
}

export interface Archive {
  /** The whole file, in pieces. */
  readonly pieces: readonly Uint8Array[];
  /** `sha256:…` of the manifest, which is the image's name for good, and of the configuration, which is its ID. */
  readonly digest: string;
  readonly configDigest: string;
}

/**
 * Node's flags, which a process cannot set itself once it runs. A request leaves little that lives on, so more room for
 * young objects only takes memory, and so do the code that one more compiler makes and a heap of malloc's for each thread:
 * with 50,000 ServiceAccounts on Node 26 it is 105 MiB after 30,000 requests instead of 135, at no more processor time.
 */
export const NODE_FLAGS = ['--max-semi-space-size=2', '--no-maglev'] as const;

export const NODE_ENVIRONMENT = { NODE_ENV: 'production', MALLOC_ARENA_MAX: '1' } as const;

/** How the image is started; the Dockerfile says the same. */
export const runConfig = {
  User: `${USER}:${USER}`,
  ExposedPorts: Object.fromEntries(
    (['webhook', 'discovery'] as const)
      .flatMap((service) => [defaultPort(service, 'port'), defaultPort(service, 'metricsPort')])
      .sort((a, b) => a - b)
      .map((port) => [`${port}/tcp`, {}]),
  ),
  Env: ['PATH=/usr/local/bin', ...Object.entries(NODE_ENVIRONMENT).map((each) => each.join('='))],
  Entrypoint: [NODE, ...NODE_FLAGS, SCRIPT],
  WorkingDir: '/app',
} as const;

/** Names: image-spec, annotations.md, "Pre-Defined Annotation Keys". */
export function labelsOf({ name, version, description, license, repository }: Package): Record<string, string> {
  const url = typeof repository === 'string' ? repository : repository?.url;
  return {
    'org.opencontainers.image.title': name,
    'org.opencontainers.image.description': description,
    'org.opencontainers.image.version': version,
    'org.opencontainers.image.licenses': license,
    ...(url !== undefined && { 'org.opencontainers.image.source': url.replace(/^git\+/, '') }),
  };
}

const MEDIA_TYPE = 'application/vnd.oci.image';
const json = (value: unknown) => Buffer.from(JSON.stringify(value));

interface Blob {
  readonly pieces: readonly Uint8Array[];
  readonly digest: string;
  readonly size: number;
}

function blob(...pieces: readonly Uint8Array[]): Blob {
  const hash = createHash('sha256');
  for (const piece of pieces) hash.update(piece);
  return {
    pieces,
    digest: `sha256:${hash.digest('hex')}`,
    size: pieces.reduce((sum, piece) => sum + piece.length, 0),
  };
}

const descriptor = (type: string, { digest, size }: Blob) => ({ mediaType: `${MEDIA_TYPE}.${type}`, digest, size });

/**
 * An image of these layers as an OCI image layout in a tar archive: image-spec v1.1, image-layout.md, manifest.md,
 * config.md and layer.md. Layers are not compressed: the output of a compressor may change with its version and the
 * processor, and with it the digest. `seconds` is the time of everything, since 1970.
 */
export function imageArchive(
  layers: readonly { readonly does: string; readonly entries: readonly Entry[] }[],
  about: Package,
  name: ImageName,
  architecture: Architecture,
  seconds: number,
): Archive {
  const created = isoTime(seconds);
  const tars = layers.map(({ entries }) => blob(...writeTar(inOrder(entries), seconds)));
  const config = blob(
    json({
      created,
      architecture,
      os: 'linux',
      config: { ...runConfig, Labels: labelsOf(about) },
      // Of a layer that is not compressed the two digests are the same.
      rootfs: { type: 'layers', diff_ids: tars.map(({ digest }) => digest) },
      history: layers.map(({ does }) => ({ created, created_by: does })),
    }),
  );
  const manifest = blob(
    json({
      schemaVersion: 2,
      mediaType: `${MEDIA_TYPE}.manifest.v1+json`,
      config: descriptor('config.v1+json', config),
      layers: tars.map((tar) => descriptor('layer.v1.tar', tar)),
    }),
  );
  const index = {
    schemaVersion: 2,
    mediaType: `${MEDIA_TYPE}.index.v1+json`,
    manifests: [
      {
        ...descriptor('manifest.v1+json', manifest),
        platform: { architecture, os: 'linux' },
        // containerd and Docker read the first, other tools the second: containerd, core/images/annotations.go.
        annotations: { 'io.containerd.image.name': name.full, 'org.opencontainers.image.ref.name': name.tag },
      },
    ],
  };
  const path = ({ digest }: Blob) => `blobs/${digest.replace(':', '/')}`;
  const pieces = writeTar(
    inOrder([
      file('oci-layout', json({ imageLayoutVersion: '1.0.0' })),
      file('index.json', json(index)),
      // Docker without containerd's image store reads this instead, as in what `docker save` writes.
      file('manifest.json', json([{ Config: path(config), RepoTags: [name.full], Layers: tars.map(path) }])),
      ...[config, manifest, ...tars].map((each) => file(path(each), each.pieces)),
    ]),
    seconds,
  );
  return { pieces, digest: manifest.digest, configDigest: config.digest };
}

/** `1970-01-01T00:00:00Z` */
export const isoTime = (seconds: number) => new Date(seconds * 1000).toISOString().replace('.000', '');
