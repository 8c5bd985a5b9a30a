import { Failure, messageOf, quote } from '../../src/fault.ts';
import { type HttpAnswer, httpGetAnswer, withoutQuery } from '../../src/runtime/http.ts';
import type { KeyReading } from '../public-key.ts';
import { publicKeysFromJwkSet } from '../read-keys.ts';
import { type KeySource, KeySourceFailure } from './key-source.ts';

/**
 * The keys of a JWK Set on the web. The address is the one of the setting and no other: no redirect is followed, and
 * nothing that is fetched names an address to ask. Key IDs are copied; 1 MiB and 10 s are the limits.
 */
export function createUrlSource(url: string): KeySource {
  return {
    name: 'url',
    async read(signal) {
      const accept = 'application/jwk-set+json, application/json';
      const answer = await httpGetAnswer(url, { accept, signal }).catch((cause) => {
        throw new KeySourceFailure(messageOf(cause), { cause });
      });
      const reading = keysIn(answer, url);
      if (reading.keys.length > 0) return reading;
      throw new KeySourceFailure(`GET ${withoutQuery(url)}: no usable key in the JWK Set`, { partial: reading });
    },
  };
}

function keysIn({ headers, body }: HttpAnswer, url: string): KeyReading {
  try {
    return publicKeysFromJwkSet(body.toString('utf8'), 'url');
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    const type = headers['content-type'];
    const seen = `${body.length} bytes of ${type === undefined ? 'no type' : quote(type)}`;
    throw new KeySourceFailure(`GET ${withoutQuery(url)}: the answer (${seen}) is not a JWK Set of at most 1000 keys`);
  }
}
