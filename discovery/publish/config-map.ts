import type { Documents } from '../document.ts';

/** Both documents, byte for byte, for consumers that take them from a file or a variable instead of a URL. */
export function configMapOf(documents: Documents, namespace?: string): object {
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'podpass-issuer', ...(namespace === undefined ? {} : { namespace }) },
    data: {
      'jwks.json': documents.jwks.bytes.toString('utf8'),
      'openid-configuration.json': documents.metadata.bytes.toString('utf8'),
    },
  };
}
