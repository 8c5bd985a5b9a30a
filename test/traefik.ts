/** Traefik itself with what `podpass render traefik -o file` prints, before a service: a front on the loopback. */
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { freePort, Guardian, Server } from './cluster/servers.ts';

export interface TraefikWishes {
  /** Its executable. */
  readonly program: string;
  /** The dynamic configuration that is rendered, and the name of its middleware. */
  readonly rendered: string;
  readonly middleware: string;
  readonly serviceUrl: string;
  /** Of the entry point; as Traefik has it where it is absent. */
  readonly aliasHeadersStrategy?: 'delete';
}

/** Answered by Traefik itself, as soon as it has the dynamic configuration. */
const READY = '/.ready';

export class Traefik {
  readonly port: number;
  readonly #server: Server;
  readonly #guardian: Guardian;

  private constructor(port: number, server: Server, guardian: Guardian) {
    this.port = port;
    this.#server = server;
    this.#guardian = guardian;
  }

  static async start({ program, rendered, middleware, serviceUrl, aliasHeadersStrategy }: TraefikWishes) {
    const folder = mkdtempSync(join(tmpdir(), 'podpass-traefik-'));
    const guardian = new Guardian(folder);
    const port = await freePort();
    const dynamic = join(folder, 'dynamic');
    mkdirSync(dynamic);
    writeFileSync(join(dynamic, 'rendered.yml'), rendered);
    const routers = {
      service: { rule: 'PathPrefix(`/`)', service: 'service', middlewares: [middleware] },
      ready: { rule: `Path(\`${READY}\`)`, priority: 1000, service: 'ping@internal' },
    };
    const services = { service: { loadBalancer: { servers: [{ url: serviceUrl }] } } };
    writeFileSync(join(dynamic, 'routes.yml'), stringify({ http: { routers, services } }));
    const args = [
      `--entrypoints.web.address=127.0.0.1:${port}`,
      ...(aliasHeadersStrategy === undefined
        ? []
        : [`--entrypoints.web.http.aliasheadersstrategy=${aliasHeadersStrategy}`]),
      '--ping.manualrouting=true',
      `--providers.file.directory=${dynamic}`,
      ...['--global.checknewversion=false', '--global.sendanonymoususage=false', '--log.level=INFO'],
    ];
    const server = new Server(guardian, 'Traefik', program, args, join(folder, 'traefik.log'));
    const traefik = new Traefik(port, server, guardian);
    try {
      await server.ready(async () => (await fetch(`http://127.0.0.1:${port}${READY}`)).ok, 60_000);
    } catch (error) {
      await traefik.stop();
      throw error;
    }
    return traefik;
  }

  async stop(): Promise<void> {
    await this.#server.end('SIGKILL');
    await this.#guardian.end();
  }
}
