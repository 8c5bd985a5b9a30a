import { constants, privateEncrypt } from 'node:crypto';
import forge from 'node-forge';

/** A private key and the certificate for it, both PEM. */
export interface CertifiedKey {
  readonly cert: string;
  readonly key: string;
}

export interface CertificateOptions {
  /** The key pair's private half: RSA in PEM (PKCS#8), as node-forge reads no other kind. */
  readonly key: string;
  readonly commonName: string;
  /** Validity in epoch milliseconds. */
  readonly notBefore: number;
  readonly notAfter: number;
  /** 16 random bytes. */
  readonly serial: Uint8Array;
}

export interface ServerCertificateOptions extends CertificateOptions {
  readonly dnsNames: readonly string[];
  readonly ipAddresses: readonly string[];
}

/** A certificate of a CA for nothing but servers below it (RFC 5280 section 4.2.1.9). */
export function createCa(options: CertificateOptions): CertifiedKey {
  const subject = [{ name: 'commonName', value: options.commonName }];
  return issue(options, subject, subject, options.key, [
    { name: 'basicConstraints', critical: true, cA: true, pathLenConstraint: 0 },
    { name: 'keyUsage', critical: true, keyCertSign: true, cRLSign: true },
    { name: 'subjectKeyIdentifier' },
  ]);
}

/** A server's certificate, signed by a CA. Clients look only at the names in it, not at the common name. */
export function createServerCertificate(ca: CertifiedKey, options: ServerCertificateOptions): CertifiedKey {
  const caCertificate = forge.pki.certificateFromPem(ca.cert);
  const subject = [{ name: 'commonName', value: options.commonName }];
  return issue(options, subject, caCertificate.subject.attributes, ca.key, [
    { name: 'basicConstraints', critical: true, cA: false },
    { name: 'keyUsage', critical: true, digitalSignature: true, keyEncipherment: true },
    { name: 'extKeyUsage', serverAuth: true },
    {
      name: 'subjectAltName',
      altNames: [
        ...options.dnsNames.map((value) => ({ type: 2, value })),
        ...options.ipAddresses.map((ip) => ({ type: 7, ip })),
      ],
    },
    {
      name: 'authorityKeyIdentifier',
      keyIdentifier: caCertificate.generateSubjectKeyIdentifier().getBytes(),
    },
  ]);
}

function issue(
  options: CertificateOptions,
  subject: forge.pki.CertificateField[],
  issuer: forge.pki.CertificateField[],
  issuerKey: string,
  extensions: object[],
): CertifiedKey {
  const { n, e } = forge.pki.privateKeyFromPem(options.key);
  const certificate = forge.pki.createCertificate();
  certificate.publicKey = forge.pki.setRsaPublicKey(n, e);
  certificate.serialNumber = serialNumber(options.serial);
  certificate.validity.notBefore = new Date(options.notBefore);
  certificate.validity.notAfter = new Date(options.notAfter);
  certificate.setSubject(subject);
  certificate.setIssuer(issuer);
  certificate.setExtensions(extensions);
  certificate.sign(signer(issuerKey), forge.md.sha256.create());
  return { cert: forge.pki.certificateToPem(certificate), key: options.key };
}

/** DER of a DigestInfo for SHA-256, but for the digest: RFC 8017 section 9.2, note 1. */
const SHA256_PREFIX = Buffer.from('3031300d060960864801650304020105000420', 'hex');

/** RSASSA-PKCS1-v1_5 by OpenSSL: in node-forge's own arithmetic it holds up the event loop for 50 ms and more. */
function signer(key: string): forge.pki.rsa.PrivateKey {
  const sign = (digest: forge.md.MessageDigest) => {
    const info = Buffer.concat([SHA256_PREFIX, Buffer.from(digest.digest().toHex(), 'hex')]);
    return privateEncrypt({ key, padding: constants.RSA_PKCS1_PADDING }, info).toString('binary');
  };
  return { sign } as unknown as forge.pki.rsa.PrivateKey;
}

/** A positive number of at most 20 bytes: RFC 5280 section 4.1.2.2. */
function serialNumber(random: Uint8Array): string {
  return `01${Buffer.from(random).toString('hex')}`;
}
