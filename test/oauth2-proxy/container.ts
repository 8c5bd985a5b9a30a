/** A container of a Pod as a process of this machine, with its arguments, variables and files as the kubelet makes them. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readlinkSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { binary } from './binary.ts';
import { requestTo } from './request.ts';

export interface ContainerSpec {
  readonly name: string;
  readonly args: readonly string[];
  readonly env?: readonly {
    readonly name: string;
    readonly value?: string;
    readonly valueFrom?: {
      readonly fieldRef?: { readonly fieldPath: string };
      readonly secretKeyRef?: { readonly name: string; readonly key: string };
    };
  }[];
  readonly ports: readonly { readonly name: string; readonly containerPort: number }[];
  readonly volumeMounts?: readonly { readonly name: string; readonly mountPath: string }[];
  readonly readinessProbe: { readonly httpGet: { readonly path: string; readonly port: number } };
}

export interface PodObject {
  readonly metadata: { readonly annotations: Readonly<Record<string, string>> };
  readonly spec: {
    readonly initContainers?: readonly ContainerSpec[];
    readonly containers: readonly ContainerSpec[];
    readonly volumes?: readonly {
      readonly name: string;
      readonly downwardAPI?: {
        readonly items: readonly { readonly path: string; readonly fieldRef: { readonly fieldPath: string } }[];
      };
      readonly configMap?: {
        readonly name: string;
        readonly items: readonly { readonly key: string; readonly path: string }[];
      };
    }[];
  };
}

type Contents = Readonly<Record<string, Readonly<Record<string, string>>>>;

/** What the Pod refers to. */
export interface Surroundings {
  readonly uid: string;
  readonly configMaps?: Contents;
  readonly secrets?: Contents;
  /** What becomes of the arguments, for a test of what they are good for. */
  readonly changeArgs?: (args: readonly string[]) => readonly string[];
}

export interface RunningContainer {
  readonly port: number;
  /** Gives a volume other contents, by a switched link as the kubelet does. */
  replaceFile(volume: string, path: string, content: string): void;
  log(): string;
  stop(): Promise<void>;
}

/** Throws an Error with the log where it does not become ready. */
export async function runContainer(
  pod: PodObject,
  name: string,
  surroundings: Surroundings,
): Promise<RunningContainer> {
  const container = [...(pod.spec.initContainers ?? []), ...pod.spec.containers].find((each) => each.name === name);
  if (container === undefined) throw new Error(`the Pod has no container ${name}`);
  const root = mkdtempSync(join(tmpdir(), 'podpass-oauth2-proxy-'));
  for (const { name: volume } of container.volumeMounts ?? []) writeVolume(root, pod, volume, surroundings);
  const env = variablesOf(container, pod, surroundings);
  // There is no mount namespace here: a path in a mount is one in the folder of its volume.
  const inRoot = (text: string) =>
    (container.volumeMounts ?? []).reduce(
      (path, mount) => path.replaceAll(mount.mountPath, join(root, mount.name)),
      text,
    );
  const args = (surroundings.changeArgs ?? ((each) => each))(container.args).map((arg) => inRoot(expand(arg, env)));
  const child = spawn(binary, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let log = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => {
      log += chunk.toString('utf8');
    });
  const stop = async () => {
    if (child.exitCode === null && child.signalCode === null) {
      const ended = new Promise((fulfil) => child.once('exit', fulfil));
      child.kill('SIGTERM');
      await ended;
    }
    rmSync(root, { recursive: true, force: true });
  };
  try {
    await untilReady(child, container.readinessProbe.httpGet);
  } catch (error) {
    await stop();
    throw new Error(`${(error as Error).message}\n${log}`, { cause: error });
  }
  return {
    port: container.readinessProbe.httpGet.port,
    replaceFile: (volume, path, content) => switchTo(join(root, volume), { [path]: content }),
    log: () => log,
    stop,
  };
}

async function untilReady(child: ChildProcess, { path, port }: { path: string; port: number }): Promise<void> {
  for (const deadline = Date.now() + 20_000; ; await new Promise((fulfil) => setTimeout(fulfil, 50))) {
    if (child.exitCode !== null) throw new Error(`it ended with the exit code ${child.exitCode}`);
    const status = await requestTo(port, path).then(
      (reply) => reply.status,
      () => 0,
    );
    if (status === 200) return;
    if (Date.now() > deadline) throw new Error(`${path} on port ${port} answers ${status}`);
  }
}

/** `$(NAME)` is the value of a variable, `$$` is `$`: kubernetes/third_party/forked/golang/expansion/expand.go. */
function expand(text: string, env: Readonly<Record<string, string>>): string {
  return text.replace(/\$(\$|\(([^)]*)\))/g, (whole, next: string, name: string) =>
    next === '$' ? '$' : (env[name] ?? whole),
  );
}

function variablesOf(container: ContainerSpec, pod: PodObject, { uid, secrets = {} }: Surroundings) {
  const env: Record<string, string> = {};
  for (const { name, value, valueFrom } of container.env ?? []) {
    const { fieldRef, secretKeyRef } = valueFrom ?? {};
    const found =
      secretKeyRef !== undefined
        ? secrets[secretKeyRef.name]?.[secretKeyRef.key]
        : fieldRef !== undefined
          ? fieldOf(pod, fieldRef.fieldPath, uid)
          : expand(value ?? '', env);
    if (found === undefined) throw new Error(`the variable ${name} has no value`);
    env[name] = found;
  }
  return env;
}

function fieldOf({ metadata }: PodObject, path: string, uid: string): string | undefined {
  if (path === 'metadata.uid') return uid;
  const [, key] = /^metadata\.annotations\['([^']+)'\]$/.exec(path) ?? [];
  return key === undefined ? undefined : metadata.annotations[key];
}

function writeVolume(root: string, pod: PodObject, name: string, { uid, configMaps = {} }: Surroundings): void {
  const volume = pod.spec.volumes?.find((each) => each.name === name);
  const files = [
    ...(volume?.downwardAPI?.items ?? []).map(({ path, fieldRef }) => [path, fieldOf(pod, fieldRef.fieldPath, uid)]),
    ...(volume?.configMap?.items ?? []).map(({ key, path }) => [
      path,
      configMaps[volume?.configMap?.name ?? '']?.[key],
    ]),
  ];
  const missing = files.find(([, content]) => content === undefined);
  if (files.length === 0 || missing !== undefined) throw new Error(`the volume ${name} cannot be made`);
  mkdirSync(join(root, name));
  switchTo(join(root, name), Object.fromEntries(files) as Record<string, string>);
}

let versions = 0;

/** kubernetes/pkg/volume/util/atomic_writer.go: files are links into ..data, which is a link to a folder of a version. */
function switchTo(folder: string, files: Readonly<Record<string, string>>): void {
  versions += 1;
  const version = `..version-${versions}`;
  mkdirSync(join(folder, version));
  for (const [path, content] of Object.entries(files)) writeFileSync(join(folder, version, path), content);
  let before: string | undefined;
  try {
    before = readlinkSync(join(folder, '..data'));
  } catch {
    // The first version.
  }
  symlinkSync(version, join(folder, '..data_tmp'));
  renameSync(join(folder, '..data_tmp'), join(folder, '..data'));
  if (before === undefined)
    for (const path of Object.keys(files)) symlinkSync(join('..data', path), join(folder, path));
  else rmSync(join(folder, before), { recursive: true });
}
