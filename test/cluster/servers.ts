/** Runs server programs that must not outlive the tests, whatever happens to the tests. */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * A shell that waits on a pipe from this process. The pipe closes when we close it and also when we are
 * killed: then the shell kills every server it was told of and removes their folder. Exit hooks would
 * not see a SIGKILL.
 */
export class Guardian {
  readonly #shell: ChildProcess;
  readonly #ended: Promise<void>;

  /** `afterwards` are further words of shell, for what the servers leave behind outside their folder. */
  constructor(folder: string, afterwards = '') {
    const script = `
      pids=
      while read -r sign pid; do
        case $sign in
          +) pids="$pids $pid" ;;
          -) rest=
             for p in $pids; do [ "$p" = "$pid" ] || rest="$rest $p"; done
             pids=$rest ;;
        esac
      done
      [ -z "$pids" ] || kill -9 $pids
      ${afterwards}
      # A server that was just killed may still be writing.
      for i in 1 2 3 4 5; do rm -rf -- "$1" 2>/dev/null && exit; sleep 0.2; done`;
    // Detached: Ctrl-C in the terminal must end the tests, not the one who cleans up after them.
    this.#shell = spawn('/bin/sh', ['-c', script, 'guardian', folder], {
      detached: true,
      stdio: ['pipe', 'ignore', 'inherit'],
    });
    this.#ended = new Promise((fulfil, reject) => {
      this.#shell.once('exit', () => fulfil());
      this.#shell.once('error', reject);
    });
    // end() reports a shell that could not start; without a listener before that, Node would end the process.
    this.#ended.catch(() => undefined);
    this.#shell.stdin?.on('error', () => undefined);
  }

  watch(pid: number): void {
    this.#shell.stdin?.write(`+ ${pid}\n`);
  }

  /** A dead server's number may soon be another program's. */
  forget(pid: number): void {
    this.#shell.stdin?.write(`- ${pid}\n`);
  }

  async end(): Promise<void> {
    this.#shell.stdin?.end();
    await this.#ended;
  }
}

export class Server {
  readonly name: string;
  readonly exited: Promise<string>;
  readonly #child: ChildProcess;
  readonly #logFile: string;
  #running = true;

  constructor(guardian: Guardian, name: string, program: string, args: string[], logFile: string, env = {}) {
    this.name = name;
    this.#logFile = logFile;
    const log = openSync(logFile, 'a');
    // No environment of ours: etcd takes every flag from ETCD_* as well, and proxies must not come between.
    const child = spawn(program, args, { detached: true, env, stdio: ['ignore', log, log] });
    closeSync(log);
    this.#child = child;
    if (child.pid) guardian.watch(child.pid);
    this.exited = new Promise((fulfil) => {
      child.once('error', (error) => {
        this.#running = false;
        fulfil(error.message);
      });
      child.once('exit', (code, signal) => {
        this.#running = false;
        if (child.pid) guardian.forget(child.pid);
        fulfil(signal ? `ended by ${signal}` : `exit code ${code}`);
      });
    });
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  get running(): boolean {
    return this.#running;
  }

  /** Waits for the end; a server that does not go by itself is killed after `patienceMs`. */
  async end(signal: 'SIGKILL' | 'SIGTERM', patienceMs = 90_000): Promise<void> {
    this.#child.kill(signal);
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), patienceMs);
    await this.exited;
    clearTimeout(timer);
  }

  /** Waits until `probe` is true. Fails, with the end of the log, as soon as the server dies or the time is over. */
  async ready(probe: () => Promise<boolean>, timeoutMs: number): Promise<void> {
    const deadline = Date.now() + timeoutMs;
    for (;;) {
      if (!this.running) throw new Error(`${this.name} did not start: ${await this.exited}\n${this.logTail()}`);
      if (await probe().catch(() => false)) return;
      if (Date.now() > deadline) {
        throw new Error(`${this.name} was not ready after ${timeoutMs / 1000} s\n${this.logTail()}`);
      }
      await sleep(50);
    }
  }

  logTail(lines = 20): string {
    const text = readFileSync(this.#logFile, 'utf8').trimEnd();
    return `--- end of the log of ${this.name}\n${text.split('\n').slice(-lines).join('\n')}`;
  }
}

/**
 * A free port on the loopback, below those that systems hand out for outgoing connections: a server that
 * is stopped must get its port back later, and no client must get it meanwhile.
 */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const port = randomInt(20_000, 30_000);
    const free = await new Promise<boolean>((fulfil) => {
      const probe = createServer();
      probe.once('error', () => fulfil(false));
      probe.listen({ port, host: '127.0.0.1', exclusive: true }, () => probe.close(() => fulfil(true)));
    });
    if (free) return port;
  }
  throw new Error('found no free port between 20000 and 29999 on 127.0.0.1');
}
