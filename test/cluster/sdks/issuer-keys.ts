/** What the clouds do with a token: they verify it with nothing but the issuer's URL. */
import { readFile } from 'node:fs/promises';
import { get } from 'node:https';
import { json } from 'node:stream/consumers';
import { createLocalJWKSet, type JSONWebKeySet, type JWTPayload, jwtVerify } from 'jose';
import { METADATA_PATH } from '../../../src/issuer-paths.ts';
import type { Issuer } from '../verifiers.ts';

/** Returns the claims. Throws an Error that says why a token is refused. */
export async function verifyAsCloud({ url, caFile }: Issuer, audience: string, token: string): Promise<JWTPayload> {
  const ca = await readFile(caFile, 'utf8');
  const metadata = (await getJson(url + METADATA_PATH, ca)) as { issuer: string; jwks_uri: string };
  if (metadata.issuer !== url) throw new Error(`the document is of the issuer ${metadata.issuer}`);
  const keys = createLocalJWKSet((await getJson(metadata.jwks_uri, ca)) as JSONWebKeySet);
  const { payload } = await jwtVerify(token, keys, { issuer: url, audience, algorithms: ['RS256'] });
  return payload;
}

function getJson(url: string, ca: string): Promise<unknown> {
  return new Promise((fulfil, reject) => {
    const outgoing = get(url, { ca, agent: false, timeout: 10_000 }, (incoming) => {
      if (incoming.statusCode === 200) fulfil(json(incoming));
      else reject(new Error(`${url}: ${incoming.statusCode}`));
    });
    outgoing.on('error', reject);
    outgoing.on('timeout', () => outgoing.destroy(new Error(`${url}: no answer`)));
  });
}
