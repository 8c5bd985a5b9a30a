/**
 * What the webhook asks of an API server, without one: the ServiceAccounts, a watch in which nothing happens, and what
 * the cluster says of itself. The clusters' tests have the real one.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Account, listOf } from '../../unit/service-accounts/protobuf-writer.ts';

const ISSUER = 'https://issuer.example.com';
const FACTS: Readonly<Record<string, object>> = {
  '/.well-known/openid-configuration': { issuer: ISSUER, jwks_uri: `${ISSUER}/openid/v1/jwks` },
  '/version': { major: '1', minor: '36' },
};
const PAGE = 1_000;

export class ApiDouble {
  readonly #server: Server;
  readonly #pages: readonly Buffer[];

  private constructor(accounts: readonly Account[]) {
    const count = Math.max(1, Math.ceil(accounts.length / PAGE));
    this.#pages = Array.from({ length: count }, (_, i) =>
      listOf(accounts.slice(i * PAGE, (i + 1) * PAGE), '1', i + 1 < count ? String(i + 1) : ''),
    );
    this.#server = createServer((request, response) => this.#answer(request, response));
  }

  static async start(accounts: readonly Account[]): Promise<ApiDouble> {
    const double = new ApiDouble(accounts);
    await new Promise<void>((fulfil) => double.#server.listen(0, '127.0.0.1', fulfil));
    return double;
  }

  /** The text of a kubeconfig; JSON is YAML. */
  get kubeconfig(): string {
    const { port } = this.#server.address() as AddressInfo;
    return JSON.stringify({
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [{ name: 'a', cluster: { server: `http://127.0.0.1:${port}`, 'insecure-skip-tls-verify': true } }],
      contexts: [{ name: 'a', context: { cluster: 'a', user: 'a' } }],
      users: [{ name: 'a', user: {} }],
      'current-context': 'a',
    });
  }

  stop(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  #answer({ url = '' }: IncomingMessage, response: ServerResponse): void {
    const { pathname, searchParams } = new URL(url, 'http://localhost');
    const facts = FACTS[pathname];
    if (facts !== undefined) {
      response.setHeader('Content-Type', 'application/json');
      response.end(JSON.stringify(facts));
      return;
    }
    if (pathname !== '/api/v1/serviceaccounts') {
      response.writeHead(404).end();
      return;
    }
    if (searchParams.has('watch')) {
      // Headers alone, and an end when it was asked for: to give a watch up costs more.
      response.writeHead(200, { 'Content-Type': 'application/json' }).flushHeaders();
      const end = setTimeout(() => response.end(), Number(searchParams.get('timeoutSeconds')) * 1_000);
      response.on('close', () => clearTimeout(end));
      return;
    }
    response.setHeader('Content-Type', 'application/vnd.kubernetes.protobuf');
    response.end(this.#pages[Number(searchParams.get('continue') ?? 0)]);
  }
}
