import { createServerCertificate } from '../certificate.ts';
import { type Authority, BACKDATE_MS } from './authority.ts';

/** A serving certificate of ours. Times in epoch milliseconds. */
export interface Leaf {
  readonly cert: string;
  readonly key: string;
  readonly notBefore: number;
  readonly issuedAt: number;
  readonly notAfter: number;
  /** The CA that signed it. */
  readonly authority: Authority;
}

export interface LeafNames {
  readonly dnsNames: readonly string[];
  readonly ipAddresses: readonly string[];
}

/** The names by which Services are called in their cluster, the API server's own (`<service>.<namespace>.svc`) among them. */
export function leafNames(services: readonly string[], namespace: string, others: readonly string[]): LeafNames {
  const isAddress = (name: string) => name.includes(':') || /^[\d.]+$/.test(name);
  const namesOf = (service: string) => {
    const inNamespace = `${service}.${namespace}`;
    return [`${inNamespace}.svc`, `${inNamespace}.svc.cluster.local`, inNamespace, service];
  };
  return {
    dnsNames: [...services.flatMap(namesOf), ...others.filter((name) => !isAddress(name))],
    ipAddresses: others.filter(isAddress),
  };
}

/** When a certificate made now would expire: never after its CA, so that none outlives what vouches for it. */
export function leafExpiry({ notAfter }: Authority, now: number, lifetimeMs: number): number {
  // X.509 knows whole seconds.
  return Math.floor(Math.min(now + lifetimeMs, notAfter) / 1000) * 1000;
}

/** A new serving certificate. `key` is an RSA key in PEM (PKCS#8), `serial` 16 random bytes. Throws without a CA's key. */
export function makeLeaf(
  authority: Authority,
  names: LeafNames,
  { key, serial, now, lifetimeMs }: { key: string; serial: Uint8Array; now: number; lifetimeMs: number },
): Leaf {
  if (authority.key === undefined) throw new TypeError('a CA without its key cannot sign');
  const notBefore = Math.max(now - BACKDATE_MS, authority.notBefore);
  const notAfter = leafExpiry(authority, now, lifetimeMs);
  const signer = { cert: authority.cert, key: authority.key };
  // Clients look at the other names only, and a common name has room for 64 characters.
  const options = { key, commonName: 'podpass webhook', notBefore, notAfter, serial, ...names };
  const { cert } = createServerCertificate(signer, options);
  return { cert, key, notBefore, issuedAt: now, notAfter, authority };
}
