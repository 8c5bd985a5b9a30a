/** The built webhook as a process that can be looked into, on a real API server. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { Agent, get } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { ControlPlane } from '../../cluster/control-plane.ts';
import { kubeconfigOf, TlsFiles, testCa } from '../../cluster/podpass.ts';

const executable = fileURLToPath(new URL('../../../dist/podpass.js', import.meta.url));
const probe = new URL('../servers/probe.mjs', import.meta.url).href;
const READY_TIMEOUT_MS = 120_000;

/** Bytes, and milliseconds of the event loop's delay since the last reset. */
export interface Look {
  readonly rss: number;
  readonly heapUsed: number;
  /** What the process has used since its start: unlike its times, hardly anything of it is others' work. */
  readonly cpuMs: number;
  readonly p99: number;
  readonly max: number;
}

export class MeasuredWebhook {
  /** From the start of the process until /readyz first answered 200. */
  readonly readyMs: number;
  readonly port: number;
  readonly ca: string;
  readonly #child: ChildProcess;
  readonly #folder: string;
  readonly #said: readonly string[];
  #asked = 0;

  private constructor(
    child: ChildProcess,
    folder: string,
    said: readonly string[],
    started: Pick<MeasuredWebhook, 'readyMs' | 'port' | 'ca'>,
  ) {
    this.#child = child;
    this.#folder = folder;
    this.#said = said;
    this.readyMs = started.readyMs;
    this.port = started.port;
    this.ca = started.ca;
  }

  static async start(controlPlane: ControlPlane, nodeFlags: readonly string[] = []): Promise<MeasuredWebhook> {
    const folder = await mkdtemp(join(tmpdir(), 'podpass-bench-'));
    const files = new TlsFiles(testCa(), folder);
    await files.write(files.ca.issue());
    const settings = [
      ...['--kubeconfig', await kubeconfigOf(controlPlane, 'webhook'), '--bind-address', '127.0.0.1'],
      ...['--port', '0', '--metrics-port', '0', '--tls-cert', files.certFile, '--tls-key', files.keyFile],
    ];
    // As in the image (Dockerfile), but for the probe.
    const flags = ['--enable-source-maps', ...nodeFlags, '--import', probe];
    const began = performance.now();
    const child = spawn(process.execPath, [...flags, executable, 'webhook', ...settings], {
      env: {},
      stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
    });
    const end = () => child.kill('SIGKILL');
    process.once('exit', end);
    child.once('exit', () => process.off('exit', end));
    const said: string[] = [];
    const ports = new Promise<{ port: number; metricsPort: number }>((fulfil, reject) => {
      child.once('exit', (code) => reject(new Error(`the webhook ended with ${code}:\n${said.join('\n')}`)));
      createInterface({ input: child.stdout as NodeJS.ReadableStream }).on('line', (line) => {
        said.push(line);
        if (line.includes('"listening"')) fulfil(JSON.parse(line));
      });
    });
    const { port, metricsPort } = await ports;
    const agent = new Agent({ keepAlive: true });
    while (!(await isReady(metricsPort, agent))) {
      if (performance.now() - began > READY_TIMEOUT_MS) throw new Error(`never ready:\n${said.join('\n')}`);
      await sleep(5);
    }
    const readyMs = performance.now() - began;
    agent.destroy();
    return new MeasuredWebhook(child, folder, said, { readyMs, port, ca: files.ca.pem });
  }

  look(): Promise<Look> {
    return this.#ask('look');
  }

  /** Collects garbage; what remains is what is held. */
  collect(): Promise<Pick<Look, 'rss' | 'heapUsed'>> {
    return this.#ask('collect');
  }

  /** The most memory since the start or the last call of `startOver`, as the kernel counts it. */
  get peakRss(): number {
    return Number(/^VmHWM:\s+(\d+) kB$/m.exec(this.#proc('status'))?.[1]) * 1024;
  }

  /** Begins a new measurement of the peak and the delays. */
  async startOver(): Promise<void> {
    // proc(5): "5: Reset the peak resident set size"
    writeFileSync(`/proc/${this.#child.pid}/clear_refs`, '5');
    await this.#ask('reset');
  }

  /** How many lists were completed so far. */
  get lists(): number {
    return this.#said.filter((line) => line.includes('"ServiceAccounts listed"')).length;
  }

  /** Has the webhook read all ServiceAccounts again; returns the milliseconds until it has, from the cut on. */
  async relist(): Promise<number> {
    const before = this.lists;
    const began = performance.now();
    await this.#ask('forget');
    while (this.lists === before) {
      if (performance.now() - began > READY_TIMEOUT_MS) throw new Error(`no new list:\n${this.#said.join('\n')}`);
      await sleep(5);
    }
    return performance.now() - began;
  }

  async stop(): Promise<void> {
    const ended = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await ended;
    await rm(this.#folder, { recursive: true });
  }

  #proc(file: string): string {
    return readFileSync(`/proc/${this.#child.pid}/${file}`, 'utf8');
  }

  #ask<T>(ask: string): Promise<T> {
    const id = ++this.#asked;
    return new Promise((fulfil) => {
      const hear = (message: unknown) => {
        const heard = message as { id: number; answer: T };
        if (heard.id !== id) return;
        this.#child.off('message', hear);
        fulfil(heard.answer);
      };
      this.#child.on('message', hear);
      this.#child.send({ id, ask });
    });
  }
}

function isReady(port: number, agent: Agent): Promise<boolean> {
  return new Promise((fulfil) => {
    get({ host: '127.0.0.1', port, path: '/readyz', agent }, (answer) => {
      answer.resume().on('end', () => fulfil(answer.statusCode === 200));
    }).on('error', () => fulfil(false));
  });
}
