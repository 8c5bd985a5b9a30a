/** Runs the built executable the way users do: as processes of their own, by flags, with no more rights than they need. */
import { spawn } from 'node:child_process';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rename, symlink, writeFile } from 'node:fs/promises';
import { get } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type CertifiedKey, createCa, createServerCertificate } from '../../src/certificate.ts';
import type { ControlPlane, Webhook } from './control-plane.ts';
import { Guardian, Server } from './servers.ts';

const executable = fileURLToPath(new URL('../../dist/podpass.js', import.meta.url));
const readyTimeoutMs = 30_000;

export interface LogLine {
  level: string;
  msg: string;
  [field: string]: unknown;
}

export interface Stopped {
  /** `exit code 0`, `ended by SIGKILL`. */
  how: string;
  ms: number;
}

/** The samples of one exposition. */
export class Samples {
  readonly #text: string;

  constructor(exposition: string) {
    this.#text = exposition;
  }

  /** The value of one time series. Throws where there is none, so that no misspelt name reads as a 0. */
  value(name: string, labels: Readonly<Record<string, string>> = {}): number {
    for (const line of this.#text.split('\n')) {
      const match = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line);
      if (match?.[1] !== name) continue;
      const found = [...(match[2] ?? '').matchAll(/(\w+)="([^"]*)"/g)].map(([, key, value]) => [key, value] as const);
      const same = found.length === Object.keys(labels).length;
      if (same && found.every(([key, value]) => labels[key ?? ''] === value)) return Number(match[3]);
    }
    throw new Error(`there is no metric ${name}${JSON.stringify(labels)}`);
  }
}

export interface Podpass {
  /** `https://127.0.0.1:PORT` */
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  /** Of /metrics, /healthz and /readyz. */
  readonly statusUrl: string;
  readonly files: TlsFiles;
  readonly logFile: string;
  /** All lines so far; also after the end. */
  logs(): LogLine[];
  metrics(): Promise<Samples>;
  /** Whether /readyz answers 200. */
  ready(): Promise<boolean>;
  /** Ends it and removes its files; the second call waits for the first one. */
  stop(signal?: 'SIGTERM' | 'SIGKILL'): Promise<Stopped>;
}

export interface StartOptions {
  /** Default: a kubeconfig with a token of a ServiceAccount that has only the rights the service needs. False: no flag. */
  kubeconfig?: string | false;
  /** The whole environment of the process. */
  env?: Readonly<Record<string, string>>;
  /** False: returns as soon as it listens. */
  awaitReady?: boolean;
}

// ---- certificates ----------------------------------------------------------------------------------------------------

/** A CA of the tests, and certificates of it for the loopback. */
export class TestCa {
  readonly #ca: CertifiedKey = createCa({
    key: rsaKey(),
    commonName: `test CA`,
    serial: randomBytes(16),
    ...validity(),
  });

  get pem(): string {
    return this.#ca.cert;
  }

  /** For our loopback, and for what is named beside it. */
  issue(names: { dnsNames?: string[]; ipAddresses?: string[] } = {}): CertifiedKey {
    return createServerCertificate(this.#ca, {
      key: rsaKey(),
      commonName: 'test',
      dnsNames: ['localhost', ...(names.dnsNames ?? [])],
      ipAddresses: ['127.0.0.1', ...(names.ipAddresses ?? [])],
      serial: randomBytes(16),
      ...validity(),
    });
  }
}

function rsaKey(): string {
  const { privateKey } = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
  return privateKey;
}

function validity() {
  return { notBefore: Date.now() - 60_000, notAfter: Date.now() + 24 * 3_600_000 };
}

/**
 * The files of a service's certificate, in the way the kubelet mounts a Secret: links into a folder `..data`, which is a
 * link itself, so that one rename replaces all of them at once.
 */
export class TlsFiles {
  readonly ca: TestCa;
  readonly caFile: string;
  readonly certFile: string;
  readonly keyFile: string;
  readonly #folder: string;
  #version = 0;

  constructor(ca: TestCa, folder: string) {
    this.ca = ca;
    this.caFile = join(folder, 'ca.crt');
    this.certFile = join(folder, 'tls.crt');
    this.keyFile = join(folder, 'tls.key');
    this.#folder = folder;
  }

  async write({ cert, key }: CertifiedKey): Promise<void> {
    const inFolder = (name: string) => join(this.#folder, name);
    const version = `..${++this.#version}`;
    await mkdir(inFolder(version));
    for (const [name, pem] of Object.entries({ 'tls.key': key, 'tls.crt': cert, 'ca.crt': this.ca.pem })) {
      await writeFile(join(inFolder(version), name), pem, { mode: 0o600 });
      if (this.#version === 1) await symlink(join('..data', name), inFolder(name));
    }
    await symlink(version, inFolder('..data_new'));
    await rename(inFolder('..data_new'), inFolder('..data'));
  }
}

/** One for all services of a test file: making a key takes a quarter of a second. */
let sharedCa: TestCa | undefined;

export function testCa(): TestCa {
  sharedCa ??= new TestCa();
  return sharedCa;
}

// ---- rights ----------------------------------------------------------------------------------------------------------

const namespace = 'podpass-system';
const kubeconfigs = new WeakMap<ControlPlane, Map<string, Promise<string>>>();

/** The webhook reads ServiceAccounts and writes events; what both read of the issuer is every ServiceAccount's right. */
const rights = {
  webhook: [
    { verbs: ['get', 'list', 'watch'], apiGroups: [''], resources: ['serviceaccounts'] },
    { verbs: ['create'], apiGroups: ['events.k8s.io'], resources: ['events'] },
  ],
  discovery: [],
};

/** How the API server names the service in its audit log. */
export function userOf(service: keyof typeof rights): string {
  return `system:serviceaccount:${namespace}:${service}`;
}

/** A kubeconfig with the service's rights and no more; one for each control plane. */
export function kubeconfigOf(controlPlane: ControlPlane, service: keyof typeof rights): Promise<string> {
  const known = kubeconfigs.get(controlPlane) ?? new Map<string, Promise<string>>();
  kubeconfigs.set(controlPlane, known);
  const made = known.get(service) ?? makeKubeconfig(controlPlane, service);
  known.set(service, made);
  return made;
}

async function makeKubeconfig(controlPlane: ControlPlane, service: keyof typeof rights): Promise<string> {
  await controlPlane.request('POST', '/api/v1/namespaces', { metadata: { name: namespace } });
  await controlPlane.createServiceAccount(namespace, service);
  if (rights[service].length > 0) await controlPlane.grant(namespace, service, rights[service]);
  return controlPlane.kubeconfigFor({ namespace, serviceAccount: service });
}

// ---- services --------------------------------------------------------------------------------------------------------

export function startWebhook(controlPlane: ControlPlane, args: string[] = [], options: StartOptions = {}) {
  return start('webhook', controlPlane, args, options);
}

export function startDiscovery(controlPlane: ControlPlane, args: string[] = [], options: StartOptions = {}) {
  return start('discovery', controlPlane, args, options);
}

async function start(
  service: keyof typeof rights,
  controlPlane: ControlPlane,
  args: string[],
  { kubeconfig, env = {}, awaitReady = true }: StartOptions,
): Promise<Podpass> {
  requireExecutable();
  const folder = await mkdtemp(join(tmpdir(), `podpass-${service}-`));
  const guardian = new Guardian(folder);
  try {
    const files = new TlsFiles(testCa(), folder);
    await files.write(files.ca.issue());
    const flags = [
      ...(kubeconfig === false ? [] : ['--kubeconfig', kubeconfig ?? (await kubeconfigOf(controlPlane, service))]),
      ...['--bind-address', '127.0.0.1', '--metrics-port', '0'],
      ...(args.includes('--port') ? [] : ['--port', '0']),
      ...(args.includes('--tls-mode') ? [] : ['--tls-cert', files.certFile, '--tls-key', files.keyFile]),
      ...args,
    ];
    const logFile = join(folder, 'podpass.log');
    const command = [executable, service, ...flags];
    const server = new Server(guardian, `podpass ${service}`, process.execPath, command, logFile, env);
    const podpass = new Process(server, guardian, files, logFile);
    await server.ready(async () => podpass.listens(), readyTimeoutMs);
    if (awaitReady) await server.ready(() => podpass.ready(), readyTimeoutMs);
    return podpass;
  } catch (error) {
    await guardian.end();
    throw error;
  }
}

class Process implements Podpass {
  readonly files: TlsFiles;
  readonly #server: Server;
  readonly #guardian: Guardian;
  readonly logFile: string;
  #port = 0;
  #metricsPort = 0;
  #stopped: Promise<Stopped> | undefined;
  #lastOutput: string | undefined;

  constructor(server: Server, guardian: Guardian, files: TlsFiles, logFile: string) {
    this.#server = server;
    this.#guardian = guardian;
    this.files = files;
    this.logFile = logFile;
  }

  /** Learns the ports from the log. */
  listens(): boolean {
    const line = this.logs().find(({ msg }) => msg === 'listening');
    this.#port = Number(line?.port ?? 0);
    this.#metricsPort = Number(line?.metricsPort ?? 0);
    return line !== undefined;
  }

  get port(): number {
    return this.#port;
  }

  get pid(): number {
    return this.#server.pid ?? 0;
  }

  get url(): string {
    return `https://127.0.0.1:${this.#port}`;
  }

  get statusUrl(): string {
    return `http://127.0.0.1:${this.#metricsPort}`;
  }

  logs(): LogLine[] {
    // The last line may be half written.
    return (this.#lastOutput ?? readFileSync(this.logFile, 'utf8'))
      .split('\n')
      .slice(0, -1)
      .flatMap((line) => (line.startsWith('{') ? [JSON.parse(line) as LogLine] : []));
  }

  async metrics(): Promise<Samples> {
    return new Samples((await this.#status('/metrics')).text);
  }

  async ready(): Promise<boolean> {
    return (await this.#status('/readyz')).code === 200;
  }

  #status(path: string): Promise<{ code: number; text: string }> {
    return new Promise((fulfil, reject) => {
      const url = this.statusUrl + path;
      const outgoing = get(url, { agent: false, timeout: 5_000 }, (incoming) => {
        text(incoming).then((body) => fulfil({ code: incoming.statusCode ?? 0, text: body }), reject);
      });
      outgoing.on('error', reject);
      outgoing.on('timeout', () => outgoing.destroy(new Error(`${url}: no answer`)));
    });
  }

  stop(signal: 'SIGTERM' | 'SIGKILL' = 'SIGKILL'): Promise<Stopped> {
    this.#stopped ??= this.#end(signal);
    return this.#stopped;
  }

  async #end(signal: 'SIGTERM' | 'SIGKILL'): Promise<Stopped> {
    const began = performance.now();
    await this.#server.end(signal, 45_000);
    const ms = performance.now() - began;
    this.#lastOutput = readFileSync(this.logFile, 'utf8');
    await this.#guardian.end();
    return { how: await this.#server.exited, ms };
  }
}

// ---- commands --------------------------------------------------------------------------------------------------------

export interface Ran {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** Runs a command that ends by itself. */
export async function podpass(args: string[], input = '', env: Record<string, string> = {}): Promise<Ran> {
  requireExecutable();
  return runProgram(process.execPath, [executable, ...args], { input, env });
}

export interface RunOptions {
  input?: string;
  /** All of the environment; default: none. */
  env?: Record<string, string>;
  cwd?: string | undefined;
  timeoutMs?: number;
}

export async function runProgram(
  program: string,
  args: string[],
  { input = '', env = {}, cwd, timeoutMs = 60_000 }: RunOptions = {},
): Promise<Ran> {
  const child = spawn(program, args, { env, cwd, stdio: ['pipe', 'pipe', 'pipe'], timeout: timeoutMs });
  child.stdin.on('error', () => undefined);
  child.stdin.end(input);
  const code = new Promise<number | null>((fulfil, reject) => {
    child.once('error', reject);
    child.once('close', fulfil);
  });
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr), code]);
  return { code: await code, stdout, stderr };
}

function requireExecutable(): void {
  if (!existsSync(executable)) throw new Error(`${executable} is missing: run "npm run build" first`);
}

// ---- what tests do with them -----------------------------------------------------------------------------------------

/** Registers our webhook for the creation of Pods, and waits until it is called. */
export function register(
  controlPlane: ControlPlane,
  webhook: Pick<Podpass, 'url' | 'files'>,
  options: Partial<Webhook> = {},
): Promise<void> {
  const url = `${webhook.url}/mutate`;
  return controlPlane.registerWebhook({
    name: 'podpass',
    url,
    caPem: webhook.files.ca.pem,
    failurePolicy: 'Fail',
    ...options,
  });
}

/** Waits until the condition holds and returns the milliseconds that took. */
export async function until(what: string, condition: () => Promise<boolean> | boolean, timeoutMs = 15_000) {
  const began = performance.now();
  for (;;) {
    if (await condition()) return performance.now() - began;
    if (performance.now() - began > timeoutMs) throw new Error(`waited ${timeoutMs / 1000} s in vain for ${what}`);
    await sleep(50);
  }
}
