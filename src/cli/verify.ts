import {
  createLocalJWKSet,
  decodeJwt,
  decodeProtectedHeader,
  errors,
  type JSONWebKeySet,
  type JWTPayload,
  jwtVerify,
} from 'jose';
import type { CommandSettings } from '../catalog/commands.ts';
import { Failure, messageOf, quote } from '../fault.ts';
import { issuerBase, METADATA_PATH } from '../issuer-paths.ts';
import { readCertificates } from '../runtime/certificates.ts';
import { httpGet } from '../runtime/http.ts';
import type { Terminal } from './terminal.ts';

export async function runVerify(
  settings: CommandSettings<'verify'>,
  terminal: Terminal,
  argument: string | undefined,
): Promise<number> {
  const { issuer, audience } = settings;
  const ca = settings.ca === undefined ? undefined : readCertificates(settings.ca);
  const token = (argument === '-' ? (await terminal.readInput()).toString('latin1') : (argument ?? '')).trim();
  const claims = await verifyToken(token, { issuer, audience, ca });
  terminal.out(`${JSON.stringify(claims, undefined, 2)}\n`);
  return 0;
}

/** What Kubernetes signs with (kubernetes/pkg/serviceaccount/jwt.go), external signers included. */
export const ALGORITHMS = ['RS256', 'ES256', 'ES384', 'ES512'];

export interface Expectation {
  readonly issuer: string;
  readonly audience: string;
  /** CA certificates (PEM) to trust beside those that Node trusts. */
  readonly ca?: readonly string[] | undefined;
}

/**
 * Verifies a token knowing only the issuer's URL: its document, the JWK Set that it names, the signature and the claims.
 * Throws a Failure with the exact reason, which never holds the token.
 */
export async function verifyToken(token: string, { issuer, audience, ca }: Expectation): Promise<JWTPayload> {
  const header = readHeader(token);
  const documentUrl = issuerBase(issuer) + METADATA_PATH;
  const document = await getJson(documentUrl, { ca, accept: 'application/json' });
  if (document.issuer !== issuer) {
    throw new Failure(`${documentUrl} says that its issuer is ${show(document.issuer)}, not ${quote(issuer)}`);
  }
  const { jwks_uri: jwksUrl } = document;
  if (typeof jwksUrl !== 'string' || !URL.canParse(jwksUrl) || !/^https?:$/.test(new URL(jwksUrl).protocol)) {
    throw new Failure(`${documentUrl} has no jwks_uri that is an https URL`);
  }
  if (issuer.startsWith('https:') && !jwksUrl.startsWith('https:'))
    throw new Failure(`${documentUrl} has a jwks_uri that is not https`);
  const jwks = await getJson(jwksUrl, { ca, accept: 'application/jwk-set+json, application/json' });
  if (!Array.isArray(jwks.keys)) throw new Failure(`${jwksUrl} is not a JWK Set`);
  try {
    const keys = createLocalJWKSet(jwks as unknown as JSONWebKeySet);
    const { payload } = await jwtVerify(token, keys, {
      issuer,
      audience,
      algorithms: ALGORITHMS,
      requiredClaims: ['exp', 'sub'],
    });
    return payload;
  } catch (error) {
    throw new Failure(explain(error, token, header, { issuer, audience }, jwks.keys, jwksUrl), { cause: error });
  }
}

function readHeader(token: string) {
  try {
    decodeJwt(token);
    return decodeProtectedHeader(token);
  } catch (cause) {
    throw new Failure('the token is not a JSON Web Token in its compact form', { cause });
  }
}

async function getJson(url: string, options: Parameters<typeof httpGet>[1]): Promise<Record<string, unknown>> {
  const body = await httpGet(url, options);
  try {
    const value: unknown = JSON.parse(body.toString());
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>;
  } catch {
    // Reported below, with everything else that is no JSON object.
  }
  throw new Failure(`GET ${url}: the answer is not a JSON object`);
}

/** What jose found, in the words of a person who has to find out why. */
function explain(
  error: unknown,
  token: string,
  header: { kid?: string; alg?: string },
  { issuer, audience }: Expectation,
  keys: readonly { kid?: unknown; use?: unknown; alg?: unknown }[],
  jwksUrl: string,
): string {
  const claims = decodeJwt(token);
  const date = (seconds: unknown) =>
    typeof seconds === 'number' ? new Date(seconds * 1000).toISOString() : show(seconds);
  if (error instanceof errors.JWTExpired) return `the token expired at ${date(claims.exp)}`;
  if (error instanceof errors.JWTClaimValidationFailed) {
    if (error.reason === 'missing') return `the token has no claim ${error.claim}`;
    if (error.claim === 'iss') return `the token is from the issuer ${show(claims.iss)}, not ${quote(issuer)}`;
    if (error.claim === 'aud') return `the token is for the audience ${show(claims.aud)}, not ${quote(audience)}`;
    if (error.claim === 'nbf') return `the token is not valid before ${date(claims.nbf)}`;
  }
  if (error instanceof errors.JWKSNoMatchingKey) {
    const same = keys.find(({ kid }) => kid !== undefined && kid === header.kid);
    if (same !== undefined) {
      return `the key ${show(header.kid)} of ${jwksUrl} is for ${show(same.use)} with ${show(same.alg)}, and the token is signed with ${show(header.alg)}`;
    }
    const kids = keys.map(({ kid }) => show(kid)).join(', ');
    return `the token is signed with the key ${show(header.kid)} (${show(header.alg)}), but ${jwksUrl} has ${kids || 'no keys'}`;
  }
  if (error instanceof errors.JWSSignatureVerificationFailed) {
    return `the signature was not made by the key ${show(header.kid)}, or the token was changed`;
  }
  if (error instanceof errors.JOSEAlgNotAllowed) {
    return `the token is signed with ${show(header.alg)}; accepted: ${ALGORITHMS.join(', ')}`;
  }
  return messageOf(error);
}

const show = (value: unknown) =>
  value === undefined ? 'nothing' : typeof value === 'string' ? quote(value) : JSON.stringify(value);
