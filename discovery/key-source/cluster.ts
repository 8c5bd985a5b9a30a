import { clusterDocument, type KubeGet } from '../../src/cluster-issuer.ts';
import { messageOf } from '../../src/fault.ts';
import { JWKS_PATH } from '../../src/issuer-paths.ts';
import { publicKeysFromJwkSet } from '../read-keys.ts';
import { type KeySource, KeySourceFailure } from './key-source.ts';

/** The keys that the API server publishes itself. Its IDs are copied: an external signer chooses them freely. */
export function createClusterSource(get: KubeGet): KeySource {
  return {
    name: 'cluster',
    async read(signal) {
      const text = await clusterDocument(get, JWKS_PATH, 'application/jwk-set+json', signal).catch((cause) => {
        throw new KeySourceFailure(messageOf(cause), { cause });
      });
      const reading = publicKeysFromJwkSet(text, 'cluster');
      if (reading.keys.length === 0) {
        throw new KeySourceFailure(`GET ${JWKS_PATH}: no usable key`, { partial: reading });
      }
      return reading;
    },
  };
}
