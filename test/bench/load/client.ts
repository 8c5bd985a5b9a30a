/** The load generator, from the side of the bench. */
import { fileURLToPath } from 'node:url';
import { AskedProcess, type Spawning } from '../servers/asked-process.ts';
import type { Counter } from './counter.ts';
import type { Questions, Round } from './protocol.ts';

const program = fileURLToPath(new URL('generator.ts', import.meta.url));

export interface Answer {
  readonly status: number;
  readonly body: Buffer;
}

export class LoadGenerator {
  readonly #process: AskedProcess;

  constructor(spawning: Spawning) {
    this.#process = new AskedProcess('the load generator', ['--import', 'tsx', program], spawning);
  }

  /** Later a target is known by this name. Without a CA any certificate is good. */
  async connect(target: string, port: number, ca: string | undefined, connections = 8): Promise<void> {
    await this.#ask('connect', { target, port, ca, connections });
  }

  async disconnect(target: string): Promise<void> {
    await this.#ask('disconnect', { target });
  }

  async once(target: string, request: Buffer): Promise<Answer> {
    const { status, body } = await this.#ask('once', { target, request: request.toString('base64') });
    return { status, body: Buffer.from(body, 'base64') };
  }

  /** The counters are places in the request; without any all are the same. */
  run(target: string, request: Buffer, ms: number, counters: readonly Counter[] = []): Promise<Round> {
    return this.#ask('run', { target, request: request.toString('base64'), counters, ms });
  }

  async turns(turns: readonly { target: string; request: Buffer }[], count: number): Promise<number[][]> {
    const encoded = turns.map(({ target, request }) => ({ target, request: request.toString('base64') }));
    return (await this.#ask('turns', { turns: encoded, count })).ms;
  }

  stop(): Promise<void> {
    return this.#process.stop();
  }

  #ask<Ask extends keyof Questions>(ask: Ask, rest: Questions[Ask]['ask']): Promise<Questions[Ask]['answer']> {
    return this.#process.ask(ask, rest);
  }
}
