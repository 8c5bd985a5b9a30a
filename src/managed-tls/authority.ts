import { createPrivateKey, X509Certificate } from 'node:crypto';
import { createCa } from '../certificate.ts';

/** One CA of ours, with its key where we have it. Times in epoch milliseconds. */
export interface Authority {
  /** PEM, with line feeds only. */
  readonly cert: string;
  /** PEM (PKCS#8); without it the certificate is only trusted. */
  readonly key?: string | undefined;
  /** SHA-256 of the certificate: what makes two of them the same. */
  readonly fingerprint: string;
  readonly notBefore: number;
  readonly issuedAt: number;
  readonly notAfter: number;
}

/**
 * Certificates are valid from this long before they are made, so that neither a client whose clock is behind nor our own
 * clock when it was an hour ahead makes them "not yet valid".
 */
export const BACKDATE_MS = 2 * 3_600_000;

/** Every CA of ours has a name of its own, as clients look issuers up by name first; this is what all begin with. */
const NAME = 'podpass webhook CA';

/** A new CA. `key` is an RSA key in PEM (PKCS#8), `serial` 16 random bytes. */
export function makeAuthority(key: string, serial: Uint8Array, now: number, lifetimeMs: number): Authority {
  const commonName = `${NAME} ${Buffer.from(serial).toString('hex', 0, 8)}`;
  const times = { notBefore: now - BACKDATE_MS, notAfter: now + lifetimeMs };
  const authority = readAuthority(createCa({ key, commonName, serial, ...times }).cert);
  if (authority === undefined) throw new TypeError('a CA that was just made cannot be read');
  return { ...authority, key };
}

/** Reads one certificate in PEM; undefined where it is none, or not one of a CA that `makeAuthority` made. */
export function readAuthority(pem: string): Authority | undefined {
  try {
    const certificate = new X509Certificate(pem);
    const named = certificate.subject.startsWith(`CN=${NAME} `) && !certificate.subject.includes('\n');
    const ours = named && certificate.ca && certificate.publicKey.asymmetricKeyType === 'rsa';
    if (!ours || certificate.issuer !== certificate.subject || !certificate.verify(certificate.publicKey)) {
      return undefined;
    }
    const notBefore = Date.parse(certificate.validFrom);
    return {
      cert: certificate.toString().replaceAll('\r', ''),
      fingerprint: certificate.fingerprint256,
      notBefore,
      issuedAt: notBefore + BACKDATE_MS,
      notAfter: Date.parse(certificate.validTo),
    };
  } catch {
    return undefined;
  }
}

/** True where the key, in PEM, is the one of the certificate. */
export function isKeyOf(key: string, { cert }: Authority): boolean {
  try {
    return new X509Certificate(cert).checkPrivateKey(createPrivateKey(key));
  } catch {
    return false;
  }
}

/** The blocks of a PEM text, and whether there is anything between them. */
export function pemBlocks(text: string): { readonly blocks: readonly string[]; readonly rest: boolean } {
  const block = /-----BEGIN ([A-Z0-9 ]{1,40})-----[^-]*-----END \1-----/g;
  return { blocks: text.match(block) ?? [], rest: text.replace(block, '').trim() !== '' };
}

/** Without repeats (one with a key is kept before one without), the newest first; the same on every replica. */
export function newestFirst(authorities: readonly Authority[]): readonly Authority[] {
  const unique = new Map<string, Authority>();
  for (const authority of authorities) {
    if (unique.get(authority.fingerprint)?.key === undefined) unique.set(authority.fingerprint, authority);
  }
  return [...unique.values()].sort(
    (a, b) => b.issuedAt - a.issuedAt || (a.fingerprint < b.fingerprint ? -1 : Number(a.fingerprint > b.fingerprint)),
  );
}

/** The moment, in epoch milliseconds, from which a certificate is to be replaced: two thirds of its lifetime are over. */
export function renewalTime({ issuedAt, notAfter }: { readonly issuedAt: number; readonly notAfter: number }): number {
  return issuedAt + ((notAfter - issuedAt) * 2) / 3;
}
