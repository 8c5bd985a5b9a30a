/** An issuer as a CI has one: subjects of its own, and its keys at an address that only its document tells. */
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { createDevelopmentIssuer } from '../../src/cli/demo/development-issuer.ts';

export interface CiIssuer {
  readonly issuer: string;
  /** PEM. */
  readonly ca: string;
  /** While it is, every answer is 503. */
  away: boolean;
  mint(subject: string, audience: string): Promise<string>;
  stop(): Promise<void>;
}

export async function startCiIssuer(): Promise<CiIssuer> {
  const { ca, server: pair } = await createDevelopmentIssuer();
  const { publicKey, privateKey } = await generateKeyPair('RS256');
  const jwk = { ...(await exportJWK(publicKey)), kid: 'ci', alg: 'RS256', use: 'sig' };
  const server = createServer({ cert: pair.cert, key: pair.key }, (request, response) => {
    const { issuer, away } = ci;
    const documents: Record<string, object> = {
      '/.well-known/openid-configuration': {
        ...{ issuer, jwks_uri: `${issuer}/keys-of-jobs`, response_types_supported: ['id_token'] },
        ...{ subject_types_supported: ['public'], id_token_signing_alg_values_supported: ['RS256'] },
      },
      '/keys-of-jobs': { keys: [jwk] },
    };
    const document = documents[request.url ?? ''];
    response.writeHead(away ? 503 : document === undefined ? 404 : 200, { 'Content-Type': 'application/json' });
    response.end(JSON.stringify(document ?? {}));
  });
  await new Promise<void>((fulfil) => server.listen(0, '127.0.0.1', fulfil));
  const issuer = `https://localhost:${(server.address() as AddressInfo).port}`;
  const ci: CiIssuer = {
    issuer,
    ca: ca.cert,
    away: false,
    mint: (subject, audience) =>
      new SignJWT({ user_email: 'ann@example.com', repository: 'acme/app' })
        .setProtectedHeader({ alg: 'RS256', kid: 'ci' })
        .setIssuer(issuer)
        .setSubject(subject)
        .setAudience(audience)
        .setIssuedAt()
        .setExpirationTime('5m')
        .sign(privateKey),
    stop: () =>
      new Promise((fulfil) => {
        server.close(() => fulfil());
        server.closeAllConnections();
      }),
  };
  return ci;
}
