/** A broker of Apache Kafka on the loopback, and a client of it: both are installed by Maven. */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { javaWith, type Missing } from './cached-install.ts';
import { runProgram, type TestCa } from './podpass.ts';
import { freePort, Guardian, Server } from './servers.ts';

const folder = fileURLToPath(new URL('./consumers/', import.meta.url));

const LOG_LEVEL = '-Dorg.slf4j.simpleLogger.defaultLogLevel=error';

interface Java {
  readonly program: string;
  readonly args: readonly string[];
}

/** The Java that has Kafka, or why there is none. */
export async function kafkaJava(): Promise<Java | Missing> {
  const java = await javaWith(join(folder, 'pom.xml'), join(folder, 'AskKafka.java'), 'Apache Kafka');
  if ('reason' in java) return java;
  return { program: java.program, args: ['-XX:TieredStopAtLevel=1', LOG_LEVEL, '-cp', java.classPath.join(delimiter)] };
}

/** A client with the properties of a file; it stays until the test ends. */
export class KafkaClient {
  readonly #ask: (line: string) => Promise<string>;
  readonly stop: () => Promise<void>;

  /** `flags` are those of the JVM. */
  constructor({ program, args }: Java, properties: string, flags: readonly string[] = []) {
    const child = spawn(program, [...flags, ...args, 'AskKafka', properties], { env: {}, stdio: 'pipe' });
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    child.stdin.on('error', () => undefined);
    let complaint = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      complaint = (complaint + text).slice(-4000);
    });
    const ended = new Promise<void>((fulfil) => {
      child.once('close', () => fulfil());
      child.once('error', (error) => {
        complaint += error.message;
        fulfil();
      });
    });
    this.#ask = async (line) => {
      child.stdin.write(`${line}\n`);
      const { done, value } = await lines.next();
      if (done) throw new Error(`the client of Kafka has ended\n${complaint}`);
      return value;
    };
    this.stop = async () => {
      child.kill('SIGKILL');
      await ended;
    };
  }

  /** What AskKafka.java says to a line. */
  ask(line: string): Promise<string> {
    return this.#ask(line);
  }
}

export class Kafka {
  /** The properties of an administrator, on a listener of the tests' own. */
  readonly adminProperties: string;
  /** The address of the listener SASL_SSL. */
  readonly address: string;
  readonly #server: Server;
  readonly #guardian: Guardian;

  private constructor(adminProperties: string, address: string, server: Server, guardian: Guardian) {
    this.adminProperties = adminProperties;
    this.address = address;
    this.#server = server;
    this.#guardian = guardian;
  }

  /** `printed` are the properties under test; `flags` are those of the JVM. */
  static async start(java: Java, ca: TestCa, printed: string, flags: readonly string[]): Promise<Kafka> {
    const home = await mkdtemp(join(tmpdir(), 'podpass-kafka-'));
    const guardian = new Guardian(home);
    try {
      const [tls, plain, controller] = [await freePort(), await freePort(), await freePort()];
      const { cert, key } = ca.issue();
      const keyStore = join(home, 'broker.pem');
      await writeFile(keyStore, key + cert, { mode: 0o600 });
      const own = {
        'process.roles': 'broker,controller',
        'node.id': '1',
        'controller.quorum.voters': `1@127.0.0.1:${controller}`,
        'controller.listener.names': 'CONTROLLER',
        'inter.broker.listener.name': 'ADMIN',
        listeners: `SASL_SSL://127.0.0.1:${tls},ADMIN://127.0.0.1:${plain},CONTROLLER://127.0.0.1:${controller}`,
        'listener.security.protocol.map': 'SASL_SSL:SASL_SSL,ADMIN:PLAINTEXT,CONTROLLER:PLAINTEXT',
        'listener.name.sasl_ssl.ssl.keystore.type': 'PEM',
        'listener.name.sasl_ssl.ssl.keystore.location': keyStore,
        'log.dirs': join(home, 'data'),
        'offsets.topic.replication.factor': '1',
        'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
        'super.users': 'User:ANONYMOUS',
      };
      const file = join(home, 'broker.properties');
      const lines = Object.entries(own).map(([name, value]) => `${name}=${value}\n`);
      await writeFile(file, lines.join('') + printed);
      const id = randomBytes(16).toString('base64url');
      const { program, args } = java;
      const format = ['kafka.tools.StorageTool', 'format', '--cluster-id', id, '--config', file];
      const formatted = await runProgram(program, [...args, ...format]);
      if (formatted.code !== 0) throw new Error(`StorageTool: ${formatted.stdout}${formatted.stderr}`);
      const log = join(home, 'kafka.log');
      const server = new Server(guardian, 'kafka', program, [...flags, ...args, 'kafka.Kafka', file], log);
      const admin = join(home, 'admin.properties');
      await writeFile(admin, `bootstrap.servers=127.0.0.1:${plain}\n`);
      const kafka = new Kafka(admin, `127.0.0.1:${tls}`, server, guardian);
      const client = new KafkaClient(java, admin);
      try {
        await server.ready(async () => (await client.ask('list')).startsWith('ok'), 90_000);
      } finally {
        await client.stop();
      }
      return kafka;
    } catch (error) {
      await guardian.end();
      throw error;
    }
  }

  async stop(): Promise<void> {
    await this.#server.end('SIGKILL');
    await this.#guardian.end();
  }
}
