import { audiencesOf, type Facts } from './facts.ts';

/** The realm whose issuer the audience is; nothing where it is none. */
export function realmOf(facts: Facts): string | undefined {
  const [audience = ''] = audiencesOf(facts);
  const [, name] = /^https?:\/\/[^/?#]+(?:\/[^?#]*)?\/realms\/([^/?#]+)$/.exec(audience) ?? [];
  return name === undefined ? undefined : decodeName(name);
}

function decodeName(name: string): string | undefined {
  try {
    return decodeURIComponent(name);
  } catch {
    return undefined;
  }
}
