/**
 * The part of the internet that clients of clouds ask, on the loopback: sites with certificates of the test CA for their
 * real names, and a proxy that leads to them and to nothing else. So a client gets the addresses that it has in itself
 * or in its configuration, and the test sees which ones these are.
 */
import { createServer as createProxy, type IncomingHttpHeaders, type IncomingMessage, type Server } from 'node:http';
import { createServer as createSites } from 'node:https';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import type { TestCa } from '../podpass.ts';

export interface Asked {
  /** As the client named it, with the port if that is not 443. */
  host: string;
  method: string;
  path: string;
  headers: IncomingHttpHeaders;
  /** As text; `form` is the same, where it is one. */
  body: string;
  form: Record<string, string>;
}

export interface Answer {
  status?: number;
  /** A text is XML; anything else is sent as JSON. */
  body: unknown;
}

export type Site = (asked: Asked) => Answer | Promise<Answer>;

export class Internet {
  /** All requests so far. */
  readonly asked: Asked[] = [];
  /** Where clients wanted to go through the proxy, although there is no such site. */
  readonly refused: string[] = [];
  readonly #sites: Readonly<Record<string, Site>>;
  readonly #secure: Server;
  readonly #plain: Server;
  readonly #sockets = new Set<Socket>();

  constructor(ca: TestCa, sites: Readonly<Record<string, Site>>) {
    this.#sites = sites;
    const { cert, key } = ca.issue({ dnsNames: Object.keys(sites).filter((host) => host !== 'localhost') });
    const answer = (incoming: IncomingMessage) => this.#answer(incoming);
    this.#secure = createSites({ cert, key }, (incoming, outgoing) => void answer(incoming).then(write(outgoing)));
    this.#plain = createProxy((incoming, outgoing) => void answer(incoming).then(write(outgoing)));
    this.#plain.on('connect', (incoming: IncomingMessage, client: Socket) => this.#tunnel(incoming.url ?? '', client));
    for (const server of [this.#secure, this.#plain]) server.on('connection', (socket) => this.#keep(socket));
  }

  async listen(): Promise<this> {
    for (const server of [this.#secure, this.#plain]) {
      await new Promise<void>((fulfil, reject) => {
        server.once('error', reject);
        server.listen(0, '127.0.0.1', fulfil);
      });
    }
    return this;
  }

  /** The site `localhost`, without the proxy. */
  get url(): string {
    return `https://localhost:${portOf(this.#secure)}`;
  }

  /** The proxy; also the site `localhost` in plain HTTP. */
  get plainUrl(): string {
    return `http://127.0.0.1:${portOf(this.#plain)}`;
  }

  /** What was asked since the last call. */
  take(): Asked[] {
    return this.asked.splice(0);
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await Promise.all([this.#secure, this.#plain].map((server) => new Promise((fulfil) => server.close(fulfil))));
  }

  async #answer(incoming: IncomingMessage): Promise<Answer> {
    const { method = '', url: path = '', headers } = incoming;
    const body = await text(incoming);
    const isForm = headers['content-type']?.startsWith('application/x-www-form-urlencoded') === true;
    const form = isForm ? Object.fromEntries(new URLSearchParams(body)) : {};
    const asked = { host: headers.host ?? '', method, path, headers, body, form };
    this.asked.push(asked);
    const name = asked.host.replace(/:\d+$/, '');
    const site = this.#sites[name === '127.0.0.1' ? 'localhost' : name];
    if (site === undefined) return { status: 404, body: { error: 'no such site' } };
    try {
      return await site(asked);
    } catch (error) {
      return { status: 500, body: { error: String(error) } };
    }
  }

  #tunnel(target: string, client: Socket): void {
    const known = Object.keys(this.#sites).some((host) => `${host}:443` === target);
    if (!known) {
      this.refused.push(target);
      client.end('HTTP/1.1 403 Forbidden\r\n\r\n');
      return;
    }
    const site = connect(portOf(this.#secure), '127.0.0.1', () => {
      client.write('HTTP/1.1 200 Connection established\r\n\r\n');
      site.pipe(client).pipe(site);
    });
    this.#keep(site);
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket);
    // Clients leave as they like.
    socket.on('error', () => socket.destroy());
    socket.on('close', () => this.#sockets.delete(socket));
  }
}

function write(outgoing: import('node:http').ServerResponse) {
  return ({ status = 200, body }: Answer): void => {
    const type = typeof body === 'string' ? 'text/xml' : 'application/json';
    outgoing.writeHead(status, { 'content-type': type, connection: 'close' });
    outgoing.end(typeof body === 'string' ? body : JSON.stringify(body));
  };
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}
