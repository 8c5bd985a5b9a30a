import { createHash } from 'node:crypto';
import type { Reading, Token } from './annotations.ts';
import {
  type ContainerWish,
  type EnvVar,
  type Injection,
  isTooMuch,
  pathInContainer,
  textOf,
  type Volume,
} from './injection.ts';
import { containerPlaces, isWindows, type Pod } from './pod.ts';

/** The volume of all tokens of a Pod; another one's name begins with it and a dash. */
export const TOKENS_VOLUME = 'podpass-tokens';

/** What podpass' own annotations ask for; `undefined` where it is more than a Pod can hold. */
export function tokenInjection(pod: Pod, reading: Pick<Reading, 'tokens' | 'mountPath'>): Injection | undefined {
  const {
    tokens,
    mountPath: { path, object, key },
  } = reading;
  const windows = isWindows(pod.spec);
  const env = new Map(
    tokens.flatMap(({ name, variable }) =>
      variable === undefined
        ? []
        : [[name, [{ name: variable, value: pathInContainer(path, name, windows) }]] as const],
    ),
  );
  // Most tokens are for the same containers; those that are form a group and are looked at together.
  const groups = [...new Set(tokens.map((token) => token.containers))];
  // Containers with the same tokens share a volume, which is made once.
  const bySet = new Map<string, { volume: Volume; env: readonly (readonly EnvVar[])[]; text: number }>();
  const containers: ContainerWish[] = [];
  const size = { additions: 0, text: 0 };
  for (const place of containerPlaces(pod.spec)) {
    let set = '';
    for (const group of groups) set += group.has(place.container.name) ? '1' : '0';
    if (!set.includes('1')) continue;
    let shared = bySet.get(set);
    if (shared === undefined) {
      const seen = tokens.filter((token) => token.containers.has(place.container.name));
      size.additions += seen.length;
      size.text += seen.reduce((sum, { audience, name }) => sum + textOf({ audience, path: name }), 0);
      if (isTooMuch(size)) return undefined;
      const variables = seen.flatMap(({ name }) => {
        const variable = env.get(name);
        return variable === undefined ? [] : [variable];
      });
      const text = variables.flat().reduce((sum, { name, value }) => sum + name.length + value.length, path.length);
      shared = { volume: volumeOf(seen, tokens), env: variables, text };
      bySet.set(set, shared);
    }
    size.additions += 1 + shared.env.length;
    size.text += shared.text;
    if (isTooMuch(size)) return undefined;
    const mount = { name: shared.volume.name, mountPath: path, readOnly: true } as const;
    containers.push({ place, mounts: [mount], env: shared.env });
  }
  return {
    by: 'podpass',
    names: tokens.filter((token) => token.containers.size > 0).map(({ name }) => name),
    volumes: [...bySet.values()].map(({ volume }) => volume),
    containers,
    folder: { object, key },
    uniform: false,
  };
}

/**
 * The volume that holds a set of tokens. The one with all tokens of the Pod has the plain name; another one's depends on
 * its names, audiences and lifetimes only, so that a second round finds the volume of the first.
 */
function volumeOf(set: readonly Token[], all: readonly Token[]): Volume {
  return {
    name: set.length === all.length ? TOKENS_VOLUME : `${TOKENS_VOLUME}-${digestOf(set)}`,
    projected: {
      sources: set.map(({ name, audience, expirationSeconds }) => ({
        serviceAccountToken: { audience, expirationSeconds, path: name },
      })),
    },
  };
}

function digestOf(set: readonly Token[]): string {
  const facts = set.map(({ name, audience, expirationSeconds }) => [name, audience, expirationSeconds]);
  return createHash('sha256').update(JSON.stringify(facts)).digest('hex').slice(0, 8);
}
