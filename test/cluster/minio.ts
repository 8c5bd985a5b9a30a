/** A MinIO server on the loopback: a bucket that is one. */
import { mkdir, mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort, Guardian, Server } from './servers.ts';

const readyTimeoutMs = 60_000;

export interface MinioOptions {
  readonly binary: string;
  /** CA certificates (PEM) that it trusts. */
  readonly ca?: string;
  /** `MINIO_…` */
  readonly env?: Readonly<Record<string, string>>;
}

/** The credentials of its root user, and what else the AWS SDK needs. */
export type AwsEnvironment = Record<string, string>;

export class Minio {
  readonly url: string;
  readonly #binary: string;
  readonly #folder: string;
  readonly #guardian: Guardian;
  readonly #env: Record<string, string>;
  readonly #port: number;
  #server: Server | undefined;

  private constructor(options: MinioOptions, folder: string, port: number) {
    this.#binary = options.binary;
    this.#folder = folder;
    this.#guardian = new Guardian(folder);
    this.#port = port;
    this.url = `http://127.0.0.1:${port}`;
    this.#env = {
      HOME: folder,
      MINIO_ROOT_USER: 'minio-root',
      MINIO_ROOT_PASSWORD: 'minio-root-password',
      MINIO_BROWSER: 'off',
      ...options.env,
    };
  }

  static async start(options: MinioOptions): Promise<Minio> {
    const folder = await mkdtemp(join(tmpdir(), 'podpass-minio-'));
    await mkdir(join(folder, 'certs', 'CAs'), { recursive: true });
    if (options.ca !== undefined) await writeFile(join(folder, 'certs', 'CAs', 'ca.crt'), options.ca);
    const minio = new Minio(options, folder, await freePort());
    try {
      await minio.start();
      return minio;
    } catch (error) {
      await minio.stop();
      throw error;
    }
  }

  /** Of its root user. */
  get aws(): AwsEnvironment {
    return {
      AWS_ACCESS_KEY_ID: this.#env.MINIO_ROOT_USER ?? '',
      AWS_SECRET_ACCESS_KEY: this.#env.MINIO_ROOT_PASSWORD ?? '',
      AWS_ENDPOINT_URL: this.url,
      AWS_REGION: 'us-east-1',
    };
  }

  /** What it has printed, roles included. */
  log(): Promise<string> {
    return readFile(join(this.#folder, 'minio.log'), 'utf8');
  }

  /** Starts it, with what it had before, and with more variables. */
  async start(more: Readonly<Record<string, string>> = {}): Promise<void> {
    const args = ['server', '--address', `127.0.0.1:${this.#port}`, '--certs-dir', join(this.#folder, 'certs')];
    const logFile = join(this.#folder, 'minio.log');
    const data = join(this.#folder, 'data');
    this.#server = new Server(this.#guardian, 'minio', this.#binary, [...args, data], logFile, {
      ...this.#env,
      ...more,
    });
    const healthy = async () => (await fetch(`${this.url}/minio/health/cluster`)).ok;
    await this.#server.ready(healthy, readyTimeoutMs);
  }

  async kill(): Promise<void> {
    await this.#server?.end('SIGKILL');
  }

  async stop(): Promise<void> {
    await this.kill();
    await this.#guardian.end();
  }
}
