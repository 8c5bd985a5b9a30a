/** The built webhook as a process that can be looked into, on a real API server. */
import { readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ControlPlane } from '../../cluster/control-plane.ts';
import { kubeconfigOf, TlsFiles, testCa } from '../../cluster/podpass.ts';
import { Guardian } from '../../cluster/servers.ts';
import type { AskedProcess } from '../servers/asked-process.ts';
import { startPodpass } from '../servers/podpass-process.ts';

const LIST_TIMEOUT_MS = 120_000;

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
  readonly #process: AskedProcess;
  readonly #guardian: Guardian;

  private constructor(
    process: AskedProcess,
    guardian: Guardian,
    started: Pick<MeasuredWebhook, 'readyMs' | 'port' | 'ca'>,
  ) {
    this.#process = process;
    this.#guardian = guardian;
    this.readyMs = started.readyMs;
    this.port = started.port;
    this.ca = started.ca;
  }

  static async start(controlPlane: ControlPlane, nodeFlags: readonly string[] = []): Promise<MeasuredWebhook> {
    const folder = await mkdtemp(join(tmpdir(), 'podpass-bench-'));
    const guardian = new Guardian(folder);
    const files = new TlsFiles(testCa(), folder);
    await files.write(files.ca.issue());
    const kubeconfig = await kubeconfigOf(controlPlane, 'webhook');
    const flags = ['--kubeconfig', kubeconfig, '--tls-cert', files.certFile, '--tls-key', files.keyFile];
    const began = performance.now();
    const { process, port } = await startPodpass('webhook', flags, { guardian, nodeFlags });
    const readyMs = performance.now() - began;
    return new MeasuredWebhook(process, guardian, { readyMs, port, ca: files.ca.pem });
  }

  look(): Promise<Look> {
    return this.#process.ask('look');
  }

  /** Collects garbage; what remains is what is held. */
  collect(): Promise<Pick<Look, 'rss' | 'heapUsed'>> {
    return this.#process.ask('collect');
  }

  /** The most memory since the start or the last call of `startOver`, as the kernel counts it. */
  get peakRss(): number {
    return Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${this.#process.pid}/status`, 'utf8'))?.[1]) * 1024;
  }

  /** Begins a new measurement of the peak and the delays. */
  async startOver(): Promise<void> {
    // proc(5): "5: Reset the peak resident set size"
    writeFileSync(`/proc/${this.#process.pid}/clear_refs`, '5');
    await this.#process.ask('reset');
  }

  /** How many lists were completed so far. */
  get lists(): number {
    return this.#process.lines.filter((line) => line.includes('"ServiceAccounts listed"')).length;
  }

  /** Has the webhook read all ServiceAccounts again; returns the milliseconds until it has, from the cut on. */
  async relist(): Promise<number> {
    const before = this.lists;
    const began = performance.now();
    await this.#process.ask('forget');
    while (this.lists === before) {
      const { lines } = this.#process;
      if (performance.now() - began > LIST_TIMEOUT_MS) throw new Error(`no new list:\n${lines.join('\n')}`);
      await sleep(5);
    }
    return performance.now() - began;
  }

  async stop(): Promise<void> {
    await this.#process.stop();
    await this.#guardian.end();
  }
}
