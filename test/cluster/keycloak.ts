/** A Keycloak on the loopback, as its distribution comes from Maven, and its kcadm.sh. */
import { mkdir, mkdtemp, readdir, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Missing, unpackedWith } from './cached-install.ts';
import { type Ran, runProgram } from './podpass.ts';
import { freePort, Guardian, Server } from './servers.ts';

const pom = fileURLToPath(new URL('./consumers/keycloak/pom.xml', import.meta.url));
const ADMIN = { username: 'admin', password: 'admin' };

/** The first start of a JVM, a database and a realm: half a minute where the machine has nothing else to do. */
const READY_MS = 400_000;
/** So that one question without an answer is not the last one; a realm is a lot of work at first. */
const ANSWER_MS = 150_000;
/** Each command of kcadm.sh is a JVM of its own. */
const COMMANDS_MS = 240_000;

/** A short life is not worth the second compiler. */
const JVM = '-XX:TieredStopAtLevel=1';

interface Answer {
  readonly status: number;
  /** The token that Keycloak gave, or why it did not. */
  readonly body: { readonly access_token?: string; readonly error?: string; readonly error_description?: string };
}

/** The folder of a Keycloak that is ready to start, or why there is none; unpacked and built at the first use. */
export async function installKeycloak(): Promise<{ home: string } | Missing> {
  // The archive's one folder has the version in its name. A database in memory is chosen here and not at the start.
  const build = `JAVA_OPTS_APPEND=${JVM} exec sh "$0"/keycloak-*/bin/kc.sh build --db=dev-mem`;
  const found = await unpackedWith(pom, 'Keycloak', (folder) => [['sh', ['-c', build, folder]]]);
  if ('reason' in found) return found;
  const name = (await readdir(found.folder)).find((each) => each.startsWith('keycloak-'));
  return name === undefined ? { reason: `${found.folder} has no Keycloak` } : { home: join(found.folder, name) };
}

export class Keycloak {
  readonly #server: Server;
  readonly #guardian: Guardian;
  readonly #home: string;
  readonly #folder: string;
  readonly #url: string;

  private constructor(server: Server, guardian: Guardian, places: { home: string; folder: string; url: string }) {
    this.#server = server;
    this.#guardian = guardian;
    this.#home = places.home;
    this.#folder = places.folder;
    this.#url = places.url;
  }

  /** One with the realm `master` alone, which trusts the CA of issuers. */
  static async start(installed: string, caFile: string): Promise<Keycloak> {
    const folder = await mkdtemp(join(tmpdir(), 'podpass-keycloak-'));
    const guardian = new Guardian(folder);
    try {
      const home = await ownHome(installed, folder);
      const port = await freePort();
      // Java by itself, with what bin/kc.sh gives it: that script would stay between us and the server, and not end it.
      const properties = {
        'kc.home.dir': home,
        'jboss.server.config.dir': join(home, 'conf'),
        'java.util.logging.manager': 'org.jboss.logmanager.LogManager',
        'java.util.concurrent.ForkJoinPool.common.threadFactory':
          'io.quarkus.bootstrap.forkjoin.QuarkusForkJoinWorkerThreadFactory',
      };
      const args = [
        ...['-Xmx768m', JVM, ...Object.entries(properties).map(([name, value]) => `-D${name}=${value}`)],
        ...['-cp', join(installed, 'lib/quarkus-run.jar'), 'io.quarkus.bootstrap.runner.QuarkusEntryPoint'],
        // Without a cache of its own it looks for others, on a port that is always the same.
        ...['start', '--optimized', '--cache=local', `--truststore-paths=${caFile}`],
        ...['--http-enabled=true', '--http-host=127.0.0.1', `--http-port=${port}`, '--hostname-strict=false'],
      ];
      const server = new Server(guardian, 'Keycloak', 'java', args, join(folder, 'keycloak.log'), {
        ...{ PATH: process.env.PATH, HOME: folder },
        ...{ KC_BOOTSTRAP_ADMIN_USERNAME: ADMIN.username, KC_BOOTSTRAP_ADMIN_PASSWORD: ADMIN.password },
      });
      const keycloak = new Keycloak(server, guardian, { home, folder, url: `http://127.0.0.1:${port}` });
      await server.ready(async () => (await keycloak.#ask('/realms/master')).status === 200, READY_MS);
      await keycloak.#logIn();
      return keycloak;
    } catch (error) {
      await guardian.end();
      throw error;
    }
  }

  /** As it says itself. */
  async version(): Promise<string> {
    const { systemInfo } = (await this.#admin('GET', '/admin/serverinfo')) as { systemInfo: { version: string } };
    return systemInfo.version;
  }

  /** Makes a realm, and returns its issuer as its own document has it. */
  async createRealm(realm: string): Promise<string> {
    await this.#admin('POST', '/admin/realms', { realm, enabled: true });
    const answer = await this.#ask(`/realms/${encodeURIComponent(realm)}/.well-known/openid-configuration`);
    return ((await answer.json()) as { issuer: string }).issuer;
  }

  /** Asks the token endpoint of the realm that has this issuer. */
  async token(issuer: string, form: Record<string, string>): Promise<Answer> {
    const path = `${issuer.slice(this.#url.length)}/protocol/openid-connect/token`;
    const answer = await this.#ask(path, { method: 'POST', body: new URLSearchParams(form) });
    return { status: answer.status, body: (await answer.json()) as Answer['body'] };
  }

  /** Runs commands of kcadm.sh, as an administrator who has logged in. */
  shell(script: string, env: Record<string, string> = {}): Promise<Ran> {
    return runProgram('/bin/sh', ['-c', script], {
      env: {
        ...env,
        PATH: `${join(this.#home, 'bin')}:${process.env.PATH}`,
        // Under it kcadm.sh remembers who has logged in: Java does not look at HOME.
        KC_OPTS: `${JVM} -Duser.home=${this.#folder}`,
      },
      timeoutMs: COMMANDS_MS,
    });
  }

  async stop(): Promise<void> {
    await this.#server.end('SIGKILL');
    await this.#guardian.end();
  }

  async #logIn(): Promise<void> {
    const login = 'kcadm.sh config credentials --realm master --server "$URL" --user "$NAME" --password "$PASSWORD"';
    const who = { URL: this.#url, NAME: ADMIN.username, PASSWORD: ADMIN.password };
    const { code, stdout, stderr } = await this.shell(login, who);
    if (code !== 0) throw new Error(`kcadm.sh config credentials: ${stdout}${stderr}`);
  }

  /** Each time with a token of its own, as they live for a minute. */
  async #admin(method: string, path: string, body?: object): Promise<unknown> {
    const login = new URLSearchParams({ grant_type: 'password', client_id: 'admin-cli', ...ADMIN });
    const token = '/realms/master/protocol/openid-connect/token';
    const { access_token } = (await (await this.#ask(token, { method: 'POST', body: login })).json()) as Answer['body'];
    const answer = await this.#ask(path, {
      method,
      headers: { authorization: `Bearer ${access_token}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
    return text === '' ? undefined : JSON.parse(text);
  }

  #ask(path: string, init: RequestInit = {}): Promise<Response> {
    return fetch(this.#url + path, { ...init, signal: AbortSignal.timeout(ANSWER_MS) });
  }
}

/** A home with data of its own: several servers may run from one installation. */
async function ownHome(installed: string, folder: string): Promise<string> {
  const home = join(folder, 'home');
  await mkdir(join(home, 'data'), { recursive: true });
  for (const part of await readdir(installed))
    if (part !== 'data') await symlink(join(installed, part), join(home, part));
  return home;
}
