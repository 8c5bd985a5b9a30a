import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import * as tls from 'node:tls';
import { Failure, whyUnreadable } from '../fault.ts';

const BLOCK = /-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g;

/** The certificates of a PEM file, each seen to be one. Throws a Failure that names the file and the certificate. */
export function readCertificates(path: string): string[] {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    throw new Failure(`${path} ${whyUnreadable(cause)}`, { cause });
  }
  const blocks = text.match(BLOCK) ?? [];
  if (blocks.length === 0) throw new Failure(`${path} holds no certificate in PEM`);
  for (const [index, block] of blocks.entries()) {
    try {
      new X509Certificate(block);
    } catch {
      throw new Failure(`${path}: certificate ${index + 1} cannot be read`);
    }
  }
  return blocks;
}

/** What Node trusts by itself, NODE_EXTRA_CA_CERTS included: an explicit list of CAs takes its place. */
export function trustedCertificates(
  env: Readonly<Record<string, string | undefined>> = process.env,
): readonly string[] {
  if ('getCACertificates' in tls) return (tls.getCACertificates as (type: string) => string[])('default');
  const extra = env.NODE_EXTRA_CA_CERTS;
  return extra ? [...tls.rootCertificates, ...readCertificates(extra)] : tls.rootCertificates;
}
