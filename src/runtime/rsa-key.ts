import { generateKeyPair } from 'node:crypto';
import { promisify } from 'node:util';

/**
 * A new private key of 2048 bits, PKCS#8 in PEM. On a thread of its own: a key takes a quarter of a second and more. RSA,
 * as node-forge, which issues the certificates, knows no other kind.
 */
export async function generateRsaKey(): Promise<string> {
  const { privateKey } = await promisify(generateKeyPair)('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
  return privateKey;
}
