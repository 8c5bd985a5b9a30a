import type { FindingCode } from '../../../src/catalog/findings.ts';
import { targetLimits } from '../../../src/catalog/target-limits.ts';
import { contentOf } from '../../../src/cli/doctor/content.ts';
import type {
  AnswerAgain,
  CertificateSeen,
  ClusterSeen,
  EntrySeen,
  Fetched,
  Jwk,
  Observation,
  TlsSeen,
  TokenSeen,
  WebhookSeen,
} from '../../../src/cli/doctor/observation.ts';
import { ec, expectedKid, jwk, rsa } from '../key-material.ts';

/** A healthy installation, and for each code what is different when it is found. */

export const ISSUER = 'https://issuer.example.com';
const NOW = Date.parse('2026-01-01T12:00:00Z');
const DAY = 86_400_000;
const seconds = NOW / 1000;

function publicJwk(pair: ReturnType<typeof rsa>, alg: string): Jwk {
  return jwk(pair, { use: 'sig', kid: expectedKid(pair), alg });
}

const first = publicJwk(rsa(), 'RS256');
const second = publicJwk(rsa(), 'RS256');
const onCurve = publicJwk(ec('P-256'), 'ES256');
const onLargeCurve = publicJwk(ec('P-384'), 'ES384');
const weak = publicJwk(rsa(1024), 'RS256');

const leaf: CertificateSeen = {
  subject: 'issuer.example.com',
  issuer: 'Example CA',
  notBefore: NOW - 30 * DAY,
  notAfter: NOW + 60 * DAY,
  sha1: 'a'.repeat(40),
  forHost: true,
};
const tls: TlsSeen = { publicly: true, chain: [leaf] };
const answered: Fetched = {
  url: `${ISSUER}/.well-known/openid-configuration`,
  addresses: ['203.0.113.7'],
  status: 200,
  headers: { 'content-type': 'application/json', 'cache-control': 'public, max-age=300' },
  bytes: 400,
  milliseconds: 20,
  skew: 0,
  tls,
};
const metadata = {
  issuer: ISSUER,
  jwks_uri: `${ISSUER}/openid/v1/jwks`,
  response_types_supported: ['id_token'],
  subject_types_supported: ['public'],
  id_token_signing_alg_values_supported: ['RS256'],
};
const document: Fetched = {
  ...answered,
  json: metadata,
  again: [
    { accept: 'application/json', status: 200, content: contentOf({ json: metadata, headers: {} }) },
    { status: 200, content: contentOf({ json: metadata, headers: {} }) },
  ],
};
const keySet = { keys: [first, second] };
const jwks: Fetched = {
  ...answered,
  url: metadata.jwks_uri,
  json: keySet,
  again: [targetLimits.keycloak.accept, targetLimits.kafka.accept, undefined].map((accept) => ({
    accept,
    status: 200,
    content: contentOf({ json: keySet, headers: {} }),
  })),
};
const claims = {
  iss: ISSUER,
  sub: 'system:serviceaccount:shop:web',
  aud: ['https://api.example.com'],
  iat: seconds - 10,
  nbf: seconds - 10,
  exp: seconds + 3590,
};
const token: TokenSeen = {
  name: 'the token given',
  audience: 'https://api.example.com',
  length: 900,
  header: { alg: 'RS256', kid: first.kid },
  claims,
  signature: 'good',
};
const authority = { notBefore: NOW - 60 * DAY, notAfter: NOW + 300 * DAY };
const entry = (name: string, failurePolicy: string): EntrySeen => ({
  name: `${name}.podpass.dev`,
  failurePolicy,
  selective: true,
  caBundle: 'readable',
  lastCa: authority,
});
const webhook: WebhookSeen = {
  namespace: 'podpass',
  registered: true,
  entries: [...['all', 'again', 'annotated'].map((name) => entry(name, 'Ignore')), entry('labelled', 'Fail')],
  policy: true,
  deployments: Object.entries({ 'webhook-a': 1, 'webhook-b': 1, discovery: 2 }).map(([name, replicas]) => ({
    name: `Deployment podpass/podpass-${name}`,
    found: true,
    wanted: replicas,
    available: replicas,
    image: 'podpass:1.0.0',
  })),
  trial: { status: 201, injected: true, message: '' },
};
const cluster: ClusterSeen = {
  server: 'https://10.0.0.1:6443',
  denied: [],
  answers: [1, 2].map(() => ({ issuer: ISSUER, keys: [first, second] })),
  skew: 0,
  bound: true,
  anonymous: 401,
  lifetime: { asked: 86_400, got: 86_400 },
  webhook,
};

export const healthy: Observation = {
  now: NOW,
  version: '1.0.0',
  issuer: ISSUER,
  document,
  jwks,
  jwksAddresses: jwks.addresses,
  tokens: [token],
  cluster,
};

const withDocument = (more: Partial<Fetched>): Observation => ({ ...healthy, document: { ...document, ...more } });
const withMetadata = (more: object): Observation => withDocument({ json: { ...metadata, ...more } });
const withHeaders = (headers: Record<string, string>) => withDocument({ headers: { ...document.headers, ...headers } });
const withJwks = (more: Partial<Fetched>): Observation => ({ ...healthy, jwks: { ...jwks, ...more } });
const withAgain = (at: number, more: Partial<AnswerAgain>) =>
  withJwks({ again: (jwks.again ?? []).map((each, index) => (index === at ? { ...each, ...more } : each)) });
const withKeys = (...keys: readonly Jwk[]): Observation => withJwks({ json: { keys } });
const without = (key: Jwk, member: string): Jwk =>
  Object.fromEntries(Object.entries(key).filter(([name]) => name !== member));
const withTls = (more: Partial<TlsSeen>) => withDocument({ tls: { ...tls, ...more } });
const withLeaf = (more: Partial<CertificateSeen>) => withTls({ chain: [{ ...leaf, ...more }] });
const withToken = (more: Partial<TokenSeen>): Observation => ({ ...healthy, tokens: [{ ...token, ...more }] });
const withClaims = (more: object) => withToken({ claims: { ...claims, ...more } });
const withCluster = (more: Partial<ClusterSeen>): Observation => ({ ...healthy, cluster: { ...cluster, ...more } });
const withWebhook = (more: Partial<WebhookSeen>) => withCluster({ webhook: { ...webhook, ...more } });
const withEntry = (more: object) =>
  withWebhook({ entries: (webhook.entries ?? []).map((each) => ({ ...each, ...more })) });
const withDeployments = (of: RegExp, more: object) =>
  withWebhook({ deployments: webhook.deployments.map((each) => (of.test(each.name) ? { ...each, ...more } : each)) });
const withTrial = (status: number, message: string) => withWebhook({ trial: { status, injected: false, message } });
const withIssuer = (issuer: string): Observation => ({ ...healthy, issuer });
const failedBy = (kind: 'dns' | 'connection' | 'time' | 'tls' | 'size') =>
  withDocument({ failure: { kind, message: 'it failed' }, status: undefined, json: undefined });
const many = (key: Jwk, count: number) => Array.from({ length: count }, (_, index) => ({ ...key, kid: `${index}` }));

/** At least one observation for each code; more where several rules share it. */
export const fixtures: Readonly<Record<FindingCode, readonly Observation[]>> = {
  'issuer-not-https': [withIssuer('http://issuer.example.com'), withIssuer('kubernetes'), withIssuer('http://[::1]:1')],
  'issuer-port': [withIssuer('https://issuer.example.com:443'), withIssuer('https://issuer.example.com:8443')],
  'issuer-case': [withIssuer('https://Issuer.example.com')],
  'issuer-trailing-slash': [withIssuer(`${ISSUER}/`)],
  'issuer-too-long': [withIssuer(`${ISSUER}/${'x'.repeat(250)}`), withIssuer(`${ISSUER}/${'x'.repeat(600)}`)],

  'dns-failed': [failedBy('dns')],
  'address-private': [
    withDocument({ addresses: ['192.168.1.1'] }),
    withDocument({ addresses: ['fd00::1'] }),
    withDocument({ addresses: ['169.254.7.7'] }),
  ],
  'address-ipv6-only': [withDocument({ addresses: ['2001:db8::7'] })],
  unsteady: [
    withAgain(0, { status: 503, content: undefined }),
    withAgain(2, { status: undefined, content: undefined, failure: { kind: 'time', message: 'no answer' } }),
  ],
  'answers-differ': [withAgain(2, { content: contentOf({ json: { keys: [first] }, headers: {} }) })],
  'accept-refused': [
    withAgain(0, { status: 406, content: undefined }),
    withAgain(1, { status: 200, content: undefined }),
    withAgain(2, { status: 403, content: undefined }),
  ],
  'no-answer': [failedBy('connection'), failedBy('time')],
  redirect: [withDocument({ status: 301, headers: { location: 'https://other.example.com/' }, json: undefined })],
  'status-not-200': [withDocument({ status: 503, json: undefined })],
  'too-large': [failedBy('size')],
  slow: [withDocument({ milliseconds: 600 }), withDocument({ milliseconds: 6000 })],
  'content-type': [withHeaders({ 'content-type': 'text/plain' }), withHeaders({ 'content-type': '' })],
  compressed: [withHeaders({ 'content-encoding': 'gzip' })],
  'cache-missing': [withHeaders({ 'cache-control': 'public' })],
  'cache-none': [withHeaders({ 'cache-control': 'no-store' }), withHeaders({ 'cache-control': 'public, max-age=0' })],
  'cache-long': [withHeaders({ 'cache-control': 'max-age=604800' })],
  'cache-shared': [withHeaders({ vary: 'accept' }), withHeaders({ 'set-cookie': 'a=b' })],
  'clock-skew': [withDocument({ skew: 120_000 }), withCluster({ skew: -120_000 }), withCluster({ skew: 45_000 })],

  'tls-failed': [failedBy('tls')],
  'tls-expired': [
    withLeaf({ notAfter: NOW - 1000 }),
    withTls({ chain: [leaf, { ...leaf, subject: 'an old CA', notAfter: NOW - DAY }] }),
  ],
  'tls-not-yet-valid': [withLeaf({ notBefore: NOW + 1000 })],
  'tls-expires-soon': [withLeaf({ notAfter: NOW + 10 * DAY })],
  'tls-wrong-host': [withLeaf({ forHost: false })],
  'tls-chain-incomplete': [withTls({ fault: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE', publicly: false })],
  'tls-untrusted': [withTls({ fault: 'SELF_SIGNED_CERT_IN_CHAIN', publicly: false })],
  'tls-private-ca': [withTls({ publicly: false })],
  thumbprint: [healthy],

  'document-not-json': [withDocument({ json: undefined })],
  'issuer-mismatch': [
    withMetadata({ issuer: `${ISSUER}/` }),
    withMetadata({ issuer: 'https://issuer.example.com:443' }),
    withMetadata({ issuer: 'https://Issuer.example.com' }),
    withMetadata({ issuer: 7 }),
  ],
  'document-members-missing': [withMetadata({ subject_types_supported: [] })],
  'document-algorithms': [withMetadata({ id_token_signing_alg_values_supported: ['ES256'] })],
  'authorization-endpoint-empty': [withMetadata({ authorization_endpoint: '' })],
  'jwks-uri-missing': [withMetadata({ jwks_uri: undefined }), withMetadata({ jwks_uri: '/keys' })],
  'jwks-uri-not-https': [withMetadata({ jwks_uri: 'http://issuer.example.com/keys' })],
  'jwks-uri-other-host': [withMetadata({ jwks_uri: 'https://keys.example.com/' })],
  'jwks-uri-private': [
    { ...withMetadata({ jwks_uri: 'https://10.0.0.9/keys' }), jwks: undefined, jwksAddresses: ['10.0.0.9'] },
  ],
  'jwks-uri-api-server': [withMetadata({ jwks_uri: 'https://10.0.0.1:6443/openid/v1/jwks' })],

  'jwks-not-json': [withJwks({ json: undefined }), withJwks({ json: { keys: {} } })],
  'jwks-empty': [withKeys()],
  'jwks-large': [withJwks({ bytes: 60_000 })],
  'keys-many': [withKeys(...many(first, 101)), withKeys(...many(first, 60), ...many(onCurve, 60))],
  'key-private': [withKeys({ ...first, d: 'AQAB' }, second)],
  'key-duplicate-kid': [withKeys(first, { ...second, kid: first.kid })],
  'key-without-kid': [withKeys(first, without(second, 'kid'))],
  'key-without-use': [withKeys(first, without(second, 'use')), withKeys(first, { ...second, use: 'enc' })],
  'key-without-alg': [withKeys(first, without(second, 'alg'))],
  'key-unsupported': [
    withKeys(first, { kty: 'OKP', crv: 'Ed25519', kid: 'a', use: 'sig', x: 'AA' }),
    withKeys(first, { kty: 'EC', crv: 'secp256k1', kid: 'a', use: 'sig', x: 'AA', y: 'AA' }),
  ],
  'key-unusable': [withKeys(first, { ...onCurve, x: 'AQ' }), withKeys(first, { ...second, alg: 'ES256' })],
  'key-weak': [withKeys(first, weak)],
  'key-exponent': [withKeys(first, { ...second, e: 'BQ' })],
  'key-certificate': [withKeys(first, { ...second, x5c: ['AA'] })],
  'algorithm-unfit': [
    withKeys(onCurve),
    withKeys(onLargeCurve),
    withKeys(first, onCurve, onLargeCurve),
    withToken({ header: { alg: 'ES384', kid: onLargeCurve.kid } }),
  ],

  'token-malformed': [withToken({ header: undefined, claims: undefined, signature: 'unasked' })],
  'token-algorithm': [withToken({ header: { alg: 'HS256' }, signature: 'algorithm' })],
  'token-key-unknown': [withToken({ header: { alg: 'RS256', kid: 'other' }, signature: 'unknown-key' })],
  'token-signature': [withToken({ signature: 'bad' }), withToken({ signature: 'unusable-key' })],
  'token-issuer': [withClaims({ iss: `${ISSUER}/` }), withClaims({ iss: ['a', 'b'] })],
  'token-audience': [withClaims({ aud: ['other'] }), withClaims({ aud: undefined })],
  'token-audiences-several': [withClaims({ aud: ['https://api.example.com', 'other'] })],
  'token-claims-missing': [
    withClaims({ exp: undefined }),
    withClaims({ sub: 'somebody' }),
    withClaims({ iat: undefined }),
  ],
  'token-expired': [withClaims({ exp: seconds - 5 }), withClaims({ exp: seconds - 50_000 })],
  'token-not-yet-valid': [withClaims({ nbf: seconds + 300 }), withClaims({ nbf: undefined, iat: seconds + 30 })],
  'token-lifetime': [withClaims({ exp: seconds + 5000 }), withClaims({ exp: seconds + 200_000 })],
  'token-claim-long': [
    withClaims({ aud: ['a'.repeat(256)] }),
    withClaims({ aud: ['a'.repeat(257)] }),
    withClaims({ sub: `system:serviceaccount:shop:${'a'.repeat(120)}` }),
  ],
  'token-large': [withToken({ length: 9000 }), withToken({ length: 21_000 })],
  'token-verified': [healthy],

  'api-server-no-answer': [withCluster({ unreachable: 'connect ECONNREFUSED', answers: [], webhook: undefined })],
  'rights-missing': [withCluster({ denied: ['create pods in default'] })],
  'cluster-documents': [withCluster({ answers: [{ fault: '/openid/v1/jwks: HTTP 404' }] })],
  'cluster-issuer-mismatch': [withCluster({ answers: [{ issuer: `${ISSUER}/`, keys: [first, second] }] })],
  'api-servers-differ': [
    withCluster({ answers: [cluster.answers[0] ?? {}, { issuer: ISSUER, keys: [first] }] }),
    withCluster({ answers: [cluster.answers[0] ?? {}, { issuer: 'https://old.example.com', keys: [first, second] }] }),
  ],
  'keys-missing': [withCluster({ answers: [{ issuer: ISSUER, keys: [first, second, onCurve] }] })],
  'keys-differ': [withCluster({ answers: [{ issuer: ISSUER, keys: [first, { ...onCurve, kid: second.kid }] }] })],
  'keys-extra': [withCluster({ answers: [{ issuer: ISSUER, keys: [first] }] })],
  'discovery-rights': [withCluster({ bound: false })],
  'api-server-anonymous': [withCluster({ anonymous: 200 })],
  'token-not-minted': [withCluster({ notMinted: 'no ServiceAccount to ask for' })],
  'token-shortened': [withCluster({ lifetime: { asked: 86_400, got: 3600 } })],

  'webhook-not-registered': [
    withWebhook({ registered: false, entries: [], trial: undefined }),
    withWebhook({ registered: false, entries: [], trial: undefined, deployments: [] }),
  ],
  'webhook-entry-missing': ['all', 'again'].map((gone) =>
    withWebhook({ entries: webhook.entries?.filter(({ name }) => !name.startsWith(`${gone}.`)) }),
  ),
  'failure-policy-changed': [
    withEntry({ failurePolicy: 'Fail' }),
    withWebhook({ entries: [...(webhook.entries ?? []), entry('azure', 'Ignore')] }),
  ],
  'ca-bundle-missing': [withEntry({ caBundle: 'missing' }), withEntry({ caBundle: 'unreadable' })],
  'ca-bundle-expires': [2, -1].map((days) => withEntry({ lastCa: { ...authority, notAfter: NOW + days * DAY } })),
  'ca-bundle-mismatch': [withTrial(500, 'failed calling webhook "labelled": x509: unknown authority')],
  'webhook-unreachable': [
    withTrial(500, 'failed calling webhook "labelled": connect: connection refused'),
    withTrial(0, 'POST /api/v1/pods: no answer within 15000 ms'),
  ],
  'webhook-not-injecting': [
    withTrial(201, ''),
    withTrial(422, 'the annotations of this Pod ask for tokens, and it has none: the webhook did not answer'),
  ],
  'dry-run-refused': [withTrial(403, 'exceeded quota')],
  'webhook-fails-open': [withEntry({ failurePolicy: 'Ignore' })],
  'webhook-broad': [withEntry({ selective: false })],
  'policy-missing': [withWebhook({ policy: false })],
  'deployment-missing': [
    withDeployments(/-b$/, { found: false, wanted: 0, available: 0, image: undefined }),
    withDeployments(/discovery$/, { found: false, wanted: 0, available: 0, image: undefined }),
  ],
  'deployment-unavailable': [
    withDeployments(/webhook/, { available: 0 }),
    withDeployments(/discovery/, { available: 0 }),
  ],
  'deployment-degraded': [withDeployments(/discovery/, { available: 1 }), withDeployments(/-a$/, { available: 0 })],
  'version-skew': [withDeployments(/-b$/, { image: 'podpass:0.9.0' })],
  'cli-version': [
    withDeployments(/./, { image: 'registry.example.com:5000/podpass:1.1.0' }),
    withDeployments(/./, { image: 'podpass:1.0.1@sha256:abc' }),
  ],
};
