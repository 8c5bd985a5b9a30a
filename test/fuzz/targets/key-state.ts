import { isDeepStrictEqual } from 'node:util';
import { PRIVATE_MEMBERS } from '../../../discovery/jwk-key.ts';
import type { KeyRecord } from '../../../discovery/key-ring.ts';
import { type KeyStates, keyStateText, mergeRecords, parseKeyState } from '../../../discovery/key-state.ts';
import { publicKeysFromText } from '../../../discovery/read-keys.ts';
import { Failure } from '../../../src/fault.ts';
import { jsonTokens } from '../dictionary.ts';
import { ecPrivate, jwkSetSeeds } from '../key-seeds.ts';
import { bytesOf } from '../seeds.ts';
import { hold, type Target } from '../target.ts';

const NOW = Date.UTC(2026, 0, 15);
const DAY = 86_400_000;

function seed(): Buffer {
  const { keys } = publicKeysFromText(JSON.stringify(jwkSetSeeds()[1]), 'seed');
  const records = keys.map(
    (key, index): KeyRecord => ({
      ...{ key, source: 'files', firstSeenMs: NOW - DAY, lastSeenMs: NOW },
      ...(index === 0 ? {} : { heldUntilMs: NOW + DAY }),
    }),
  );
  return Buffer.from(keyStateText(new Map([['https://issuer.example.com', records]])));
}

/** A state from anywhere: read, or refused without telling it; what is written of it is read as the same again. */
export const target: Target = {
  name: 'key-state',
  shape: 'json',
  maxBytes: 8 * 1024,
  dictionary: [
    ...['kind', 'version', 'issuers', 'keys', 'key', 'source', 'firstSeen', 'lastSeen', 'heldUntil', 'kid', 'kty', 'n'],
    ...[
      'podpass.dev/key-state',
      '2026-01-01T00:00:00.000Z',
      '+275760-09-13T00:00:00.000Z',
      '0',
      '-1',
      '1e3',
      'RSA',
      'EC',
    ],
    ...[...PRIVATE_MEMBERS, ...jsonTokens],
  ],
  seeds: () => [
    ...['', '{"kind":"podpass.dev/key-state","version":1,"issuers":{}}'].map((text) => Buffer.from(text)),
    seed(),
    bytesOf({
      ...{ kind: 'podpass.dev/key-state', version: 1 },
      issuers: { a: { keys: [{ key: ecPrivate().export({ format: 'jwk' }), source: 'url' }] } },
    }),
  ],
  mayBeKept: (bytes) => !/"(d|p|q|dp|dq|qi|oth|k)"/.test(bytes.toString('latin1')),
  judge(bytes) {
    const states = read(bytes.toString());
    if (states === undefined) return;
    const text = keyStateText(states);
    const members = new Set([...text.matchAll(/^ *"([a-z]{1,3})": /gm)].map(([, name]) => name ?? ''));
    for (const name of PRIVATE_MEMBERS) hold(!members.has(name) || states.has(name), `the member ${name} is kept`);
    const again = read(text);
    hold(again !== undefined, 'what is written cannot be read again');
    hold(isDeepStrictEqual(again, states), 'what is written is another state');
    for (const records of states.values()) {
      const merged = mergeRecords(records, records, NOW);
      hold(
        records.every(({ key }) => merged.some((each) => each.key.kid === key.kid)),
        'a key is lost by merging',
      );
    }
  },
};

function read(text: string): KeyStates | undefined {
  try {
    return parseKeyState(text);
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    const parts = error.message.match(/[A-Za-z0-9+/_-]{32,}/g) ?? [];
    hold(!parts.some((part) => text.includes(part)), 'a failure tells what was read');
    return undefined;
  }
}
