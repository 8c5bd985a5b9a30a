/** What stands before discovery in a cluster: it ends TLS for the issuer's host, and asks the Service. */
import { writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { createServer, type Server } from 'node:https';
import { join } from 'node:path';
import { TestCa } from '../cluster/podpass.ts';
import type { TestNode } from './test-node.ts';

export class IssuerFront {
  readonly #server: Server;
  readonly caFile: string;

  private constructor(server: Server, caFile: string) {
    this.#server = server;
    this.caFile = caFile;
  }

  /** Listens on a port of our loopback for what the Service, by address and port, answers. */
  static async start(node: TestNode, port: number, service: { host: string; port: number }): Promise<IssuerFront> {
    const ca = new TestCa();
    const { cert, key } = ca.issue();
    const behind = await node.expose(service.host, service.port);
    const server = createServer({ cert, key }, (incoming, answer) => {
      const { method, url: path, headers } = incoming;
      const outgoing = request({ host: '127.0.0.1', port: behind, method, path, headers }, (found) => {
        answer.writeHead(found.statusCode ?? 502, found.headers);
        found.pipe(answer);
      });
      outgoing.on('error', () => answer.writeHead(502).end());
      incoming.pipe(outgoing);
    });
    await new Promise<void>((fulfil, reject) => {
      server.once('error', reject);
      server.listen({ host: '127.0.0.1', port }, fulfil);
    });
    const caFile = join(node.cluster.folder, 'issuer-ca.pem');
    await writeFile(caFile, ca.pem);
    return new IssuerFront(server, caFile);
  }

  stop(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }
}
