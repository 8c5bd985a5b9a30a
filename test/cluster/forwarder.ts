import { connect, createServer, type Server, type Socket } from 'node:net';

/** Sends each new connection to a port of the loopback that is chosen for it; it stays there. */
export class Forwarder {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #frozen = new Set<Socket>();
  readonly #choose: () => number | undefined;
  readonly #idleMs: number;

  private constructor(choose: () => number | undefined, idleMs: number) {
    this.#choose = choose;
    this.#idleMs = idleMs;
    this.#server = createServer((incoming) => this.#forward(incoming));
  }

  /** Where no port is chosen the connection is refused. One that is silent for `idleMs` ends; 0: none does. */
  static async start(choose: () => number | undefined, idleMs = 0): Promise<Forwarder> {
    const forwarder = new Forwarder(choose, idleMs);
    await new Promise<void>((fulfil) => forwarder.#server.listen(0, '127.0.0.1', fulfil));
    return forwarder;
  }

  get port(): number {
    const address = this.#server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }

  #forward(incoming: Socket): void {
    const port = this.#choose();
    if (port === undefined) {
      incoming.destroy();
      return;
    }
    const outgoing = connect(port, '127.0.0.1');
    for (const [one, other] of [
      [incoming, outgoing],
      [outgoing, incoming],
    ] as const) {
      this.#sockets.add(one);
      one.setTimeout(this.#idleMs, () => one.end());
      one.on('error', () => {
        if (!this.#frozen.has(other)) other.destroy();
      });
      // Without an error, what is on its way still arrives.
      one.on('close', () => {
        this.#sockets.delete(one);
        if (!this.#frozen.delete(one)) other.end();
      });
      one.pipe(other);
    }
  }

  /** Resets all open connections, at both ends. */
  reset(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  /** Carries nothing any longer on the connections that are open, and tells neither end: both believe them to live. */
  freeze(): void {
    for (const socket of this.#sockets) {
      this.#frozen.add(socket);
      socket.unpipe();
      socket.pause();
    }
  }

  stop(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}
