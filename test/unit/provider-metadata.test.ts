import { describe, expect, test } from 'vitest';
import { providerMetadata } from '../../discovery/provider-metadata.ts';
import { ec, published, rsa } from './key-material.ts';

const RSA = published(rsa());
const P256 = published(ec('P-256'));
const P521 = published(ec('P-521'));

describe('providerMetadata', () => {
  test('has exactly these members, in this order', () => {
    expect(JSON.stringify(providerMetadata('https://issuer.example.com', [RSA]))).toBe(
      '{"issuer":"https://issuer.example.com","jwks_uri":"https://issuer.example.com/openid/v1/jwks",' +
        '"response_types_supported":["id_token"],"subject_types_supported":["public"],' +
        '"id_token_signing_alg_values_supported":["RS256"],' +
        '"claims_supported":["iss","sub","aud","exp","iat","nbf","jti","kubernetes.io"]}',
    );
  });

  test('the algorithms are those of the keys, sorted, each once', () => {
    const algorithms = (...keys: (typeof RSA)[]) =>
      providerMetadata('https://h', keys).id_token_signing_alg_values_supported;
    expect(algorithms(P256)).toEqual(['ES256']);
    expect(algorithms(RSA, P521, P256, RSA)).toEqual(['ES256', 'ES512', 'RS256']);
  });

  test.each([
    ['https://h', 'https://h/openid/v1/jwks'],
    ['https://h/', 'https://h/openid/v1/jwks'],
    ['https://h/p', 'https://h/p/openid/v1/jwks'],
    ['https://h/p/', 'https://h/p/openid/v1/jwks'],
    ['https://h/p//', 'https://h/p//openid/v1/jwks'],
    ['https://H.example:8443/P', 'https://H.example:8443/P/openid/v1/jwks'],
  ])('the issuer %s stays byte for byte, and jwks_uri lies under it', (issuer, uri) => {
    const metadata = providerMetadata(issuer, [RSA]);
    expect(metadata.issuer).toBe(issuer);
    expect(metadata.jwks_uri).toBe(uri);
  });
});
