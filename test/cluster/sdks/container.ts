/**
 * What one container of a stored Pod would find: its variables and its mounts, made as the kubelet makes them, but under
 * a folder of this machine. Only the part of the kubelet that the Pods of these tests need; anything else is an error.
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { ControlPlane, KubeObject } from '../control-plane.ts';
import { type Ran, runProgram } from '../podpass.ts';

interface FieldRef {
  fieldPath: string;
}

interface DownwardItem {
  path: string;
  fieldRef: FieldRef;
}

interface Source {
  serviceAccountToken?: { audience?: string; expirationSeconds: number; path: string };
  configMap?: { name: string; items?: { key: string; path: string }[] };
  downwardAPI?: { items: DownwardItem[] };
}

interface Volume {
  name: string;
  projected?: { sources: Source[]; defaultMode?: number };
  downwardAPI?: { items: DownwardItem[]; defaultMode?: number };
}

interface Container {
  name: string;
  env?: { name: string; value?: string }[];
  volumeMounts?: { name: string; mountPath: string }[];
}

interface VolumeFile {
  path: string;
  content: string;
  mode: number | undefined;
}

/** A token that was asked for, and what it was asked with. */
export interface AskedToken {
  audience: string | undefined;
  expirationSeconds: number;
  /** In the container. */
  file: string;
  token: string;
}

export class SimulatedContainer {
  /** As the Pod has them, before paths are moved under the folder. */
  readonly env: Readonly<Record<string, string>>;
  readonly tokens: readonly AskedToken[];
  readonly #folder: string;
  readonly #mountPaths: readonly string[];

  constructor(
    folder: string,
    env: Readonly<Record<string, string>>,
    mountPaths: readonly string[],
    tokens: readonly AskedToken[],
  ) {
    this.#folder = folder;
    this.env = env;
    this.#mountPaths = mountPaths;
    this.tokens = tokens;
  }

  /**
   * Runs a program of this machine with exactly the container's variables, and `PATH`, `HOME` and `outside`, which stand
   * for what is around a container.
   */
  run(program: string, args: string[], outside: Readonly<Record<string, string>>): Promise<Ran> {
    const moved = Object.entries(this.env).map(([name, value]) => [name, this.move(value)] as const);
    const taken = moved.map(([name]) => name).filter((name) => name in outside);
    if (taken.length > 0) throw new Error(`the container has these variables itself: ${taken.join(', ')}`);
    // An empty home: no configuration of this machine's user.
    const basis = { PATH: process.env.PATH ?? '', HOME: this.#folder };
    return runProgram(program, args, { env: { ...basis, ...outside, ...Object.fromEntries(moved) } });
  }

  /** Where a path in the container is on this machine; any other text stays. */
  move(text: string): string {
    return moveUnder(this.#folder, this.#mountPaths, text);
  }

  /** Replaces a file of a mount. */
  async write(file: string, content: string): Promise<void> {
    await writeFile(this.move(file), content);
  }

  async close(): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true });
  }
}

/** Throws an Error that says what this has not learnt of the kubelet. */
export async function enterContainer(
  cluster: ControlPlane,
  pod: KubeObject,
  name: string,
): Promise<SimulatedContainer> {
  const spec = pod.spec as { containers: Container[]; volumes?: Volume[] };
  const container = spec.containers.find((each) => each.name === name);
  if (container === undefined) throw new Error(`the Pod has no container ${name}`);
  const variables = (container.env ?? []).map(({ name: variable, value, ...rest }) => {
    if (Object.keys(rest).length > 0) throw new Error(`unknown source of ${variable}: ${Object.keys(rest)}`);
    return [variable, value ?? ''] as const;
  });
  const mounts = container.volumeMounts ?? [];
  const mountPaths = mounts.map(({ mountPath }) => mountPath);
  const folder = await mkdtemp(join(tmpdir(), 'podpass-container-'));
  const tokens: AskedToken[] = [];
  for (const { name: volumeName, mountPath, ...rest } of mounts) {
    const { readOnly: _, recursiveReadOnly: __, ...unknown } = rest as Record<string, unknown>;
    if (Object.keys(unknown).length > 0) throw new Error(`unknown fields of a mount: ${Object.keys(unknown)}`);
    const volume = spec.volumes?.find((each) => each.name === volumeName);
    if (volume === undefined) throw new Error(`the Pod has no volume ${volumeName}`);
    for (const file of await filesOf(cluster, pod, volume, (asked) =>
      tokens.push({ ...asked, file: join(mountPath, asked.file) }),
    )) {
      const target = join(folder, mountPath, file.path);
      await mkdir(dirname(target), { recursive: true });
      await writeFile(target, moveUnder(folder, mountPaths, file.content), { mode: file.mode ?? 0o644 });
    }
  }
  return new SimulatedContainer(folder, Object.fromEntries(variables), mountPaths, tokens);
}

async function filesOf(
  cluster: ControlPlane,
  pod: KubeObject,
  { name, projected, downwardAPI, ...rest }: Volume,
  asked: (token: AskedToken) => void,
): Promise<VolumeFile[]> {
  if (Object.keys(rest).length > 0) throw new Error(`unknown source of the volume ${name}: ${Object.keys(rest)}`);
  const files = await Promise.all(
    [...(projected?.sources ?? []), ...(downwardAPI ? [{ downwardAPI }] : [])].map((source) =>
      filesOfSource(cluster, pod, source, asked),
    ),
  );
  const mode = projected?.defaultMode ?? downwardAPI?.defaultMode;
  return files.flat().map((file) => ({ ...file, mode }));
}

async function filesOfSource(
  cluster: ControlPlane,
  pod: KubeObject,
  { serviceAccountToken, configMap, downwardAPI, ...rest }: Source,
  asked: (token: AskedToken) => void,
): Promise<Omit<VolumeFile, 'mode'>[]> {
  if (Object.keys(rest).length > 0) throw new Error(`unknown source in a projected volume: ${Object.keys(rest)}`);
  const { name, namespace = 'default', uid } = pod.metadata;
  const files: Omit<VolumeFile, 'mode'>[] = [];
  if (serviceAccountToken) {
    const { audience, expirationSeconds, path } = serviceAccountToken;
    const { serviceAccountName } = pod.spec as { serviceAccountName: string };
    // kubernetes/pkg/volume/projected/projected.go: no audience is asked for as none.
    const audiences = audience === undefined || audience === '' ? {} : { audiences: [audience] };
    const wanted = { ...audiences, expirationSeconds, boundPod: { name, uid } };
    const token = await cluster.requestToken(namespace, serviceAccountName, wanted);
    asked({ audience, expirationSeconds, file: path, token });
    files.push({ path, content: token });
  }
  if (configMap) {
    const url = `/api/v1/namespaces/${namespace}/configmaps/${configMap.name}`;
    const { data = {} } = await cluster.expect<{ data?: Record<string, string> }>('GET', url);
    const items = configMap.items ?? Object.keys(data).map((key) => ({ key, path: key }));
    for (const { key, path } of items) {
      const content = data[key];
      if (content === undefined) throw new Error(`the ConfigMap ${configMap.name} has no ${key}`);
      files.push({ path, content });
    }
  }
  for (const { path, fieldRef } of downwardAPI?.items ?? []) files.push({ path, content: fieldOf(pod, fieldRef) });
  return files;
}

/** As kubernetes/pkg/fieldpath/fieldpath.go reads it. */
function fieldOf({ metadata }: KubeObject, { fieldPath }: FieldRef): string {
  const [, map, key = ''] = /^metadata\.(annotations|labels)\['(.*)'\]$/.exec(fieldPath) ?? [];
  if (map !== undefined) return metadata[map as 'annotations' | 'labels']?.[key] ?? '';
  if (fieldPath === 'metadata.name') return metadata.name;
  if (fieldPath === 'metadata.namespace') return metadata.namespace ?? '';
  throw new Error(`unknown field ${fieldPath}`);
}

/** Paths below mounts, which begin a text or stand in quotation marks, as in JSON. */
function moveUnder(folder: string, mountPaths: readonly string[], text: string): string {
  const quoted = mountPaths.reduce((moved, path) => moved.replaceAll(`"${path}/`, `"${folder}${path}/`), text);
  return mountPaths.some((path) => text === path || text.startsWith(`${path}/`)) ? folder + quoted : quoted;
}
