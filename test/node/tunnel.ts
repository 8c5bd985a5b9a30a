/** Reaches addresses of a node's network from this machine, which has no way into it. */
import { type AddressInfo, connect, createServer, type Server as Listener, type Socket } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Namespaces } from './namespaces.ts';

const inside = fileURLToPath(new URL('./tunnel.mjs', import.meta.url));

export class Tunnel {
  readonly #socketPath: string;
  readonly #listeners: Listener[] = [];
  readonly #sockets = new Set<Socket>();

  private constructor(socketPath: string) {
    this.#socketPath = socketPath;
  }

  static async start(namespaces: Namespaces): Promise<Tunnel> {
    const tunnel = new Tunnel(join(namespaces.folder, 'tunnel'));
    const server = namespaces.run('tunnel', 'network', process.execPath, [inside, tunnel.#socketPath]);
    await server.ready(() => tunnel.#answers(), 10_000);
    return tunnel;
  }

  #answers(): Promise<boolean> {
    return new Promise((fulfil) => {
      const probe = connect(this.#socketPath);
      probe.once('connect', () => fulfil(true)).once('error', () => fulfil(false));
      probe.once('connect', () => probe.destroy());
    });
  }

  /** Listens on our loopback, on a port of its own choice unless told, and returns the port. */
  async expose(host: string, port: number, ours = 0): Promise<number> {
    const listener = createServer({ allowHalfOpen: true }, (incoming) => {
      const outgoing = connect({ path: this.#socketPath, allowHalfOpen: true });
      outgoing.write(`${host} ${port}\n`);
      incoming.pipe(outgoing);
      outgoing.pipe(incoming);
      for (const [one, other] of [
        [incoming, outgoing],
        [outgoing, incoming],
      ] as const) {
        this.#sockets.add(one);
        one.on('error', () => one.destroy());
        one.on('close', () => {
          this.#sockets.delete(one);
          other.destroy();
        });
      }
    });
    await new Promise<void>((fulfil, reject) => {
      listener.once('error', reject);
      listener.listen({ host: '127.0.0.1', port: ours, exclusive: true }, fulfil);
    });
    this.#listeners.push(listener);
    return (listener.address() as AddressInfo).port;
  }

  stop(): void {
    for (const listener of this.#listeners) listener.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}
