import { audiencesOf, type Facts } from './facts.ts';

/**
 * The realm whose issuer the audience is, as the issuer writes it; nothing where it is none. A name with a space in it is
 * encoded there, and kcadm.sh wants it so, too: it writes what it gets into an address.
 */
export function realmOf(facts: Facts): string | undefined {
  const [audience = ''] = audiencesOf(facts);
  const [, name] = /^https?:\/\/[^/?#]+(?:\/[^?#]*)?\/realms\/([^/?#]+)$/.exec(audience) ?? [];
  return name === undefined || !isEncoded(name) ? undefined : name;
}

function isEncoded(name: string): boolean {
  try {
    decodeURIComponent(name);
    return true;
  } catch {
    return false;
  }
}
