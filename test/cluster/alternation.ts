import { connect, createServer, type Server, type Socket } from 'node:net';

/** So long a connection may be silent; what polls less often meets another server each time. */
const IDLE_MS = 300;

/** Sends each new connection to the next one of some ports of the loopback, and ends connections that are idle. */
export class Alternation {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #ports: readonly number[];
  #turn = 0;

  static async start(ports: readonly number[]): Promise<Alternation> {
    const alternation = new Alternation(ports);
    await new Promise<void>((fulfil) => alternation.#server.listen(0, '127.0.0.1', fulfil));
    return alternation;
  }

  private constructor(ports: readonly number[]) {
    this.#ports = ports;
    this.#server = createServer((incoming) => this.#forward(incoming));
  }

  get port(): number {
    const address = this.#server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }

  #forward(incoming: Socket): void {
    const outgoing = connect(this.#ports[this.#turn++ % this.#ports.length] ?? 0, '127.0.0.1');
    for (const [one, other] of [
      [incoming, outgoing],
      [outgoing, incoming],
    ] as const) {
      this.#sockets.add(one);
      one.setTimeout(IDLE_MS, () => one.end());
      one.on('error', () => other.destroy());
      one.on('close', () => {
        this.#sockets.delete(one);
        other.end();
      });
      one.pipe(other);
    }
  }

  stop(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}
