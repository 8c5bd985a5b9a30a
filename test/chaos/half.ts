import { setTimeout as sleep } from 'node:timers/promises';
import type { Balancer } from '../cluster/balancer.ts';
import type { ControlPlane } from '../cluster/control-plane.ts';
import { type Podpass, startWebhook, until } from '../cluster/podpass.ts';
import { freePort } from '../cluster/servers.ts';

export interface HalfSettings {
  /** Where the process finds the API server, and who it is there. */
  readonly kubeconfig: string;
  /** In the place of the Deployment's own. */
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** The one replica of a half of the webhook: a process of the built executable, which may be gone for a while. */
export class Half {
  readonly name: 'a' | 'b';
  readonly #cluster: ControlPlane;
  /** The Deployment's arguments. */
  readonly #args: readonly string[];
  #settings: HalfSettings;
  #podpass: Podpass | undefined;
  #services: readonly Balancer[] = [];
  #port = 0;

  constructor(name: 'a' | 'b', cluster: ControlPlane, args: readonly string[], settings: HalfSettings) {
    this.name = name;
    this.#cluster = cluster;
    this.#args = args;
    this.#settings = settings;
  }

  get podpass(): Podpass {
    if (!this.#podpass) throw new Error(`half ${this.name} was never started`);
    return this.#podpass;
  }

  /** From now on these hear of each new process. */
  joins(...services: readonly Balancer[]): void {
    this.#services = services;
  }

  /** Also after its process has ended, as the kubelet restarts a container: on the same address. */
  async start(): Promise<void> {
    this.#port ||= await freePort();
    const { kubeconfig, args = this.#args, env = {} } = this.#settings;
    const before = this.#podpass;
    this.#podpass = await startWebhook(this.#cluster, ['--port', String(this.#port), ...args], { kubeconfig, env });
    if (before) for (const service of this.#services) service.replace(before, this.podpass);
  }

  /** As a rollout does: the next process is ready before the one that is there gets its SIGTERM. */
  async roll(settings: HalfSettings): Promise<void> {
    const before = this.#podpass;
    this.#settings = settings;
    this.#port = 0;
    await this.start();
    // minReadySeconds of the Deployment.
    await sleep(3_000);
    await before?.stop('SIGTERM');
  }

  signal(signal: NodeJS.Signals): void {
    process.kill(this.podpass.pid, signal);
  }

  /** Ready, and watching ServiceAccounts. False also where it does not answer. */
  async isWhole(): Promise<boolean> {
    try {
      if (!(await this.podpass.ready())) return false;
      return (await this.podpass.metrics()).value('podpass_api_server_connected') === 1;
    } catch {
      return false;
    }
  }

  /** Resident memory in MiB. */
  async memory(): Promise<number> {
    return Math.round((await this.podpass.metrics()).value('process_resident_memory_bytes') / 2 ** 20);
  }

  /** When the last line of its log was written, by its own clock; epoch milliseconds. */
  newestLogTime(): number {
    return Date.parse(String(this.podpass.logs().at(-1)?.time));
  }

  async awaitLog(text: string, timeoutMs: number): Promise<void> {
    const logged = () => this.podpass.logs().some((line) => JSON.stringify(line).includes(text));
    await until(`"${text}" in the log of half ${this.name}`, logged, timeoutMs);
  }

  async stop(): Promise<void> {
    // One that was stopped by SIGSTOP takes no other signal.
    await this.#podpass?.stop('SIGKILL');
  }
}
