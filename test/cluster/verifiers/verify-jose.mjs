// Judges ID tokens with nothing but an issuer URL, the way a relying party written for Node would, with jose.
//
//   node verify-jose.mjs ISSUER AUDIENCE < tokens
//
// One token per line on standard input, one JSON line per token on standard output, in the same order. The CA comes from
// NODE_EXTRA_CA_CERTS.
import { createInterface } from 'node:readline';
import { createRemoteJWKSet, jwtVerify } from 'jose';

const [issuer = '', audience = ''] = process.argv.slice(2);
const base = issuer.replace(/\/$/, '');
const metadata = await (await fetch(`${base}/.well-known/openid-configuration`, { redirect: 'error' })).json();
if (metadata.issuer !== issuer) throw new Error(`the document is of the issuer ${metadata.issuer}`);
const keys = createRemoteJWKSet(new URL(metadata.jwks_uri));
const algorithms = metadata.id_token_signing_alg_values_supported;

for await (const token of createInterface({ input: process.stdin })) {
  const verdict = await jwtVerify(token, keys, { issuer, audience, algorithms }).then(
    ({ payload }) => ({ ok: true, subject: payload.sub, claims: payload }),
    (error) => ({ ok: false, error: `${error.code}: ${error.message}` }),
  );
  console.log(JSON.stringify(verdict));
}
