import { compactVerify, decodeJwt, decodeProtectedHeader, errors, importJWK } from 'jose';
import { ALGORITHMS } from '../verify.ts';
import type { Jwk, TokenSeen } from './observation.ts';

/**
 * A token and what the published keys say of its signature. Claims are only decoded: the rules judge them one by one, so
 * that all that is wrong is told, not only the first thing.
 */
export async function lookAtToken(
  token: string,
  keys: readonly Jwk[] | undefined,
  about: Pick<TokenSeen, 'name' | 'audience'>,
): Promise<TokenSeen> {
  const seen = { ...about, length: token.length };
  try {
    const header: Readonly<Record<string, unknown>> = { ...decodeProtectedHeader(token) };
    const claims: Readonly<Record<string, unknown>> = { ...decodeJwt(token) };
    return { ...seen, header, claims, signature: await signatureOf(token, header, keys) };
  } catch {
    return { ...seen, signature: 'unasked' };
  }
}

async function signatureOf(
  token: string,
  { kid, alg }: Readonly<Record<string, unknown>>,
  keys: readonly Jwk[] | undefined,
): Promise<TokenSeen['signature']> {
  if (typeof alg !== 'string' || !ALGORITHMS.includes(alg)) return 'algorithm';
  if (keys === undefined) return 'unasked';
  const candidates = keys.filter((key) => key.kid === kid);
  if (candidates.length === 0) return 'unknown-key';
  const verdicts = await Promise.all(candidates.map((key) => verdict(token, alg, key)));
  return (['good', 'bad'] as const).find((each) => verdicts.includes(each)) ?? 'unusable-key';
}

async function verdict(token: string, alg: string, key: Jwk): Promise<'good' | 'bad' | 'unusable-key'> {
  const { kty, crv, n, e, x, y } = key as Readonly<Record<string, string>>;
  if (key.alg !== undefined && key.alg !== alg) return 'unusable-key';
  try {
    const usable = await importJWK(JSON.parse(JSON.stringify({ kty, crv, n, e, x, y })), alg);
    await compactVerify(token, usable, { algorithms: [alg] });
    return 'good';
  } catch (error) {
    return error instanceof errors.JWSSignatureVerificationFailed ? 'bad' : 'unusable-key';
  }
}
