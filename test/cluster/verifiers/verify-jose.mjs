// Judges ID tokens with nothing but an issuer URL, the way a relying party written for Node would, with jose.
//
//   node verify-jose.mjs ISSUER AUDIENCE [ALGORITHM,…] < tokens
//
// One token per line on standard input, one JSON line per token on standard output, in the same order. The CA comes from
// NODE_EXTRA_CA_CERTS. Without algorithms those of the discovery document are accepted, as it is at the start. With
// --version alone it prints the version of jose.
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { createRemoteJWKSet, jwtVerify } from 'jose';

if (process.argv[2] === '--version') {
  const manifest = new URL('../../package.json', import.meta.resolve('jose'));
  console.log(JSON.parse(readFileSync(manifest, 'utf8')).version);
  process.exit();
}
const [issuer = '', audience = '', accepted] = process.argv.slice(2);
const base = issuer.replace(/\/$/, '');
const metadata = await (await fetch(`${base}/.well-known/openid-configuration`, { redirect: 'error' })).json();
if (metadata.issuer !== issuer) throw new Error(`the document is of the issuer ${metadata.issuer}`);
const keys = createRemoteJWKSet(new URL(metadata.jwks_uri));
const algorithms = accepted?.split(',') ?? metadata.id_token_signing_alg_values_supported;

for await (const token of createInterface({ input: process.stdin })) {
  const verdict = await jwtVerify(token, keys, { issuer, audience, algorithms }).then(
    ({ payload }) => ({ ok: true, subject: payload.sub, claims: payload }),
    (error) => ({ ok: false, error: `${error.code}: ${error.message}` }),
  );
  console.log(JSON.stringify(verdict));
}
