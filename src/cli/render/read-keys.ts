import { createPublicKey } from 'node:crypto';
import { jwkSet } from '../../../discovery/jwk-set.ts';
import { mergeKeys } from '../../../discovery/merge-keys.ts';
import { describeRefused, type PublicKey } from '../../../discovery/public-key.ts';
import type { CommandSettings } from '../../catalog/commands.ts';
import { openIssuers } from '../key-sources.ts';
import type { Terminal } from '../terminal.ts';
import type { KeyFacts } from './facts.ts';

type Settings = CommandSettings<'render'>;

/** The issuer and its keys, from files, from the cluster, or both. Throws a Failure where they cannot be read. */
export async function readKeys(
  settings: Settings,
  useCluster: boolean,
  terminal: Terminal,
): Promise<{ readonly issuer: string | undefined; readonly keys: KeyFacts }> {
  const { issuer, kubeconfig, context, keys: files } = settings;
  const keySource = [...(useCluster ? (['cluster'] as const) : []), ...(files.length > 0 ? (['files'] as const) : [])];
  const { issuers, close } = openIssuers(
    [
      {
        ...{ issuer, kubeconfig, context, keySource, keys: files },
        ...{ jwksUrl: undefined, allowHttpIssuer: false, allowPrivateKeys: false },
      },
    ],
    terminal,
  );
  try {
    const [named] = issuers;
    if (named === undefined) throw new TypeError('there is no issuer');
    const never = new AbortController().signal;
    const readings = [];
    for (const source of named.sources) readings.push(await source.read(never));
    for (const refused of readings.flatMap((reading) => reading.refused))
      terminal.err(`warning: refused: ${describeRefused(refused)}\n`);
    const found = [...mergeKeys(readings.flatMap((reading) => reading.keys)).keys.values()];
    const name = typeof named.issuer === 'string' ? named.issuer : useCluster ? await named.issuer(never) : undefined;
    return { issuer: name, keys: keyFacts(found) };
  } finally {
    close();
  }
}

function keyFacts(keys: readonly PublicKey[]): KeyFacts {
  const set = jwkSet(keys);
  return {
    jwks: JSON.stringify(set),
    pem: set.keys.map((key) =>
      createPublicKey({ format: 'jwk', key: { ...key } })
        .export({ type: 'spki', format: 'pem' })
        .toString()
        .trim(),
    ),
    algorithms: [...new Set(keys.map(({ alg }) => alg))].sort(),
  };
}
