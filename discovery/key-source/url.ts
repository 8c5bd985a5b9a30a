import { Failure, messageOf, quote } from '../../src/fault.ts';
import { type HttpAnswer, httpGetAnswer, withoutQuery } from '../../src/runtime/http.ts';
import type { KeyReading } from '../public-key.ts';
import { publicKeysFromJwkSet } from '../read-keys.ts';
import { type KeySource, KeySourceFailure } from './key-source.ts';

/** RFC 9110 section 8.8.3. Something else is no tag, and is not sent back. */
const ENTITY_TAG = /^(?:W\/)?"[\x21\x23-\x7e\x80-\xff]*"$/;

/**
 * The keys of a JWK Set on the web. The address is the one of the setting and no other: no redirect is followed, and
 * nothing that is fetched names an address to ask. Key IDs are copied; 1 MiB and 10 s are the limits. A set that has not
 * changed by its entity tag is not sent again, and is as good as one that was.
 */
export function createUrlSource(url: string): KeySource {
  let last: { readonly tag: string; readonly reading: KeyReading } | undefined;
  return {
    name: 'url',
    async read(signal) {
      const accept = 'application/jwk-set+json, application/json';
      const before = last;
      const answer = await httpGetAnswer(url, { accept, signal, ifNoneMatch: before?.tag }).catch((cause) => {
        throw new KeySourceFailure(messageOf(cause), { cause });
      });
      if (answer.status === 304 && before !== undefined) return before.reading;
      const reading = keysIn(answer, url);
      if (reading.keys.length === 0) {
        throw new KeySourceFailure(`GET ${withoutQuery(url)}: no usable key in the JWK Set`, { partial: reading });
      }
      const { etag = '' } = answer.headers;
      last = ENTITY_TAG.test(etag) ? { tag: etag, reading } : undefined;
      return reading;
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
