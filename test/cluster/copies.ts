/** Copies of documents as their tests need them: a public bucket, who writes to it, and who verifies from it. */
import { spawn } from 'node:child_process';
import { mkdtemp, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { CreateBucketCommand, PutBucketPolicyCommand, S3Client } from '@aws-sdk/client-s3';
import { createLocalJWKSet, type JSONWebKeySet, jwtVerify, SignJWT } from 'jose';
import { expect } from 'vitest';
import { expectedKid, type KeyPair } from '../unit/key-material.ts';
import type { AwsEnvironment } from './minio.ts';
import type { LogLine, Ran } from './podpass.ts';
import { Guardian, Server } from './servers.ts';

const executable = fileURLToPath(new URL('../../dist/podpass.js', import.meta.url));

/** Anyone may read the objects, as a bucket for this purpose is set up. */
export async function publicBucket(aws: AwsEnvironment, name: string): Promise<void> {
  const client = new S3Client({
    endpoint: aws.AWS_ENDPOINT_URL ?? '',
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId: aws.AWS_ACCESS_KEY_ID ?? '', secretAccessKey: aws.AWS_SECRET_ACCESS_KEY ?? '' },
  });
  await client.send(new CreateBucketCommand({ Bucket: name }));
  const read = { Effect: 'Allow', Principal: '*', Action: 's3:GetObject', Resource: `arn:aws:s3:::${name}/*` };
  const Policy = JSON.stringify({ Version: '2012-10-17', Statement: [read] });
  await client.send(new PutBucketPolicyCommand({ Bucket: name, Policy }));
  client.destroy();
}

/** `podpass publish`, and a way to kill it. */
export function publish(args: readonly string[], env: AwsEnvironment) {
  const child = spawn(process.execPath, [executable, 'publish', ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  const done: Promise<Ran> = Promise.all([ended, text(child.stdout), text(child.stderr)]).then(
    ([code, stdout, stderr]) => ({ code, stdout, stderr }),
  );
  return { done, kill: () => child.kill('SIGKILL') };
}

export async function tokenOf(pair: KeyPair, alg: string, issuer: string): Promise<string> {
  return new SignJWT({ sub: 'x' })
    .setProtectedHeader({ alg, kid: expectedKid(pair) })
    .setIssuer(issuer)
    .setAudience('test')
    .setExpirationTime('1h')
    .sign(pair.privateKey);
}

/** Verifies as an outsider who has nothing but the issuer, by the rules of OpenID Connect Discovery. */
export async function verifies(token: string, issuer: string): Promise<string> {
  const metadata = (await (await fetch(`${issuer}/.well-known/openid-configuration`)).json()) as {
    issuer: string;
    jwks_uri: string;
    id_token_signing_alg_values_supported: string[];
  };
  expect(metadata.issuer).toBe(issuer);
  const keys = createLocalJWKSet((await (await fetch(metadata.jwks_uri)).json()) as JSONWebKeySet);
  const algorithms = metadata.id_token_signing_alg_values_supported;
  const { payload } = await jwtVerify(token, keys, { issuer, audience: 'test', algorithms });
  return payload.sub ?? '';
}

/** A discovery that keeps copies, with its own environment. */
export async function startCopying(folder: string, args: readonly string[], env: AwsEnvironment) {
  const own = await mkdtemp(join(folder, 'discovery-'));
  const guardian = new Guardian(own);
  const logFile = join(own, 'log');
  const flags = ['--bind-address', '127.0.0.1', '--port', '0', '--metrics-port', '0', '--shutdown-delay', '0'];
  const command = [executable, 'discovery', ...flags, ...args];
  const server = new Server(guardian, 'podpass discovery', process.execPath, command, logFile, env);
  const logs = async (): Promise<LogLine[]> =>
    (await readFile(logFile, 'utf8'))
      .split('\n')
      .filter((line) => line.startsWith('{') && line.endsWith('}'))
      .map((line) => JSON.parse(line) as LogLine);
  return {
    logs,
    async metrics(): Promise<string> {
      const listening = (await logs()).find(({ msg }) => msg === 'listening');
      return (await fetch(`http://127.0.0.1:${listening?.metricsPort}/metrics`)).text();
    },
    async stop(): Promise<string> {
      await server.end('SIGTERM', 30_000);
      await guardian.end();
      return server.exited;
    },
  };
}
