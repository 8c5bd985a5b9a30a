import type { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import type { CertificateSeen, Lifetime } from './observation.ts';

export function seenCertificate(certificate: X509Certificate, host: string): CertificateSeen {
  const found = isIP(host) ? certificate.checkIP(host) : certificate.checkHost(host);
  return {
    subject: nameOf(certificate.subject),
    issuer: nameOf(certificate.issuer),
    ...lifetimeOf(certificate),
    sha1: certificate.fingerprint.replaceAll(':', '').toLowerCase(),
    forHost: found !== undefined,
  };
}

export function lifetimeOf({ validFrom, validTo }: X509Certificate): Lifetime {
  return { notBefore: Date.parse(validFrom), notAfter: Date.parse(validTo) };
}

/** The common name, else the whole in one line; Node puts each attribute on a line of its own. */
function nameOf(distinguished: string | undefined): string {
  const lines = (distinguished ?? '').split('\n');
  return lines.find((line) => line.startsWith('CN='))?.slice(3) ?? lines.join(', ');
}
