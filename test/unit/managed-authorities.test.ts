import { execFileSync } from 'node:child_process';
import { randomBytes, X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { applyPatch, type Operation } from 'fast-json-patch';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Authority, BACKDATE_MS, isKeyOf, makeAuthority, readAuthority } from '../../src/managed-tls/authority.ts';
import { patchBundles, readConfiguration } from '../../src/managed-tls/configuration.ts';
import { leafNames, makeLeaf } from '../../src/managed-tls/leaf.ts';
import { managedTlsRights } from '../../src/managed-tls/rights.ts';
import { readSecretData, writeSecretData } from '../../src/managed-tls/secret-content.ts';
import { checkPair } from '../../src/runtime/tls-files.ts';
import { rsaKey, serverCertificate, testCa } from './tls-material.ts';

const NOW = Math.floor(Date.now() / 1000) * 1000;
const HOUR = 3_600_000;
const base64 = (text: string) => Buffer.from(text).toString('base64');

let first: Authority;
let second: Authority;
let otherKey: string;

beforeAll(() => {
  otherKey = rsaKey();
  first = makeAuthority(rsaKey(), randomBytes(16), NOW - HOUR, 24 * HOUR);
  second = makeAuthority(rsaKey(), randomBytes(16), NOW, 24 * HOUR);
});

describe('certificates', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'podpass-managed-'));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const file = (name: string, text: string) => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  const openssl = (...args: string[]) => execFileSync('openssl', args, { encoding: 'utf8', stdio: 'pipe' });

  test('of a CA and a server are a chain in the eyes of OpenSSL, for each name, strictly', () => {
    const names = leafNames(['hook', 'hook-a'], 'system', ['hook.example.com', '127.0.0.1', '::1']);
    const made = { key: otherKey, serial: randomBytes(16), now: NOW, lifetimeMs: HOUR };
    const leaf = makeLeaf(first, names, made);
    const ca = file('ca.pem', first.cert);
    const cert = file('leaf.pem', leaf.cert);
    const verify = (...args: string[]) =>
      openssl('verify', '-x509_strict', '-purpose', 'sslserver', '-CAfile', ca, ...args, cert);
    for (const name of [
      'hook.system.svc',
      'hook.system.svc.cluster.local',
      'hook.system',
      'hook',
      'hook-a.system.svc',
      'hook-a.system.svc.cluster.local',
      'hook-a.system',
      'hook-a',
      'hook.example.com',
    ]) {
      expect(verify('-verify_hostname', name)).toContain('OK');
    }
    for (const address of ['127.0.0.1', '::1']) expect(verify('-verify_ip', address)).toContain('OK');
    expect(() => verify('-verify_hostname', 'other.system.svc')).toThrow();
    // In the place of two CAs of the same time the right one is found.
    file('ca.pem', second.cert + first.cert);
    expect(verify()).toContain('OK');
    file('ca.pem', second.cert);
    expect(() => verify()).toThrow();
    expect(checkPair(leaf, 'a', 'b').notAfter).toBe(leaf.notAfter);
  });

  test('are valid from two hours before, have serials of 128 bits, and never outlive their CA', () => {
    const names = leafNames(['hook'], 'system', []);
    const made = { key: otherKey, serial: randomBytes(16), now: NOW, lifetimeMs: 48 * HOUR };
    const leaf = makeLeaf(second, names, made);
    const read = new X509Certificate(leaf.cert);
    expect(Date.parse(read.validFrom)).toBe(NOW - BACKDATE_MS);
    expect(Date.parse(read.validTo)).toBe(second.notAfter);
    expect(leaf.notAfter).toBe(second.notAfter);
    expect(read.serialNumber.length).toBeGreaterThanOrEqual(32);
    expect(new X509Certificate(first.cert).serialNumber).not.toBe(new X509Certificate(second.cert).serialNumber);
    expect(first).toMatchObject({ issuedAt: NOW - HOUR, notAfter: NOW + 23 * HOUR });
    expect(() => makeLeaf({ ...first, key: undefined }, names, made)).toThrow(TypeError);
  });

  test.each([
    ['a CA of someone else', () => testCa().cert],
    ['a certificate that is no CA', () => serverCertificate(testCa()).cert],
    ['half a certificate', () => first.cert.slice(0, 300)],
    ['nothing', () => ''],
  ])('%s is not taken for a CA of ours', (_, make) => {
    expect(readAuthority(make())).toBeUndefined();
  });
});

describe('the Secret', () => {
  const crt = (...certs: string[]) => base64(certs.join(''));

  test('gives back what was written into it, the newest first, keys only where there were some', () => {
    const { problems, authorities } = readSecretData(writeSecretData([{ ...first, key: undefined }, second]));
    expect(problems).toEqual([]);
    expect(authorities.map(({ fingerprint }) => fingerprint)).toEqual([second.fingerprint, first.fingerprint]);
    expect(authorities.map(({ key }) => key !== undefined)).toEqual([true, false]);
    expect(isKeyOf(authorities[0]?.key ?? '', second)).toBe(true);
  });

  test.each([
    ['empty', () => ({})],
    ['empty values', () => ({ 'ca.crt': '', 'ca.key': '' })],
    ['other keys', () => ({ 'tls.crt': base64('x') })],
    ['no data at all', () => null],
  ])('%s is no problem', (_, data) => {
    expect(readSecretData(data())).toEqual({ authorities: [], problems: [] });
  });

  test.each<[string, () => Record<string, unknown>, number, string]>([
    ['a wrong pair', () => ({ 'ca.crt': crt(first.cert), 'ca.key': base64(otherKey) }), 1, 'no certificate'],
    ['no key', () => ({ 'ca.crt': crt(first.cert) }), 1, 'no key'],
    ['garbage', () => ({ 'ca.crt': 'AAAA', 'ca.key': base64(first.key ?? '') }), 0, 'not PEM'],
    ['no text', () => ({ 'ca.crt': 7, 'ca.key': base64(first.key ?? '') }), 0, 'no certificate'],
    ['another CA', () => ({ 'ca.crt': crt(testCa().cert) }), 0, 'not a CA of podpass'],
    ['text around', () => ({ 'ca.crt': crt(first.cert, 'x'), 'ca.key': base64(first.key ?? '') }), 1, 'not PEM'],
    [
      'a key too many',
      () => ({ 'ca.crt': crt(first.cert), 'ca.key': base64(`${first.key}${otherKey}`) }),
      1,
      'a key of no',
    ],
  ])('%s is a problem that does not tell the content', (_, data, usable, problem) => {
    const read = readSecretData(data());
    expect(read.authorities).toHaveLength(usable);
    expect(read.problems.join()).toContain(problem);
    expect(read.problems.join()).not.toMatch(/BEGIN|MII/);
  });
});

describe('caBundles', () => {
  const configuration = (...bundles: unknown[]) => ({
    metadata: { name: 'podpass', resourceVersion: '7' },
    webhooks: bundles.map((caBundle, i) => ({
      name: `w${i}`,
      clientConfig: { url: 'https://x', caBundle },
      timeoutSeconds: i,
    })),
  });

  test('are taken apart: ours, those of others, and garbage', () => {
    const other = testCa().cert;
    const mixed = base64(`${first.cert}${other}`);
    const { bundles, version } = readConfiguration(
      configuration(mixed, undefined, '', 'AAAA', base64(`${first.cert}x`)),
    );
    expect(version).toBe('7');
    expect(bundles.map(({ authorities, others, garbage }) => [authorities.length, others.length, garbage])).toEqual([
      [1, 1, false],
      [0, 0, false],
      [0, 0, false],
      [0, 0, true],
      [1, 0, true],
    ]);
    expect(readConfiguration({ webhooks: null }).bundles).toEqual([]);
  });

  test('are patched where they are stale, with what others put there, and only in the version that was read', () => {
    const other = testCa().cert;
    const object = configuration(base64(other), base64(first.cert), undefined);
    const operations = patchBundles(readConfiguration(object), [0, 2], [second, first]);
    expect(operations[0]).toEqual({ op: 'test', path: '/metadata/resourceVersion', value: '7' });
    const patched = applyPatch(structuredClone(object), operations as Operation[]).newDocument;
    const { bundles } = readConfiguration(patched);
    expect(bundles.map(({ authorities, others }) => [authorities.length, others.length])).toEqual([
      [2, 1],
      [1, 0],
      [2, 0],
    ]);
    const without = (each: typeof object) =>
      each.webhooks.map(({ clientConfig, ...rest }) => ({ ...rest, url: clientConfig.url }));
    expect(without(patched)).toEqual(without(object));
    const later = { ...object, metadata: { ...object.metadata, resourceVersion: '8' } };
    expect(() => applyPatch(later, operations as Operation[], true)).toThrow();
  });
});

test('the documented rights name every object, and none of them creates or deletes', () => {
  const { role, clusterRole } = managedTlsRights('tls', ['a', 'b']);
  expect(role.resourceNames).toEqual(['tls']);
  expect(clusterRole.resourceNames).toEqual(['a', 'b']);
  for (const { verbs } of [role, clusterRole]) expect(verbs).not.toContain('create');
});
