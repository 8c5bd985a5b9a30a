import { generateKeyPairSync, randomBytes, X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createPlain, type RequestListener, type Server } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { exportJWK, SignJWT } from 'jose';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { createServerCertificate } from '../../src/certificate.ts';
import type { Finding } from '../../src/cli/doctor/rule.ts';
import { runCommand } from '../run-command.ts';
import { rsaKey, serverCertificate, testCa } from '../unit/tls-material.ts';

/** podpass doctor against issuers on loopback that are broken, each in one way. */

const HOUR = 3_600_000;
const KID = 'the-key';
const ca = testCa();
const key = rsaKey();
const good = serverCertificate(ca, key);
const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
let folder: string;
let caFile: string;
let jwk: Record<string, unknown>;
const servers: Server[] = [];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'podpass-doctor-'));
  caFile = join(folder, 'ca.crt');
  writeFileSync(caFile, ca.cert);
  jwk = { ...(await exportJWK(publicKey)), kid: KID, use: 'sig', alg: 'ES256' };
});
afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    await new Promise((fulfil) => server.close(fulfil));
  }
});
afterAll(() => rmSync(folder, { recursive: true }));

interface Broken {
  /** Default: a good one of the test's CA. */
  certificate?: { cert: string; key: string };
  plain?: true;
  document?: object;
  keys?: readonly object[];
  headers?: Record<string, string>;
  /** Answers in place of the documents. */
  answer?: RequestListener;
}

/** Serves an issuer and returns its URL. */
async function serve({ certificate = good, plain, document, keys = [jwk], headers, answer }: Broken = {}) {
  let issuer = '';
  const listener: RequestListener = (request, response) => {
    if (answer !== undefined) return answer(request, response);
    const isJwks = request.url === '/openid/v1/jwks';
    if (!isJwks && request.url !== '/.well-known/openid-configuration') return response.writeHead(404).end();
    const metadata = {
      issuer,
      jwks_uri: `${issuer}/openid/v1/jwks`,
      response_types_supported: ['id_token'],
      subject_types_supported: ['public'],
      id_token_signing_alg_values_supported: ['ES256'],
      ...document,
    };
    const type = isJwks ? 'application/jwk-set+json' : 'application/json';
    response.writeHead(200, { 'content-type': type, 'cache-control': 'max-age=300', ...headers });
    response.end(JSON.stringify(isJwks ? { keys } : metadata));
  };
  const server = plain ? createPlain(listener) : createServer(certificate, listener);
  servers.push(server);
  await new Promise<void>((fulfil) => server.listen(0, '127.0.0.1', fulfil));
  issuer = `${plain ? 'http' : 'https'}://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return issuer;
}

const run = (argv: readonly string[], input = '') => runCommand(['doctor', ...argv], { input });

async function examine(issuer: string, argv: readonly string[] = ['--ca', caFile], input = '') {
  const { code, out, err } = await run(['--issuer', issuer, '-o', 'json', ...argv], input);
  expect(err).toBe('');
  const { findings } = JSON.parse(out) as { findings: Finding[] };
  const errors = findings.filter(({ severity }) => severity === 'error').map((finding) => finding.code);
  expect(code).toBe(errors.length > 0 ? 1 : 0);
  return { findings, errors, codes: findings.map((finding) => finding.code), out };
}

const token = (claims: Record<string, unknown> = {}, header: Record<string, unknown> = {}) => {
  const now = Math.floor(Date.now() / 1000);
  const all = { sub: 'system:serviceaccount:shop:web', aud: ['api'], iat: now, nbf: now, exp: now + 3600, ...claims };
  return new SignJWT(all).setProtectedHeader({ alg: 'ES256', kid: KID, ...header }).sign(privateKey);
};

test('a good issuer has no error', async () => {
  const { errors, codes } = await examine(await serve());
  expect(errors).toEqual([]);
  // What is true of every issuer on loopback.
  expect(codes).toEqual(expect.arrayContaining(['address-private', 'tls-private-ca', 'issuer-port', 'thumbprint']));
});

test('the thumbprint is the SHA-1 of the last certificate that is sent', async () => {
  const sha1 = (pem: string) => new X509Certificate(pem).fingerprint.replaceAll(':', '').toLowerCase();
  const seen = async (cert: string) => {
    const { findings } = await examine(await serve({ certificate: { cert, key } }));
    return findings.find(({ code }) => code === 'thumbprint')?.seen.slice(0, 40);
  };
  expect(await seen(good.cert)).toBe(sha1(good.cert));
  expect(await seen(good.cert + ca.cert)).toBe(sha1(ca.cert));
});

describe('TLS', () => {
  const other = { commonName: 'other', dnsNames: ['other.example.com'], ipAddresses: [], serial: randomBytes(16) };
  const certificate = (options: { notBefore: number; notAfter: number }) =>
    createServerCertificate(ca, { ...other, key, ...options });
  const now = Date.now();
  const cases: [string, Parameters<typeof serve>[0], string[] | undefined, string][] = [
    ['expired', { certificate: serverCertificate(ca, key, now - 1000) }, undefined, 'tls-expired'],
    [
      'for another host',
      { certificate: certificate({ notBefore: now - HOUR, notAfter: now + HOUR }) },
      undefined,
      'tls-wrong-host',
    ],
    [
      'not valid yet',
      { certificate: certificate({ notBefore: now + HOUR, notAfter: now + 2 * HOUR }) },
      undefined,
      'tls-not-yet-valid',
    ],
    ['sent without its CA, which is not known', {}, [], 'tls-chain-incomplete'],
    ['of a CA that is sent and not known', { certificate: { cert: good.cert + ca.cert, key } }, [], 'tls-untrusted'],
  ];

  test.each(cases)('a certificate %s', async (_, broken, argv, code) => {
    const { errors } = await examine(await serve(broken), argv);
    expect(errors).toContain(code);
  });

  test('a certificate that ends soon is a warning', async () => {
    const soon = createServerCertificate(ca, {
      ...other,
      ipAddresses: ['127.0.0.1'],
      key,
      notBefore: now - 80 * 24 * HOUR,
      notAfter: now + 10 * 24 * HOUR,
    });
    const { errors, codes } = await examine(await serve({ certificate: soon }));
    expect([errors, codes.includes('tls-expires-soon')]).toEqual([[], true]);
  });

  test('a server that speaks no TLS', async () => {
    const plain = await serve({ plain: true });
    expect((await examine(plain.replace('http:', 'https:'))).errors).toEqual(['tls-failed']);
  });
});

describe('answers', () => {
  const cases: [string, Broken, string][] = [
    ['a redirect', { answer: (_, response) => response.writeHead(302, { location: '/x' }).end() }, 'redirect'],
    ['a 503', { answer: (_, response) => response.writeHead(503).end() }, 'status-not-200'],
    ['a page', { answer: (_, response) => response.end('<html>') }, 'document-not-json'],
    ['over 1 MiB', { answer: (_, response) => response.end('x'.repeat(2_000_000)) }, 'too-large'],
    ['no answer', { answer: (request) => request.socket.destroy() }, 'no-answer'],
    ['another issuer', { document: { issuer: 'https://other.example.com' } }, 'issuer-mismatch'],
    ['no jwks_uri', { document: { jwks_uri: undefined } }, 'jwks-uri-missing'],
    ['no keys', { keys: [] }, 'jwks-empty'],
    ['a private jwks_uri', { document: { jwks_uri: 'https://10.255.255.1/keys' } }, 'jwks-uri-private'],
    ['a private key', { keys: [{ ...privateKey.export({ format: 'jwk' }), kid: 'x', use: 'sig' }] }, 'key-private'],
  ];

  test.each(cases)('%s', async (_, broken, code) => {
    expect((await examine(await serve(broken))).errors).toContain(code);
  });

  test('a private jwks_uri is not asked', async () => {
    const began = performance.now();
    const { findings } = await examine(await serve({ document: { jwks_uri: 'https://10.255.255.1/keys' } }));
    expect(findings.filter(({ subject }) => subject.startsWith('https://10.'))).toEqual([]);
    expect(performance.now() - began).toBeLessThan(9_000);
  });

  test('compression without being asked', async () => {
    const { codes } = await examine(
      await serve({
        answer: (_, response) => {
          response
            .writeHead(200, { 'content-type': 'application/json', 'content-encoding': 'gzip' })
            .end(gzipSync('{}'));
        },
      }),
    );
    expect(codes).toContain('compressed');
    expect(codes).not.toContain('document-not-json');
  });

  test('headers and clocks', async () => {
    const headers = {
      'content-type': 'text/html',
      'cache-control': 'max-age=604800',
      vary: 'accept-encoding',
      date: new Date(Date.now() - HOUR).toUTCString(),
    };
    const { errors, codes } = await examine(await serve({ headers }));
    expect(errors).toEqual([]);
    expect(codes).toEqual(expect.arrayContaining(['content-type', 'cache-long', 'cache-shared', 'clock-skew']));
  });

  test('nobody there, and no such name', async () => {
    expect((await examine('https://127.0.0.1:1')).errors).toEqual(['no-answer']);
    expect((await examine('https://podpass.invalid')).errors).toEqual(['dns-failed']);
  });

  test('http is a warning on loopback and an error elsewhere', async () => {
    const { errors, codes } = await examine(await serve({ plain: true }));
    expect([errors, codes.includes('issuer-not-https')]).toEqual([[], true]);
    expect((await examine('http://podpass.invalid')).errors).toContain('issuer-not-https');
  });
});

describe('tokens', () => {
  const look = async (made: (issuer: string) => Promise<string>, argv: readonly string[] = []) => {
    const issuer = await serve();
    const text = await made(issuer);
    const seen = await examine(issuer, ['--ca', caFile, '--token', '-', ...argv], `${text}\n`);
    for (const part of text.split('.')) expect(seen.out).not.toContain(part);
    return seen;
  };

  test('a good one is verified', async () => {
    const { errors, codes } = await look((iss) => token({ iss }), ['--audience', 'api']);
    expect([errors, codes.includes('token-verified')]).toEqual([[], true]);
  });

  const cases: [string, (issuer: string) => Promise<string>, string][] = [
    ['expired', (iss) => token({ iss, exp: Math.floor(Date.now() / 1000) - 5 }), 'token-expired'],
    ['of the future', (iss) => token({ iss, nbf: Math.floor(Date.now() / 1000) + 300 }), 'token-not-yet-valid'],
    ['of an unknown key', (iss) => token({ iss }, { kid: 'other' }), 'token-key-unknown'],
    ['of another issuer', () => token({ iss: 'https://other.example.com' }), 'token-issuer'],
    ['for another audience', (iss) => token({ iss, aud: ['other'] }), 'token-audience'],
    ['without an end', (iss) => token({ iss, exp: undefined }), 'token-claims-missing'],
    ['that was changed', async (iss) => (await token({ iss })).replace(/.{10}$/, 'AAAAAAAAAA'), 'token-signature'],
    ['that is none', async () => 'opaque-token-of-somebody', 'token-malformed'],
  ];

  test.each(cases)('one %s', async (_, made, code) => {
    const { errors, codes } = await look(made, ['--audience', 'api']);
    expect(errors).toEqual([code]);
    expect(codes).not.toContain('token-verified');
  });

  test('all that is wrong is told at once', async () => {
    const past = Math.floor(Date.now() / 1000) - 5;
    const made = () => token({ iss: 'https://other.example.com', aud: ['x'], exp: past }, { kid: 'other' });
    const { errors } = await look(made, ['--audience', 'api']);
    expect(errors.sort()).toEqual(['token-audience', 'token-expired', 'token-issuer', 'token-key-unknown']);
  });

  test('a target makes its rules errors', async () => {
    const day = (iss: string) => token({ iss, exp: Math.floor(Date.now() / 1000) + 86_400 });
    const free = await look(day);
    expect([free.errors, free.codes.includes('token-lifetime')]).toEqual([[], true]);
    expect((await look(day, ['--target', 'keycloak'])).errors).toEqual(['token-lifetime']);
    expect((await look(day, ['--target', 'azure'])).errors).toEqual(
      expect.arrayContaining(['algorithm-unfit', 'address-private', 'tls-private-ca']),
    );
  });
});

describe('wrong use', () => {
  test('is exit code 2, all faults at once, and repeats no token', async () => {
    const secret = await token();
    const argv = ['--token', secret, '--token', secret, '--target', 'nobody', '-o', 'yaml'];
    const { code, out, err } = await run(argv);
    expect([code, out]).toEqual([2, '']);
    for (const part of [
      '--issuer: is missing',
      '--target: "nobody"',
      '--output: "yaml"',
      '--token: is a second value',
    ]) {
      expect(err).toContain(part);
    }
    for (const part of secret.split('.')) expect(err).not.toContain(part.slice(0, 30));
  });

  test('a CA file that is none is exit code 1', async () => {
    const { code, err } = await run(['--issuer', 'https://127.0.0.1:1', '--ca', join(folder, 'nothing')]);
    expect([code, err]).toEqual([1, expect.stringContaining('does not exist')]);
  });
});
