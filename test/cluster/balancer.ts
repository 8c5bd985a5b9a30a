import { Forwarder } from './forwarder.ts';
import type { Podpass } from './podpass.ts';

/**
 * Sends each new connection to a replica that was ready when it was last asked, in turn, as a Service does; connections
 * that are open stay where they are.
 */
export class Balancer {
  readonly #timer: NodeJS.Timeout;
  #forwarder: Forwarder | undefined;
  #replicas: Podpass[];
  #ready: Podpass[];
  #turn = 0;

  static async start(replicas: readonly Podpass[]): Promise<Balancer> {
    const balancer = new Balancer(replicas);
    balancer.#forwarder = await Forwarder.start(() => balancer.#next());
    return balancer;
  }

  private constructor(replicas: readonly Podpass[]) {
    this.#replicas = [...replicas];
    this.#ready = [...replicas];
    // The kubelet asks every ten seconds by default, and then endpoints have to travel.
    this.#timer = setInterval(() => void this.#ask(), 1_000);
  }

  get port(): number {
    return this.#forwarder?.port ?? 0;
  }

  replace(old: Podpass, by: Podpass): void {
    this.#replicas = this.#replicas.map((each) => (each === old ? by : each));
    this.#ready = [...this.#ready.filter((each) => each !== old), by];
  }

  #next(): number | undefined {
    return this.#ready[this.#turn++ % this.#ready.length]?.port;
  }

  async #ask(): Promise<void> {
    const answers = await Promise.all(this.#replicas.map((replica) => replica.ready().catch(() => false)));
    this.#ready = this.#replicas.filter((_, index) => answers[index]);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#forwarder?.stop();
  }
}
