import { generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { RequestListener } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { exportJWK, SignJWT } from 'jose';
import forge from 'node-forge';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { targetNames } from '../../src/catalog/targets.ts';
import { type CertifiedKey, createServerCertificate } from '../../src/certificate.ts';
import type { Finding } from '../../src/cli/doctor/rule.ts';
import { sleep } from '../../src/sleep.ts';
import { runCommand } from '../run-command.ts';
import { rsaKey, serverCertificate, testCa } from '../unit/tls-material.ts';

/**
 * Each fault by itself, at a real server, and all that podpass doctor then finds: no more and no less than beside the
 * same issuer without the fault.
 */

const HOUR = 3_600_000;
const KID = 'the-key';
const ca = testCa();
const key = rsaKey();
const good = serverCertificate(ca, key);
const signing = generateKeyPairSync('rsa', { modulusLength: 2048 });
const onCurve = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const weak = generateKeyPairSync('rsa', { modulusLength: 1024 });
const folder = mkdtempSync(join(tmpdir(), 'podpass-doctor-'));
const caFile = join(folder, 'ca.crt');
let jwk: Jwk;
afterAll(() => rmSync(folder, { recursive: true }));
beforeAll(async () => {
  writeFileSync(caFile, ca.cert);
  jwk = await publicJwk(signing.publicKey, 'RS256');
});

type Jwk = Readonly<Record<string, unknown>>;

async function publicJwk(publicKey: KeyObject, alg: string, kid = KID): Promise<Jwk> {
  return { ...(await exportJWK(publicKey)), kid, use: 'sig', alg };
}

type Before = (
  ...exchange: [...Parameters<RequestListener>, asked: { readonly isJwks: boolean; readonly nth: number }]
) => boolean | Promise<boolean>;

/** What differs from a good issuer. */
interface Fault {
  readonly certificate?: CertifiedKey;
  readonly ca?: string;
  /** Before the usual answer; true where it has answered. `nth` counts the questions at this URL, from 1. */
  readonly before?: Before;
  readonly headers?: Readonly<Record<string, string>>;
  readonly document?: object;
  readonly keys?: () => readonly Jwk[] | Promise<readonly Jwk[]>;
  /** What is put to the issuer that doctor is asked for. */
  readonly suffix?: string;
  readonly argv?: readonly string[];
  readonly token?: (issuer: string) => Promise<string>;
}

async function examine(fault: Fault) {
  let issuer = '';
  const counts = new Map<boolean, number>();
  const keys = (await fault.keys?.()) ?? [jwk];
  const server = createServer(fault.certificate ?? good, async (request, response) => {
    const isJwks = request.url === '/openid/v1/jwks';
    counts.set(isJwks, (counts.get(isJwks) ?? 0) + 1);
    if (await fault.before?.(request, response, { isJwks, nth: counts.get(isJwks) ?? 0 })) return;
    const algs = [...new Set(keys.map(({ alg }) => alg))].filter(Boolean);
    const metadata = {
      issuer,
      jwks_uri: `${issuer}/openid/v1/jwks`,
      response_types_supported: ['id_token'],
      subject_types_supported: ['public'],
      id_token_signing_alg_values_supported: algs.length > 0 ? algs : ['RS256'],
      ...fault.document,
    };
    const type = isJwks ? 'application/jwk-set+json' : 'application/json';
    const headers = Object.entries({ 'content-type': type, 'cache-control': 'max-age=300', ...fault.headers });
    response.writeHead(200, Object.fromEntries(headers.filter(([, value]) => value !== '')));
    response.end(JSON.stringify(isJwks ? { keys } : metadata));
  });
  await new Promise<void>((fulfil) => server.listen(0, '127.0.0.1', fulfil));
  issuer = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  try {
    const input = (await fault.token?.(issuer)) ?? '';
    const trust = ['--ca', fault.ca ?? caFile];
    const asked = ['--issuer', `${issuer}${fault.suffix ?? ''}`, ...(fault.token ? ['--token', '-'] : [])];
    const { code, out, err } = await runCommand(['doctor', ...asked, ...trust, '-o', 'json', ...(fault.argv ?? [])], {
      input,
    });
    expect(err).toBe('');
    const { findings } = JSON.parse(out) as { findings: Finding[] };
    expect(code).toBe(findings.some(({ severity }) => severity === 'error') ? 1 : 0);
    return findings;
  } finally {
    server.closeAllConnections();
    await new Promise((fulfil) => server.close(fulfil));
  }
}

/** `error key-weak`: without the notes, and without what is true of every issuer on loopback with a CA of its own. */
const HERE = ['address-private', 'tls-private-ca', 'issuer-port'];
const told = (findings: readonly Finding[]) => [
  ...new Set(
    findings
      .filter(({ severity, code }) => severity !== 'info' && !HERE.includes(code))
      .map(({ severity, code }) => `${severity} ${code}`),
  ),
];

const now = () => Math.floor(Date.now() / 1000);
const minted =
  (claims: object = {}, header: object = {}, by = signing.privateKey) =>
  (iss: string) =>
    new SignJWT({
      iss,
      sub: 'system:serviceaccount:shop:web',
      aud: ['api'],
      iat: now(),
      nbf: now(),
      exp: now() + 3600,
      ...claims,
    })
      .setProtectedHeader({ alg: 'RS256', kid: KID, ...header })
      .sign(by);

const end = (status: number, headers: Record<string, string> = {}, body = ''): Before => {
  return (_, response) => {
    response.writeHead(status, headers).end(body);
    return true;
  };
};

const names = { commonName: 'test', dnsNames: [], ipAddresses: ['127.0.0.1'], serial: randomBytes(16) };
const lasting = { notBefore: Date.now() - HOUR, notAfter: Date.now() + HOUR };

/** A CA without a limit to its path, which those of podpass have: its own, or one under another. */
function authority(name: string, above?: CertifiedKey): CertifiedKey {
  const own = forge.pki.privateKeyFromPem(rsaKey());
  const certificate = forge.pki.createCertificate();
  certificate.publicKey = forge.pki.setRsaPublicKey(own.n, own.e);
  certificate.serialNumber = `02${randomBytes(8).toString('hex')}`;
  certificate.validity.notBefore = new Date(lasting.notBefore);
  certificate.validity.notAfter = new Date(lasting.notAfter);
  const subject = [{ name: 'commonName', value: name }];
  certificate.setSubject(subject);
  certificate.setIssuer(above === undefined ? subject : forge.pki.certificateFromPem(above.cert).subject.attributes);
  certificate.setExtensions([
    { name: 'basicConstraints', cA: true, critical: true },
    { name: 'keyUsage', keyCertSign: true, critical: true },
    { name: 'subjectKeyIdentifier' },
  ]);
  certificate.sign(above === undefined ? own : forge.pki.privateKeyFromPem(above.key), forge.md.sha256.create());
  return { cert: forge.pki.certificateToPem(certificate), key: forge.pki.privateKeyToPem(own) };
}
const root = authority('a root');
const between = authority('between', root);
const underIt = createServerCertificate(between, { ...names, key, ...lasting });
const rootFile = join(folder, 'root.crt');
writeFileSync(rootFile, root.cert);
const self = authority('a server that signs for itself');

const nowAndThen: Before = (_, response, { nth }) => {
  if (nth % 3 !== 0) return false;
  response.writeHead(503).end();
  return true;
};

const table: Readonly<Record<string, [Fault, ...string[]]>> = {
  nothing: [{}],
  'a slash at the end': [
    { suffix: '/', argv: ['--target', 'azure'] },
    'error issuer-mismatch',
    'warning issuer-trailing-slash',
  ],
  'a redirect to http': [{ before: end(302, { location: 'http://127.0.0.1/' }) }, 'error redirect'],
  'another content type': [{ headers: { 'content-type': 'text/plain' } }, 'warning content-type'],
  'no content type': [{ headers: { 'content-type': '' } }, 'warning content-type'],
  'gzip always on': [
    {
      before: end(
        200,
        { 'content-type': 'application/json', 'content-encoding': 'gzip', 'cache-control': 'max-age=60' },
        gzipSync('{}').toString('latin1'),
      ),
    },
    'warning compressed',
  ],
  'gzip always on, for PyJWT': [
    {
      argv: ['--target', 'pyjwt'],
      before: end(200, {
        'content-type': 'application/json',
        'content-encoding': 'gzip',
        'cache-control': 'max-age=1',
      }),
    },
    'error compressed',
  ],
  '406 to all': [{ before: end(406) }, 'error status-not-200'],
  '406 to what Keycloak sends': [
    {
      before: (request, response) => {
        if (request.headers.accept !== 'application/jwk-set+json') return false;
        response.writeHead(406).end();
        return true;
      },
    },
    'warning accept-refused',
  ],
  'a page for who takes text/html, for Kafka': [
    {
      argv: ['--target', 'kafka'],
      before: (request, response) => {
        if (!request.headers.accept?.includes('text/html')) return false;
        response.writeHead(200, { 'content-type': 'text/html' }).end('<html>');
        return true;
      },
    },
    'error accept-refused',
  ],
  'a page of HTML with 200': [
    { before: end(200, { 'content-type': 'text/html' }, '<html>sorry</html>') },
    'error document-not-json',
    'warning content-type',
    'warning cache-missing',
  ],
  'a page of HTML for the keys': [
    {
      before: (_, response, { isJwks }) => {
        if (!isJwks) return false;
        response.writeHead(200, { 'content-type': 'text/html', 'cache-control': 'max-age=60' }).end('<html>');
        return true;
      },
    },
    'error jwks-not-json',
    'warning content-type',
  ],
  'an expired certificate': [{ certificate: serverCertificate(ca, key, Date.now() - 1000) }, 'error tls-expired'],
  'a self-signed certificate': [{ certificate: self }, 'error tls-untrusted', 'error tls-wrong-host'],
  'a chain without its middle': [{ certificate: underIt, ca: rootFile }, 'error tls-chain-incomplete'],
  'the same chain, whole': [{ certificate: { cert: underIt.cert + between.cert, key }, ca: rootFile }],
  'a certificate for another name': [
    { certificate: createServerCertificate(ca, { ...names, ipAddresses: ['127.0.0.2'], key, ...lasting }) },
    'error tls-wrong-host',
  ],
  'no kid': [{ keys: () => [{ ...jwk, kid: undefined }] }, 'warning key-without-kid'],
  'no kid, for Kafka': [
    { keys: () => [{ ...jwk, kid: undefined }], argv: ['--target', 'kafka'] },
    'error key-without-kid',
  ],
  'a key for encryption, for PyJWT': [
    { keys: () => [{ ...jwk, use: 'enc' }], argv: ['--target', 'pyjwt'] },
    'error key-without-use',
  ],
  'no use, which PyJWT does not mind': [
    { keys: () => [{ ...jwk, use: undefined }], argv: ['--target', 'pyjwt'] },
    'warning key-without-use',
  ],
  'a weak key': [{ keys: async () => [jwk, await publicJwk(weak.publicKey, 'RS256', 'weak')] }, 'error key-weak'],
  'no keys': [{ keys: () => [] }, 'error jwks-empty'],
  'a private member': [{ keys: () => [{ ...jwk, d: 'AQAB' }] }, 'error key-private'],
  'no Cache-Control': [{ headers: { 'cache-control': '' } }, 'warning cache-missing'],
  'no-store': [{ headers: { 'cache-control': 'no-store' } }, 'warning cache-none'],
  'a huge document': [
    { before: end(200, { 'content-type': 'application/json' }, ' '.repeat(1_100_000)) },
    'error too-large',
  ],
  'more than Nimbus reads': [
    { keys: () => [{ ...jwk, padding: 'x'.repeat(52_000) }], argv: ['--target', 'nimbus'] },
    'error jwks-large',
  ],
  'an answer that is slow for Nimbus': [
    { before: async () => sleep(700, new AbortController().signal).then(() => false), argv: ['--target', 'nimbus'] },
    'warning slow',
  ],
  'a 503 now and then': [{ before: nowAndThen }, 'warning unsteady'],
  'replicas with different keys': [
    {
      before: (_, response, { isJwks, nth }) => {
        if (!isJwks || nth % 2 === 1) return false;
        const other = { ...jwk, kid: 'other' };
        response.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'max-age=60' });
        response.end(JSON.stringify({ keys: [jwk, other] }));
        return true;
      },
    },
    'warning answers-differ',
  ],
  'a clock that is behind': [{ headers: { date: new Date(Date.now() - 120_000).toUTCString() } }, 'warning clock-skew'],
  'a copy of a cache that tells its age': [
    { headers: { date: new Date(Date.now() - 240_000).toUTCString(), age: '240' } },
  ],
  'a token of another issuer': [{ token: minted({ iss: 'https://other.example.com' }) }, 'error token-issuer'],
  'a token for nobody': [
    { token: minted({ aud: undefined }), argv: ['--audience', 'api'] },
    'error token-audience',
    'error token-claims-missing',
  ],
  'an expired token': [{ token: minted({ iat: now() - 900, exp: now() - 300 }) }, 'error token-expired'],
  'a token that lives too long for Keycloak': [
    { token: minted({ exp: now() + 7200 }), argv: ['--target', 'keycloak'] },
    'error token-lifetime',
  ],
  'a token that does not say when it was made, for Kafka': [
    { token: minted({ iat: undefined }), argv: ['--target', 'kafka'] },
    'error token-claims-missing',
  ],
  'EC keys at Azure': [
    {
      keys: async () => [await publicJwk(onCurve.publicKey, 'ES256')],
      token: minted({}, { alg: 'ES256' }, onCurve.privateKey),
      argv: ['--target', 'azure'],
    },
    'error algorithm-unfit',
  ],
  'EC keys at go-oidc': [
    { keys: async () => [await publicJwk(onCurve.publicKey, 'ES256')], argv: ['--target', 'go-oidc'] },
    'warning algorithm-unfit',
  ],
};

test.each(Object.entries(table))('%s', async (_, [fault, ...codes]) => {
  expect(told(await examine(fault)).sort()).toEqual(codes.sort());
});

describe('an issuer and a token without a fault', () => {
  test.each(targetNames)('are good for %s', async (target) => {
    expect(told(await examine({ token: minted(), argv: ['--target', target, '--audience', 'api'] }))).toEqual([]);
  });
});
