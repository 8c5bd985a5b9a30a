/**
 * Finds or builds what the cluster tests run: kube-apiserver, etcd, the Go verifiers, Kustomize, Helm, promtool and MinIO.
 *
 * Ready binaries in KUBEBUILDER_ASSETS win. Otherwise test/go is built once into a cache outside the
 * checkout, so that a fresh clone of the same versions starts at once.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { accessSync, constants, existsSync, rmSync } from 'node:fs';
import { mkdir, readdir, readFile, rename, rm, rmdir, stat, utimes } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

export interface Binaries {
  ok: true;
  kubeApiserver: string;
  etcd: string;
  /** test/go/verify: judges tokens with go-oidc. */
  verify: string;
  /** test/go/cap: judges tokens with the library of Vault. */
  cap: string;
  /** test/go/vault: logs in with Vault's own plugin. */
  vault: string;
  /** What administrators type in the guides. */
  kubectl: string;
  /** test/go/json-patch: applies patches as the API server does. */
  jsonPatch: string;
  /** test/go/envoy-schemas: judges configurations by the schemas of Envoy and Istio. */
  envoySchemas: string;
  /** They build what is in manifests/. */
  kustomize: string;
  helm: string;
  /** It judges alerts, queries and expositions. */
  promtool: string;
  /** The folder with the CRDs of the Prometheus operator. */
  operatorCrds: string;
  /** An object storage that speaks S3 and STS. */
  minio: string;
  traefik: string;
}
export type ControlPlaneBinaries = Binaries | { ok: false; reason: string };

export type Log = (line: string) => void;

/** A state of this machine that is no fault of the project: reported as a reason, not thrown. */
export class Unavailable extends Error {}

export const moduleFolder = fileURLToPath(new URL('../go/', import.meta.url));
const toolsModuleFolder = join(moduleFolder, 'manifests');
const progressMs = 15_000;
/** The builder touches its folder this often; a folder untouched for `staleMs` has lost its builder. */
const heartbeatMs = 2_000;
const staleMs = 20_000;
/** Other versions stay this long after their last use: another checkout may be running them. */
const keepUnusedMs = 24 * 3600_000;

/** Throws if KUBEBUILDER_ASSETS is set and wrong. Anything this machine lacks is returned as a reason. */
export async function controlPlaneBinaries(log: Log = toStderr): Promise<ControlPlaneBinaries> {
  const assets = kubebuilderAssets();
  try {
    if (process.platform === 'win32') {
      throw new Unavailable('the control plane of the cluster tests runs on Linux and macOS only');
    }
    const go = await goRelease();
    const servers = assets ?? (await buildControlPlane(go, log));
    const tools = { ...(await buildManifestTools(go, log)), ...(await buildPrometheusTools(go, log)) };
    const programs = {
      verify: await buildVerifier(go, log),
      cap: await buildCap(go, log),
      vault: await buildVault(go, log),
      kubectl: await buildKubectl(go, log),
      jsonPatch: await buildJsonPatch(go, log),
      envoySchemas: await buildEnvoySchemas(go, log),
      minio: await buildMinio(go, log),
      traefik: await buildTraefik(go, log),
    };
    return { ok: true, ...servers, ...programs, ...tools };
  } catch (error) {
    if (error instanceof Unavailable) return { ok: false, reason: error.message };
    throw error;
  }
}

function kubebuilderAssets(): { kubeApiserver: string; etcd: string } | undefined {
  const folder = process.env.KUBEBUILDER_ASSETS;
  if (!folder) return undefined;
  const path = (name: string) => {
    const file = resolve(folder, name);
    try {
      accessSync(file, constants.X_OK);
    } catch {
      throw new Error(`KUBEBUILDER_ASSETS is "${folder}", but ${file} is missing or not executable`);
    }
    return file;
  };
  return { kubeApiserver: path('kube-apiserver'), etcd: path('etcd') };
}

export interface GoRelease {
  version: string;
  platform: string;
  goMod: string;
  goSum: string;
}

export async function goRelease(): Promise<GoRelease> {
  const { goMod, goSum } = await moduleFiles(moduleFolder);
  const needed = goMod.match(/^go (\d+\.\d+)/m)?.[1] ?? '';
  let answer: { GOVERSION: string; GOOS: string; GOARCH: string };
  try {
    answer = JSON.parse(await run('go', ['env', '-json', 'GOVERSION', 'GOOS', 'GOARCH']).done);
  } catch (error) {
    if (isCode(error, 'ENOENT')) {
      throw new Unavailable(`Go is not installed; the cluster tests build with Go ${needed} or newer`);
    }
    throw new Unavailable(`Go does not work; "go env" says: ${messageOf(error)}`);
  }
  // With GOTOOLCHAIN=local an old Go answers here and would fail only at the build.
  const minor = (version: string) => Number(version.match(/^(?:go)?1\.(\d+)/)?.[1] ?? Number.POSITIVE_INFINITY);
  if (minor(answer.GOVERSION) < minor(needed)) {
    throw new Unavailable(`Go is too old: ${answer.GOVERSION}; the cluster tests build with Go ${needed} or newer`);
  }
  return { version: answer.GOVERSION, platform: `${answer.GOOS}/${answer.GOARCH}`, goMod, goSum };
}

export async function moduleFiles(folder: string): Promise<{ goMod: string; goSum: string }> {
  const read = (name: string) => readFile(join(folder, name), 'utf8');
  return { goMod: await read('go.mod'), goSum: await read('go.sum') };
}

/** What the programs of Kubernetes are to call themselves: as v0.0.0, their clients misbehave. */
export function kubernetesFlags({ goMod }: GoRelease): string {
  const version = goMod.match(/^\s*k8s\.io\/kubernetes (v(\d+)\.(\d+)\.\S+)$/m);
  if (!version) throw new Error('test/go/go.mod names no version of k8s.io/kubernetes');
  return Object.entries({ gitVersion: version[1], gitMajor: version[2], gitMinor: version[3] })
    .map(([name, value]) => ` -X k8s.io/component-base/version.${name}=${value}`)
    .reduce((flags, flag) => flags + flag, '-s -w');
}

async function buildControlPlane(go: GoRelease, log: Log): Promise<{ kubeApiserver: string; etcd: string }> {
  const folder = await cachedBuild('control-plane', go, log, 'first run only, about 6 minutes on 2 cores', [
    { name: 'etcd', source: 'go.etcd.io/etcd/server/v3', ldflags: '-s -w' },
    { name: 'kube-apiserver', source: 'k8s.io/kubernetes/cmd/kube-apiserver', ldflags: kubernetesFlags(go) },
  ]);
  return { kubeApiserver: join(folder, 'kube-apiserver'), etcd: join(folder, 'etcd') };
}

async function buildKubectl(go: GoRelease, log: Log): Promise<string> {
  const target = { name: 'kubectl', source: 'k8s.io/kubernetes/cmd/kubectl', ldflags: kubernetesFlags(go) };
  return join(await cachedBuild('kubectl', go, log, 'first run only, about 1 minute on 2 cores', [target]), 'kubectl');
}

async function buildVerifier(go: GoRelease, log: Log): Promise<string> {
  const main = await readFile(join(moduleFolder, 'verify/main.go'), 'utf8');
  const folder = await cachedBuild(
    'verify',
    go,
    log,
    'first run only',
    [{ name: 'verify', source: './verify', ldflags: '-s -w' }],
    main,
  );
  return join(folder, 'verify');
}

const buildCap = (go: GoRelease, log: Log) => buildProgram('cap', go, log);
const buildVault = (go: GoRelease, log: Log) =>
  buildProgram('vault', go, log, 'first run only, about 3 minutes on 2 cores');
const buildJsonPatch = (go: GoRelease, log: Log) => buildProgram('json-patch', go, log);
const buildEnvoySchemas = (go: GoRelease, log: Log) => buildProgram('envoy-schemas', go, log);

/** One file in a module of its own. */
async function buildProgram(name: string, go: GoRelease, log: Log, hint = 'first run only'): Promise<string> {
  const module = join(moduleFolder, name);
  const main = await readFile(join(module, 'main.go'), 'utf8');
  const program = { ...go, ...(await moduleFiles(module)) };
  const target = { name, source: '.', ldflags: '-s -w' };
  return join(await cachedBuild(name, program, log, hint, [target], main, module), name);
}

async function buildManifestTools(go: GoRelease, log: Log): Promise<{ kustomize: string; helm: string }> {
  const tools = { ...go, ...(await moduleFiles(toolsModuleFolder)) };
  const ldflags = '-s -w';
  const targets = [
    { name: 'kustomize', source: 'sigs.k8s.io/kustomize/kustomize/v5', ldflags },
    { name: 'helm', source: 'helm.sh/helm/v4/cmd/helm', ldflags },
  ];
  const hint = 'first run only, about 4 minutes on 2 cores';
  const folder = await cachedBuild('manifest-tools', tools, log, hint, targets, '', toolsModuleFolder);
  return { kustomize: join(folder, 'kustomize'), helm: join(folder, 'helm') };
}

async function buildPrometheusTools(go: GoRelease, log: Log): Promise<{ promtool: string; operatorCrds: string }> {
  const module = join(moduleFolder, 'prometheus');
  const tools = { ...go, ...(await moduleFiles(module)) };
  // Without the clients of clouds, which only find what to scrape.
  const target = {
    name: 'promtool',
    source: 'github.com/prometheus/prometheus/cmd/promtool',
    ldflags: '-s -w',
    tags: 'remove_all_sd',
  };
  const hint = 'first run only, about 5 minutes on 2 cores';
  const folder = await cachedBuild('prometheus-tools', tools, log, hint, [target], '', module);
  const operator = 'github.com/prometheus-operator/prometheus-operator';
  let downloaded: { Dir: string };
  try {
    downloaded = JSON.parse(await run('go', ['mod', 'download', '-json', operator], {}, { cwd: module }).done);
  } catch (error) {
    throw new Unavailable(`the CRDs of the Prometheus operator cannot be had: ${messageOf(error)}`);
  }
  const operatorCrds = join(downloaded.Dir, 'example/prometheus-operator-crd');
  return { promtool: join(folder, 'promtool'), operatorCrds };
}

async function buildMinio(go: GoRelease, log: Log): Promise<string> {
  const module = join(moduleFolder, 'minio');
  const tools = { ...go, ...(await moduleFiles(module)) };
  const target = { name: 'minio', source: 'github.com/minio/minio', ldflags: '-s -w' };
  const hint = 'first run only, about 8 minutes on 2 cores';
  return join(await cachedBuild('minio', tools, log, hint, [target], '', module), 'minio');
}

export async function buildTraefik(go: GoRelease, log: Log): Promise<string> {
  const module = join(moduleFolder, 'traefik');
  const tools = { ...go, ...(await moduleFiles(module)) };
  const target = { name: 'traefik', source: 'github.com/traefik/traefik/v3/cmd/traefik', ldflags: '-s -w' };
  const hint = 'first run only, about 6 minutes on 2 cores';
  // Replacements in folders are not in go.sum.
  const standIns = await textOf(join(module, 'stand-ins'));
  return join(await cachedBuild('traefik', tools, log, hint, [target], standIns, module), 'traefik');
}

/** Of all files of a folder. */
async function textOf(folder: string): Promise<string> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return (await Promise.all(files.sort().map((file) => readFile(file, 'utf8')))).join('');
}

interface Target {
  name: string;
  source: string;
  ldflags: string;
  tags?: string;
}

/**
 * Returns the folder with the built targets. The folder `building` is lock and workplace at once:
 * making it takes the lock, renaming it to the digest publishes the result and gives the lock back, so
 * nobody ever sees half a build.
 */
export async function cachedBuild(
  kind: string,
  go: GoRelease,
  log: Log,
  hint: string,
  targets: Target[],
  source = '',
  module = moduleFolder,
) {
  const root = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'podpass', kind);
  const recipe = JSON.stringify([go.goMod, go.goSum, go.version, go.platform, source, targets]);
  const digest = createHash('sha256').update(recipe).digest('hex').slice(0, 24);
  const home = join(root, digest);
  const workplace = join(root, 'building');

  await mkdir(root, { recursive: true });
  if (!(await takeWorkplace(workplace, home, log))) {
    await touch(home);
    return home;
  }
  const heartbeat = setInterval(() => void touch(workplace), heartbeatMs);
  const abandonment = onAbandonment(() => rmSync(workplace, { recursive: true, force: true }));
  try {
    // Inside the workplace, so that an abandoned build leaves nothing in the system's temporary folder either.
    const scratch = join(workplace, 'tmp');
    await mkdir(scratch);
    const said = `${go.version}; ${hint}`;
    for (const target of targets) await goBuild(target, module, workplace, scratch, said, log, abandonment);
    await rm(scratch, { recursive: true });
    await rename(workplace, home);
  } finally {
    clearInterval(heartbeat);
    abandonment.end();
    await rm(workplace, { recursive: true, force: true });
  }
  await removeUnused(root, digest);
  return home;
}

/** True: the caller must build. False: `home` is there, made earlier or by another run we waited for. */
async function takeWorkplace(workplace: string, home: string, log: Log): Promise<boolean> {
  for (let told = false; ; ) {
    if (existsSync(home)) return false;
    try {
      await mkdir(workplace);
      // The other run may have published between our look and our lock.
      if (!existsSync(home)) return true;
      await rmdir(workplace);
      return false;
    } catch (error) {
      if (!isCode(error, 'EEXIST')) throw error;
    }
    const touched = await stat(workplace).then(
      (found) => found.mtimeMs,
      () => Date.now(),
    );
    if (Date.now() - touched > staleMs) {
      log('the run that was building has gone; starting over');
      const stale = `${workplace}-stale-${process.pid}`;
      // Renamed first: of several waiting runs only one gets it.
      await rename(workplace, stale).catch(() => undefined);
      await rm(stale, { recursive: true, force: true });
      continue;
    }
    if (!told) log('another run is building; waiting for it');
    told = true;
    await sleep(500);
  }
}

async function goBuild(
  target: Target,
  module: string,
  folder: string,
  scratch: string,
  hint: string,
  log: Log,
  abandonment: Abandonment,
): Promise<void> {
  const started = Date.now();
  const elapsed = () => `${Math.round((Date.now() - started) / 1000)} s`;
  log(`building ${target.name} (${hint})`);
  const progress = setInterval(() => log(`building ${target.name}: ${elapsed()}`), progressMs);
  const args = ['build', '-mod=readonly', '-trimpath', '-buildvcs=false', '-ldflags', target.ldflags];
  if (target.tags !== undefined) args.push('-tags', target.tags);
  try {
    // Without cgo the result depends on no compiler and library of this machine. A process group of its
    // own, because "go build" alone would leave its compilers behind when it is killed.
    const child = run(
      'go',
      [...args, '-o', join(folder, target.name), target.source],
      { GOTMPDIR: scratch },
      { detached: true, cwd: module },
    );
    abandonment.killGroupOf(child.process);
    await child.done;
  } catch (error) {
    throw new Unavailable(`building ${target.name} failed after ${elapsed()}: ${messageOf(error)}`);
  } finally {
    clearInterval(progress);
  }
  log(`built ${target.name} in ${elapsed()}`);
}

interface Abandonment {
  killGroupOf(child: ChildProcess): void;
  end(): void;
}

/** Stops the compilers and cleans up when this process is told to end in the middle of a build. */
function onAbandonment(clean: () => void): Abandonment {
  let current: ChildProcess | undefined;
  const abandon = () => {
    if (current?.pid && current.exitCode === null && current.signalCode === null) process.kill(-current.pid, 'SIGKILL');
    clean();
  };
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  const onSignal = (signal: NodeJS.Signals) => {
    abandon();
    end();
    // A listener suppresses the default action: repeat the signal, unless somebody else handles it.
    if (process.listenerCount(signal) === 0) process.kill(process.pid, signal);
  };
  const end = () => {
    process.off('exit', abandon);
    for (const signal of signals) process.off(signal, onSignal);
  };
  process.on('exit', abandon);
  for (const signal of signals) process.on(signal, onSignal);
  return {
    killGroupOf(child) {
      current = child;
    },
    end,
  };
}

async function removeUnused(root: string, keep: string): Promise<void> {
  for (const name of await readdir(root)) {
    if (name === keep || name === 'building') continue;
    const path = join(root, name);
    const used = await stat(path).catch(() => undefined);
    if (used && Date.now() - used.mtimeMs > keepUnusedMs) await rm(path, { recursive: true, force: true });
  }
}

/** The time of last use; a cache that cannot be written is still good for reading. */
async function touch(path: string): Promise<void> {
  const now = new Date();
  await utimes(path, now, now).catch(() => undefined);
}

/** Runs a program in the Go module; resolves with its output, rejects with the end of what it complained. */
function run(
  program: string,
  args: string[],
  env: Record<string, string> = {},
  { detached = false, cwd = moduleFolder }: { detached?: boolean; cwd?: string } = {},
) {
  const child = spawn(program, args, {
    cwd,
    detached,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, CGO_ENABLED: '0', GOWORK: 'off', ...env },
  });
  const done = new Promise<string>((fulfil, reject) => {
    let output = '';
    let complaint = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      complaint = (complaint + text).slice(-4000);
    });
    child.on('error', reject);
    child.on('close', (code, signal) => {
      if (code === 0) fulfil(output);
      else reject(new Error(complaint.trim().split('\n').slice(-5).join('\n') || `${program}: ${signal ?? code}`));
    });
  });
  return { process: child, done };
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

export function toStderr(line: string): void {
  process.stderr.write(`${line}\n`);
}
