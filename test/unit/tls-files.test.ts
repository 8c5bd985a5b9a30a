import { createPrivateKey, generateKeyPairSync } from 'node:crypto';
import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { CertifiedKey } from '../../src/certificate.ts';
import { Failure } from '../../src/fault.ts';
import { readPair, type TlsFiles, type TlsPair, watchPair } from '../../src/runtime/tls-files.ts';
import { rsaKey, serverCertificate, testCa } from './tls-material.ts';

const EXPIRY = Math.floor(Date.now() / 1000) * 1000 + 86_400_000;

let ca: CertifiedKey;
let one: CertifiedKey;
let two: CertifiedKey;
let folder: string;
let certFile: string;
let keyFile: string;
beforeAll(() => {
  ca = testCa();
  one = serverCertificate(ca, rsaKey(), EXPIRY);
  two = serverCertificate(ca);
});
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'podpass-tls-'));
  certFile = join(folder, 'tls.crt');
  keyFile = join(folder, 'tls.key');
});
afterEach(() => rm(folder, { recursive: true }));

async function write({ cert, key }: Partial<CertifiedKey>, into = folder): Promise<void> {
  for (const [name, text] of [
    ['tls.crt', cert],
    ['tls.key', key],
  ] as const)
    if (text !== undefined) await writeFile(join(into, name), text);
}

const ecKey = () =>
  generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
const encrypted = (key: string) =>
  createPrivateKey(key).export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' }).toString();

describe('a pair', () => {
  test('is read with the times of its beginning and its end', async () => {
    await write(one);
    const pair = await readPair(certFile, keyFile);
    expect(pair).toEqual({ ...one, notBefore: expect.any(Number), notAfter: EXPIRY });
    expect(Math.abs(Date.now() - pair.notBefore)).toBeLessThan(2 * 3_600_000);
  });

  test('may be a chain, leaf first', async () => {
    await write({ ...one, cert: one.cert + ca.cert });
    expect((await readPair(certFile, keyFile)).cert).toBe(one.cert + ca.cert);
  });

  const wrong: [string, () => Partial<CertifiedKey>, string][] = [
    ['is not there', () => ({}), 'tls.crt'],
    ['has no key', () => ({ cert: one.cert }), 'tls.key'],
    ['has no certificate', () => ({ key: one.key }), 'tls.crt'],
    ['has the key of another', () => ({ cert: one.cert, key: two.key }), 'tls.key'],
    ['has an EC key and an RSA certificate', () => ({ cert: one.cert, key: ecKey() }), 'tls.key'],
    ['has an empty certificate', () => ({ cert: '', key: one.key }), 'tls.crt'],
    ['has an empty key', () => ({ cert: one.cert, key: '' }), 'tls.key'],
    ['has garbage for a certificate', () => ({ cert: 'garbage', key: one.key }), 'tls.crt'],
    [
      'has garbage for a key',
      () => ({ cert: one.cert, key: `-----BEGIN PRIVATE KEY-----\ngarbage\n-----END PRIVATE KEY-----\n` }),
      'tls.key',
    ],
    ['has an encrypted key', () => ({ cert: one.cert, key: encrypted(one.key) }), 'tls.key'],
    ['has the files the wrong way round', () => ({ cert: one.key, key: one.cert }), 'tls.crt'],
    ['has the chain the wrong way round', () => ({ cert: ca.cert + one.cert, key: one.key }), 'tls.key'],
    [
      'has garbage behind the leaf',
      () => ({ cert: `${one.cert}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n`, key: one.key }),
      'tls.crt',
    ],
  ];
  test.each(wrong)('that %s is a failure that names the file and no key', async (_, pair, named) => {
    await write(pair());
    const failure = await readPair(certFile, keyFile).then(
      () => undefined,
      (error: unknown) => error,
    );
    expect(failure).toBeInstanceOf(Failure);
    expect(String(failure)).toContain(join(folder, named));
    expect(String(failure)).not.toContain('BEGIN');
    for (const line of one.key.split('\n').slice(1, 3)) expect(String(failure)).not.toContain(line);
  });

  test('that is a folder is a failure', async () => {
    await mkdir(certFile);
    await write({ key: one.key });
    await expect(readPair(certFile, keyFile)).rejects.toThrow(Failure);
  });
});

/** A Secret as the kubelet mounts it: `tls.crt → ..data/tls.crt`, `..data → ..VERSION`. */
async function mountSecret(pair: CertifiedKey): Promise<void> {
  await swapSecret(pair, '..v1');
  for (const name of ['tls.crt', 'tls.key']) await symlink(join('..data', name), join(folder, name));
}
async function swapSecret(pair: CertifiedKey, version: string): Promise<void> {
  await mkdir(join(folder, version));
  await write(pair, join(folder, version));
  await symlink(version, join(folder, '..data_tmp'));
  await rename(join(folder, '..data_tmp'), join(folder, '..data'));
}

describe('a watch', () => {
  let watch: TlsFiles;
  let pairs: TlsPair[];
  let errors: unknown[];
  let logged: string[];
  afterEach(() => watch.stop());

  async function start(): Promise<void> {
    pairs = [];
    errors = [];
    logged = [];
    const note = (fields: object, message: string) => void logged.push(`${message} ${JSON.stringify(fields)}`);
    const on = { pair: (pair: TlsPair) => void pairs.push(pair), error: (error: unknown) => void errors.push(error) };
    watch = watchPair(certFile, keyFile, await readPair(certFile, keyFile), on, {
      debug: note,
      info: note,
      warn: note,
      error: note,
    });
  }
  const certs = () => pairs.map(({ cert }) => cert);
  const within = { timeout: 5000 };

  test('hands over a new pair, once', async () => {
    await write(one);
    await start();
    await write(two);
    await expect.poll(certs, within).toEqual([two.cert]);
    await sleep(1200);
    expect([certs(), errors]).toEqual([[two.cert], []]);
    await write(one);
    await expect.poll(certs, within).toEqual([two.cert, one.cert]);
  });

  test('keeps the pair before while the new one does not fit, and counts that once', async () => {
    await write(one);
    await start();
    await write({ cert: two.cert });
    await expect.poll(() => errors.length, within).toBe(1);
    await sleep(2200);
    expect([certs(), errors.length]).toEqual([[], 1]);
    await write({ key: two.key });
    await expect.poll(certs, within).toEqual([two.cert]);
    expect(errors).toHaveLength(1);
    expect(logged.join('\n')).not.toContain('BEGIN');
  });

  test('counts a second break after a mend', async () => {
    await write(one);
    await start();
    await rm(keyFile);
    await expect.poll(() => errors.length, within).toBe(1);
    await write(two);
    await expect.poll(certs, within).toEqual([two.cert]);
    await rm(keyFile);
    await expect.poll(() => errors.length, within).toBe(2);
    expect(certs()).toEqual([two.cert]);
  });

  test('follows the links of a mounted Secret', async () => {
    await mountSecret(one);
    await start();
    await swapSecret(two, '..v2');
    await rm(join(folder, '..v1'), { recursive: true });
    await expect.poll(certs, within).toEqual([two.cert]);
    expect(errors).toEqual([]);
  });

  test('says nothing of a Secret that changes all the time, as both files are of one version', async () => {
    await mountSecret(one);
    await start();
    for (let i = 2; i < 40; i++) {
      await swapSecret(i % 2 === 0 ? two : one, `..v${i}`);
      await readPair(certFile, keyFile);
      await sleep(20);
    }
    expect(errors).toEqual([]);
  });
});
