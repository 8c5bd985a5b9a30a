/** A real MinIO server, which trusts an issuer's tokens for one audience: the client ID, as MinIO calls it. */
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { get } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { METADATA_PATH } from '../../../src/issuer-paths.ts';
import type { TestCa } from '../podpass.ts';
import { freePort, Guardian, Server } from '../servers.ts';

export interface MinioOptions {
  ca: TestCa;
  issuer: string;
  audience: string;
  region: string;
  /** Of MinIO's own: `readonly`, `readwrite`. */
  rolePolicy: string;
}

export class Minio {
  /** What MinIO prints when it starts; clients ask for it. */
  readonly role: string;
  readonly url: string;
  readonly #server: Server;
  readonly #guardian: Guardian;

  private constructor(role: string, url: string, server: Server, guardian: Guardian) {
    this.role = role;
    this.url = url;
    this.#server = server;
    this.#guardian = guardian;
  }

  static async start(program: string, { ca, issuer, audience, region, rolePolicy }: MinioOptions): Promise<Minio> {
    const folder = await mkdtemp(join(tmpdir(), 'podpass-minio-'));
    const guardian = new Guardian(folder);
    try {
      const certificates = join(folder, 'certs');
      const { cert, key } = ca.issue();
      await mkdir(join(certificates, 'CAs'), { recursive: true });
      await writeFile(join(certificates, 'public.crt'), cert);
      await writeFile(join(certificates, 'private.key'), key, { mode: 0o600 });
      await writeFile(join(certificates, 'CAs', 'ca.crt'), ca.pem);
      const port = await freePort();
      const url = `https://localhost:${port}`;
      const logFile = join(folder, 'minio.log');
      const address = ['--address', `127.0.0.1:${port}`, '--console-address', `127.0.0.1:${await freePort()}`];
      const args = ['server', '--certs-dir', certificates, ...address, join(folder, 'data')];
      const server = new Server(guardian, 'minio', program, args, logFile, {
        HOME: folder,
        MINIO_ROOT_USER: 'root-of-the-test',
        MINIO_ROOT_PASSWORD: randomBytes(20).toString('hex'),
        MINIO_SITE_REGION: region,
        MINIO_BROWSER: 'off',
        MINIO_UPDATE: 'off',
        MINIO_IDENTITY_OPENID_CONFIG_URL: issuer + METADATA_PATH,
        MINIO_IDENTITY_OPENID_CLIENT_ID: audience,
        MINIO_IDENTITY_OPENID_ROLE_POLICY: rolePolicy,
      });
      let role: string | undefined;
      await server.ready(async () => {
        role = (await readFile(logFile, 'utf8')).match(/IAM Roles:.*?(arn:minio:iam:[\w-]*::role\/[\w-]+)/)?.[1];
        return role !== undefined && (await answers(`${url}/minio/health/ready`, ca.pem));
      }, 60_000);
      return new Minio(role ?? '', url, server, guardian);
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

function answers(url: string, ca: string): Promise<boolean> {
  return new Promise((fulfil, reject) => {
    const outgoing = get(url, { ca, agent: false, timeout: 5_000 }, (incoming) => {
      incoming.resume();
      fulfil(incoming.statusCode === 200);
    });
    outgoing.on('error', reject);
    outgoing.on('timeout', () => outgoing.destroy(new Error('no answer')));
  });
}
