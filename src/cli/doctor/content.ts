import { keysOf, materialOf } from './keys.ts';
import type { Fetched } from './observation.ts';

/**
 * What counts in a document, as a text to compare by: its keys, else its issuer and where its keys are. The order of
 * keys and members is left out. Absent where it could not be read.
 */
export function contentOf(fetched: Pick<Fetched, 'json' | 'headers'>): string | undefined {
  const { json, headers } = fetched;
  if (json === undefined || (headers['content-encoding'] ?? 'identity') !== 'identity') return undefined;
  const keys = keysOf(fetched);
  if (keys === undefined) return JSON.stringify([json.issuer, json.jwks_uri]);
  return JSON.stringify(keys.map((key) => JSON.stringify([key.kid, materialOf(key)])).sort());
}
