import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { type CertifiedKey, createCa, createServerCertificate } from '../../src/certificate.ts';

/** A CA and certificates of it for loopback, made when they are asked for. */

const HOUR = 3_600_000;

export function rsaKey(): string {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
}

export function testCa(): CertifiedKey {
  return createCa({ key: rsaKey(), commonName: 'test CA', ...validity() });
}

export function serverCertificate(
  ca: CertifiedKey,
  key: string = rsaKey(),
  notAfter: number = Date.now() + HOUR,
): CertifiedKey {
  const names = { commonName: 'test', dnsNames: ['localhost'], ipAddresses: ['127.0.0.1'] };
  return createServerCertificate(ca, { key, ...names, ...validity(), notAfter });
}

function validity() {
  return { notBefore: Date.now() - HOUR, notAfter: Date.now() + HOUR, serial: randomBytes(16) };
}
