import { connect, createServer, type Server, type Socket } from 'node:net';
import type { Podpass } from './podpass.ts';

/**
 * Sends each new connection to a replica that was ready when it was last asked, in turn, as a Service does; connections
 * that are open stay where they are.
 */
export class Balancer {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #timer: NodeJS.Timeout;
  #replicas: Podpass[];
  #ready: Podpass[];
  #turn = 0;

  static async start(replicas: readonly Podpass[]): Promise<Balancer> {
    const balancer = new Balancer(replicas);
    await new Promise<void>((fulfil) => balancer.#server.listen(0, '127.0.0.1', fulfil));
    return balancer;
  }

  private constructor(replicas: readonly Podpass[]) {
    this.#replicas = [...replicas];
    this.#ready = [...replicas];
    this.#server = createServer((incoming) => this.#forward(incoming));
    // The kubelet asks every ten seconds by default, and then endpoints have to travel.
    this.#timer = setInterval(() => void this.#ask(), 1_000);
  }

  get port(): number {
    const address = this.#server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }

  replace(old: Podpass, by: Podpass): void {
    this.#replicas = this.#replicas.map((each) => (each === old ? by : each));
    this.#ready = [...this.#ready.filter((each) => each !== old), by];
  }

  async #ask(): Promise<void> {
    const answers = await Promise.all(this.#replicas.map((replica) => replica.ready().catch(() => false)));
    this.#ready = this.#replicas.filter((_, index) => answers[index]);
  }

  #forward(incoming: Socket): void {
    const replica = this.#ready[this.#turn++ % this.#ready.length];
    if (replica === undefined) {
      incoming.destroy();
      return;
    }
    const outgoing = connect(replica.port, '127.0.0.1');
    for (const [one, other] of [
      [incoming, outgoing],
      [outgoing, incoming],
    ] as const) {
      this.#sockets.add(one);
      one.on('error', () => other.destroy());
      // Without an error, what is on its way still arrives.
      one.on('close', () => {
        this.#sockets.delete(one);
        other.end();
      });
      one.pipe(other);
    }
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}
