import { issuerBase, METADATA_PATH } from '../../issuer-paths.ts';
import { reachOfAll } from './address.ts';
import { askAgain, WORDS } from './ask-again.ts';
import type { Fetched, Observation } from './observation.ts';
import { addressesOf, fetchOutside, type Trust } from './outsider.ts';

/** The issuer's document and the JWK Set that it names, as somebody outside gets them. */
export async function lookOutside(
  issuer: string,
  ca: Trust,
): Promise<Pick<Observation, 'document' | 'jwks' | 'jwksAddresses'>> {
  const document = await fetchOften(issuerBase(issuer) + METADATA_PATH, 'application/json', WORDS.document, ca);
  const url = document.status === 200 ? jwksUriOf(document) : undefined;
  if (url === undefined) return { document };
  const { addresses: jwksAddresses } = await addressesOf(url);
  // A verifier outside would not get there, and nobody but the document says that it may be asked.
  if (isBehind(document.addresses, jwksAddresses)) return { document, jwksAddresses };
  const jwks = await fetchOften(url, 'application/jwk-set+json, application/json', WORDS.jwks, ca);
  return { document, jwks, jwksAddresses };
}

async function fetchOften(
  url: string,
  accept: string,
  words: readonly (string | undefined)[],
  ca: Trust,
): Promise<Fetched> {
  const fetched = await fetchOutside(url, accept, ca);
  return { ...fetched, again: await askAgain(fetched, accept, words, ca) };
}

/** The `jwks_uri` of a document, where it is a URL of the web. */
export function jwksUriOf(document: Fetched | undefined): string | undefined {
  const written = document?.json?.jwks_uri;
  if (typeof written !== 'string' || !URL.canParse(written)) return undefined;
  const { protocol, href } = new URL(written);
  return /^https?:$/.test(protocol) ? href : undefined;
}

/** Whether the keys are in a network where the document is not. */
export function isBehind(document: readonly string[], jwks: readonly string[]): boolean {
  if (jwks.length === 0) return false;
  const reach = reachOfAll(jwks);
  return reach !== 'public' && reach !== reachOfAll(document);
}
