/** A Node process of ours that answers questions, pinned to a core, and gone when we are. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface, type Interface } from 'node:readline';
import type { Guardian } from '../../cluster/servers.ts';
import { pinned } from './cores.ts';

export interface Spawning {
  readonly guardian: Guardian;
  readonly core?: number | undefined;
  readonly env?: Readonly<Record<string, string>>;
  readonly nodeFlags?: readonly string[];
}

export class AskedProcess {
  readonly name: string;
  readonly #child: ChildProcess;
  readonly #output: Interface;
  readonly #lines: string[] = [];
  readonly #waiting = new Map<number, { fulfil: (answer: unknown) => void; reject: (error: Error) => void }>();
  readonly #ended: Promise<void>;
  #asked = 0;

  /** `args` are Node's. */
  constructor(name: string, args: readonly string[], { guardian, core, env = {}, nodeFlags = [] }: Spawning) {
    this.name = name;
    const [program = '', ...rest] = pinned(core, [process.execPath, ...nodeFlags, ...args]);
    // taskset is found by its path; nothing else of our environment may make a difference.
    const whole = { PATH: process.env.PATH ?? '', NODE_ENV: 'production', ...env };
    const child = spawn(program, rest, { env: whole, stdio: ['ignore', 'pipe', 'inherit', 'ipc'] });
    this.#child = child;
    if (child.pid !== undefined) guardian.watch(child.pid);
    child.on('message', ({ id, answer, error }: { id: number; answer: unknown; error?: string }) => {
      const waiting = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (error === undefined) waiting?.fulfil(answer);
      else waiting?.reject(new Error(`${name}: ${error}`));
    });
    this.#output = createInterface({ input: child.stdout as NodeJS.ReadableStream });
    this.#output.on('line', (line) => this.#lines.push(line));
    this.#ended = new Promise((fulfil) => {
      const end = (how: string) => {
        if (child.pid !== undefined) guardian.forget(child.pid);
        const error = new Error(`${name} ended: ${how}\n${this.#lines.slice(-20).join('\n')}`);
        for (const { reject } of this.#waiting.values()) reject(error);
        this.#waiting.clear();
        fulfil();
      };
      child.once('error', (error) => end(error.message));
      child.once('exit', (code, signal) => end(signal ?? `exit code ${code}`));
    });
  }

  get pid(): number {
    return this.#child.pid ?? -1;
  }

  /** What it has said on standard output. */
  get lines(): readonly string[] {
    return this.#lines;
  }

  ask<T>(ask: string, rest: object = {}): Promise<T> {
    const id = ++this.#asked;
    return new Promise((fulfil, reject) => {
      if (!this.#child.connected)
        return reject(new Error(`${this.name} has ended\n${this.#lines.slice(-20).join('\n')}`));
      this.#waiting.set(id, { fulfil: fulfil as (answer: unknown) => void, reject });
      this.#child.send({ id, ask, ...rest });
    });
  }

  /** The line of its log that says where it listens. */
  async listening(): Promise<{ readonly port: number; readonly metricsPort?: number }> {
    const ended = this.#ended.then(() => {
      throw new Error(`${this.name} has ended\n${this.#lines.slice(-20).join('\n')}`);
    });
    for (;;) {
      const line = this.#lines.find((each) => each.includes('"listening"'));
      if (line !== undefined) return JSON.parse(line);
      await Promise.race([once(this.#output, 'line'), ended]);
    }
  }

  async stop(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#ended;
  }
}
