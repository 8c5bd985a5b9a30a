import { Failure } from '../src/fault.ts';
import { jwkKey } from './jwk-key.ts';
import { pemBlocks } from './pem-blocks.ts';
import { pemKey } from './pem-key.ts';
import type { Judged, KeyReading, PublicKey, RefusedKey } from './public-key.ts';

/** No cluster has as many, and verifiers store about 100; more would only flood the log. */
const MAX_KEYS = 1000;

export interface ReadOptions {
  /** Takes the public half of private PEM; without it they are refused. A private JWK is always refused. */
  readonly allowPrivateKeys?: boolean;
}

/** The keys of a file: a JWK Set where the text starts with `{`, else PEM. `source` names it in refusals and errors. */
export function publicKeysFromText(text: string, source: string, options: ReadOptions = {}): KeyReading {
  const start = text.replace(/^\ufeff/, '').trimStart();
  return start.startsWith('{')
    ? publicKeysFromJwkSet(start, source)
    : publicKeysFromPem(text.replace(/^\ufeff/, ''), source, options);
}

/**
 * The keys of a PEM text: SubjectPublicKeyInfo, PKCS#1 and X.509 certificates, in any number and between anything else.
 * A text without a single block gives no keys and no refusals.
 */
export function publicKeysFromPem(text: string, source: string, options: ReadOptions = {}): KeyReading {
  const { allowPrivateKeys = false } = options;
  const blocks = pemBlocks(text);
  atMost(blocks.length, source);
  return partition(
    // `openssl ecparam -genkey` puts the curve's name before the key.
    blocks.map((block) => (block.label === 'EC PARAMETERS' ? undefined : pemKey(block, { allowPrivateKeys }))),
    source,
  );
}

/** The keys of a JWK Set (RFC 7517 section 5). Throws a Failure where the text is none. */
export function publicKeysFromJwkSet(text: string, source: string): KeyReading {
  const keys = members(text);
  if (keys === undefined) throw new Failure(`${source}: not a JWK Set, which is a JSON object with a list "keys"`);
  atMost(keys.length, source);
  return partition(keys.map(jwkKey), source);
}

function members(text: string): readonly unknown[] | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // The error's message quotes the text.
    return undefined;
  }
  if (typeof value !== 'object' || value === null || !('keys' in value)) return undefined;
  return Array.isArray(value.keys) ? value.keys : undefined;
}

function atMost(count: number, source: string): void {
  if (count > MAX_KEYS) throw new Failure(`${source}: has ${count} keys; accepted: at most ${MAX_KEYS}`);
}

function partition(judged: readonly (Judged | undefined)[], source: string): KeyReading {
  const keys: PublicKey[] = [];
  const refused: RefusedKey[] = [];
  for (const [index, each] of judged.entries()) {
    if (each === undefined) continue;
    if (each.ok) keys.push(each.key);
    else refused.push({ source, position: index + 1, ...each.refusal });
  }
  return { keys, refused };
}
