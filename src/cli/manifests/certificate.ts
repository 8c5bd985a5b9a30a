import { type Installation, type KubeObject, metadataOf, names } from './object.ts';

/**
 * cert-manager's part. The certificate has a CA of its own that lives for ten years, so that the caBundle stays as it is
 * when the certificate is renewed: a self-signed one would be refused until both have changed.
 */
export function certificate({ namespace }: Installation): KubeObject[] {
  const apiVersion = 'cert-manager.io/v1';
  const issuer = (name: string, spec: object): KubeObject => ({
    apiVersion,
    kind: 'Issuer',
    metadata: metadataOf('webhook', name, namespace),
    spec,
  });
  const privateKey = { algorithm: 'ECDSA', size: 256, rotationPolicy: 'Always' };
  const issuedBy = (name: string) => ({ group: 'cert-manager.io', kind: 'Issuer', name });
  return [
    issuer(names.selfSigned, { selfSigned: {} }),
    {
      apiVersion,
      kind: 'Certificate',
      metadata: metadataOf('webhook', names.certificateAuthority, namespace),
      spec: {
        isCA: true,
        commonName: names.certificateAuthority,
        secretName: names.certificateAuthority,
        duration: '87600h',
        privateKey,
        issuerRef: issuedBy(names.selfSigned),
      },
    },
    issuer(names.certificateAuthority, { ca: { secretName: names.certificateAuthority } }),
    {
      apiVersion,
      kind: 'Certificate',
      metadata: metadataOf('webhook', names.certificate, namespace),
      spec: {
        dnsNames: [names.webhook, ...Object.values(names.halves)].map((service) => `${service}.${namespace}.svc`),
        secretName: names.certificateSecret,
        duration: '2160h',
        renewBefore: '720h',
        privateKey,
        issuerRef: issuedBy(names.certificateAuthority),
      },
    },
  ];
}
