import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { isDeepStrictEqual } from 'node:util';
import { PRIVATE_MEMBERS } from '../../../discovery/jwk-key.ts';
import { jwkSet } from '../../../discovery/jwk-set.ts';
import { createClusterSource } from '../../../discovery/key-source/cluster.ts';
import { type KeySource, KeySourceFailure } from '../../../discovery/key-source/key-source.ts';
import { createUrlSource } from '../../../discovery/key-source/url.ts';
import { describeRefused, type KeyReading } from '../../../discovery/public-key.ts';
import { publicKeysFromJwkSet, publicKeysFromText } from '../../../discovery/read-keys.ts';
import { Failure } from '../../../src/fault.ts';
import { jsonTokens } from '../dictionary.ts';
import { jwkSetSeeds, pemSeeds } from '../key-seeds.ts';
import { bytesOf } from '../seeds.ts';
import { hold, type Target } from '../target.ts';

const LABELS = ['PUBLIC KEY', 'RSA PUBLIC KEY', 'CERTIFICATE', 'EC PARAMETERS', 'PRIVATE KEY', 'ENCRYPTED PRIVATE KEY'];
const MEMBERS = ['kty', 'kid', 'use', 'alg', 'key_ops', 'crv', 'x', 'y', 'n', 'e', 'x5c', 'keys', ...PRIVATE_MEMBERS];
const VALUES = [
  'RSA',
  'EC',
  'OKP',
  'oct',
  'sig',
  'enc',
  'verify',
  'RS256',
  'ES256',
  'ES384',
  'P-256',
  'P-384',
  'P-521',
];
const PUBLISHED = ['kid', 'kty', 'alg', 'use', 'n', 'e', 'crv', 'x', 'y'];

/** Any file or answer with keys: public keys that can be published as they are, refusals that tell none, or a Failure. */
export const target: Target = {
  name: 'keys',
  shape: 'json',
  maxBytes: 4 * 1024,
  dictionary: [
    ...LABELS.flatMap((label) => [`-----BEGIN ${label}-----\n`, `\n-----END ${label}-----\n`]),
    ...[...MEMBERS, ...VALUES, ...jsonTokens, 'Proc-Type: 4,ENCRYPTED\n\n', 'AQAB', 'Aw', '\u0000'],
  ],
  seeds: () => [...pemSeeds().map((text) => Buffer.from(text)), ...jwkSetSeeds().map(bytesOf)],
  // Scanners for secrets, and people, would take it for one.
  mayBeKept: (bytes) => !/PRIVATE|"(d|p|q|dp|dq|qi|oth|k)"/.test(bytes.toString('latin1')),
  async judge(bytes) {
    const text = bytes.toString();
    for (const allowPrivateKeys of [false, true]) {
      const reading = unlessFailure(() => publicKeysFromText(text, 'file', { allowPrivateKeys }), text);
      if (reading !== undefined) judgeReading(reading, text);
    }
    // The rest is slow, so that only a part of the inputs goes this way.
    if (!text.trimStart().startsWith('{') || bytes.length % 4 !== 0) return;
    await judgeSource(
      createClusterSource(async () => ({ status: 200, body: bytes })),
      text,
    );
    answer = bytes;
    await judgeSource(createUrlSource(await address()), text);
  },
};

function unlessFailure(read: () => KeyReading, text: string): KeyReading | undefined {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    hold(!tells(error.message, text), 'a failure tells what was read');
    return undefined;
  }
}

/** True where a message has a longer part of the text in it than any name has. */
function tells(message: string, text: string): boolean {
  return (message.match(/[A-Za-z0-9+/_-]{32,}/g) ?? []).some((part) => text.includes(part));
}

function judgeReading({ keys, refused }: KeyReading, text: string): void {
  for (const refusal of refused) {
    hold(!tells(refusal.message, text), 'a refusal tells what was read');
    hold(!/\p{Cc}/u.test(describeRefused(refusal)), 'a refusal cannot be printed');
  }
  const set = jwkSet(keys);
  for (const member of set.keys.flatMap(Object.keys))
    hold(PUBLISHED.includes(member), `the member ${member} would be published`);
  const again = publicKeysFromJwkSet(JSON.stringify(set), 'again');
  hold(again.refused.length === 0, `what is published is refused: ${again.refused.map(({ message }) => message)}`);
  hold(isDeepStrictEqual(jwkSet(again.keys), set), 'what is published is read as other keys');
}

async function judgeSource(source: KeySource, text: string): Promise<void> {
  try {
    judgeReading(await source.read(AbortSignal.timeout(60_000)), text);
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    hold(!tells(error.message, text), `the source ${source.name} tells what was read`);
    if (error instanceof KeySourceFailure) judgeReading(error.partial, text);
  }
}

/** What the address answers. */
let answer = Buffer.alloc(0) as Buffer;
let server: Server | undefined;

async function address(): Promise<string> {
  if (server === undefined) {
    server = createServer((_, response) => response.setHeader('Content-Type', 'application/json').end(answer)).unref();
    await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve));
  }
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/keys`;
}
