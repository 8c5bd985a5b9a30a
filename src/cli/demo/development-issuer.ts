import { createHash, createPrivateKey, createPublicKey, randomBytes, randomUUID } from 'node:crypto';
import { SignJWT } from 'jose';
import { type CertifiedKey, createCa, createServerCertificate } from '../../certificate.ts';
import { generateRsaKey } from '../../runtime/rsa-key.ts';
import type { TlsPair } from '../../runtime/tls-files.ts';

const HOUR_MS = 3_600_000;

/** What a cluster has before podpass comes: a signing key, and a CA with certificates. For the demo alone. */
export interface DevelopmentIssuer {
  /** The signing key's public half: SPKI in PEM, as a `--service-account-key-file` has it. */
  readonly publicKey: string;
  readonly ca: CertifiedKey;
  /** A certificate for localhost. */
  readonly server: TlsPair;
  /** A token as the API server mints it for the kubelet. */
  mint(request: TokenRequest): Promise<string>;
}

export interface TokenRequest {
  readonly issuer: string;
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly pod: string;
  readonly audience: string;
  readonly expirationSeconds: number;
}

export async function createDevelopmentIssuer(): Promise<DevelopmentIssuer> {
  const [signingKey = '', caKey = '', serverKey = ''] = await Promise.all([
    generateRsaKey(),
    generateRsaKey(),
    generateRsaKey(),
  ]);
  // A minute back, for clocks that are behind ours.
  const validity = { notBefore: Date.now() - 60_000, notAfter: Date.now() + 24 * HOUR_MS };
  const ca = createCa({ key: caKey, commonName: 'podpass demo CA', serial: randomBytes(16), ...validity });
  const certified = createServerCertificate(ca, {
    key: serverKey,
    commonName: 'podpass demo',
    dnsNames: ['localhost'],
    ipAddresses: ['127.0.0.1'],
    serial: randomBytes(16),
    ...validity,
  });
  const privateKey = createPrivateKey(signingKey);
  const publicKey = createPublicKey(privateKey);
  const kid = createHash('sha256')
    .update(publicKey.export({ type: 'spki', format: 'der' }))
    .digest('base64url');
  return {
    publicKey: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
    ca,
    server: { ...certified, ...validity },
    // The claims of kubernetes/pkg/serviceaccount/claims.go.
    mint({ issuer, namespace, serviceAccount, pod, audience, expirationSeconds }) {
      const now = Math.floor(Date.now() / 1000);
      const uid = randomUUID;
      return new SignJWT({
        'kubernetes.io': {
          namespace,
          serviceaccount: { name: serviceAccount, uid: uid() },
          pod: { name: pod, uid: uid() },
        },
      })
        .setProtectedHeader({ alg: 'RS256', kid })
        .setIssuer(issuer)
        .setSubject(`system:serviceaccount:${namespace}:${serviceAccount}`)
        .setAudience([audience])
        .setIssuedAt(now)
        .setNotBefore(now)
        .setExpirationTime(now + expirationSeconds)
        .setJti(uid())
        .sign(privateKey);
    },
  };
}
