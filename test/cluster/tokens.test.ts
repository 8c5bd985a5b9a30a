import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { decodeJwt, decodeProtectedHeader, type JWTPayload, SignJWT } from 'jose';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type ControlPlane, type KubeObject, startControlPlane } from './control-plane.ts';
import { type Podpass, podpass, register, startDiscovery, startWebhook } from './podpass.ts';
import { freePort } from './servers.ts';
import { clusterBinaries, describeCluster } from './suite.ts';
import { type Issuer, type VerifierName, Verifiers, verifierNames } from './verifiers.ts';

interface Projection {
  audience: string;
  expirationSeconds: number;
  path: string;
}

interface Volume {
  name: string;
  projected?: { sources: { serviceAccountToken?: Projection }[] };
}

interface Minted extends Projection {
  pod: KubeObject;
  volume: string;
  token: string;
}

const AUDIENCE = 'https://api.example.com';

/** A refused token: how it is made, and the reason that each program must give. */
interface Refusal {
  why: string;
  claims?: JWTPayload;
  key?: 'foreign';
  kid?: string;
  tamper?: (token: string) => string;
  reasons: Record<VerifierName | 'podpass', RegExp>;
}

const hour = 3600;
const now = Math.floor(Date.now() / 1000);

/** The same claims with another subject, under the old signature. */
function otherSubject(token: string): string {
  const [header, payload = '', signature] = token.split('.');
  const claims = JSON.parse(Buffer.from(payload, 'base64url').toString());
  const changed = JSON.stringify({ ...claims, sub: 'system:serviceaccount:kube-system:admin' });
  return [header, Buffer.from(changed).toString('base64url'), signature].join('.');
}

function otherSignature(token: string): string {
  const [header, payload, signature = ''] = token.split('.');
  const bytes = Buffer.from(signature, 'base64url');
  bytes.writeUInt8(bytes.readUInt8(10) ^ 1, 10);
  return [header, payload, bytes.toString('base64url')].join('.');
}

function withoutSignature(token: string): string {
  const header = Buffer.from(JSON.stringify({ ...decodeProtectedHeader(token), alg: 'none' })).toString('base64url');
  return `${header}.${token.split('.')[1]}.`;
}

const badSignature = {
  jose: /^ERR_JWS_SIGNATURE_VERIFICATION_FAILED/,
  'go-oidc': /failed to verify signature/,
  PyJWT: /^InvalidSignatureError/,
  Nimbus: /^BadJWSException: .*Invalid signature/,
  cap: /failed to verify id token signature/,
  podpass: /^the signature was not made by the key "[\w-]{43}", or the token was changed$/,
};

const refusals: Refusal[] = [
  {
    why: 'another audience',
    claims: { aud: ['vault'] },
    reasons: {
      jose: /^ERR_JWT_CLAIM_VALIDATION_FAILED: .*"aud"/,
      'go-oidc': /expected audience "https:\/\/api\.example\.com" got \["vault"\]/,
      PyJWT: /^InvalidAudienceError/,
      Nimbus: /^BadJWTException: JWT aud claim/,
      cap: /invalid audience \(aud\) claim/,
      podpass: /^the token is for the audience \["vault"\], not "https:\/\/api\.example\.com"$/,
    },
  },
  {
    why: 'another issuer',
    claims: { iss: 'https://other.example.com' },
    reasons: {
      jose: /^ERR_JWT_CLAIM_VALIDATION_FAILED: .*"iss"/,
      'go-oidc': /issued by a different provider/,
      PyJWT: /^InvalidIssuerError/,
      Nimbus: /^BadJWTException: JWT iss claim/,
      cap: /invalid issuer \(iss\) claim/,
      podpass:
        /^the token is from the issuer "https:\/\/other\.example\.com", not "https:\/\/(localhost|127\.0\.0\.1):\d+[\w/]*"$/,
    },
  },
  {
    why: 'an end in the past',
    // No token of the API server lives less than ten minutes.
    claims: { iat: now - 2 * hour, nbf: now - 2 * hour, exp: now - hour },
    reasons: {
      jose: /^ERR_JWT_EXPIRED/,
      'go-oidc': /token is expired/,
      PyJWT: /^ExpiredSignatureError/,
      Nimbus: /^ExpiredJWTException: Expired JWT/,
      cap: /token is expired/,
      podpass: new RegExp(`^the token expired at ${new Date((now - hour) * 1000).toISOString()}$`),
    },
  },
  {
    why: 'a beginning in the future',
    claims: { nbf: now + hour, exp: now + 2 * hour },
    reasons: {
      jose: /^ERR_JWT_CLAIM_VALIDATION_FAILED: .*"nbf"/,
      'go-oidc': /before the nbf/,
      PyJWT: /^ImmatureSignatureError/,
      Nimbus: /^BadJWTException: JWT before use time/,
      cap: /token not yet valid/,
      podpass: new RegExp(`^the token is not valid before ${new Date((now + hour) * 1000).toISOString()}$`),
    },
  },
  { why: 'changed claims', tamper: otherSubject, reasons: badSignature },
  { why: 'a changed signature', tamper: otherSignature, reasons: badSignature },
  { why: 'the right key ID and another key', key: 'foreign', reasons: badSignature },
  {
    why: 'a key that nobody publishes',
    kid: 'unknown',
    key: 'foreign',
    reasons: {
      jose: /^ERR_JWKS_NO_MATCHING_KEY/,
      'go-oidc': /failed to verify signature/,
      PyJWT: /^PyJWKClientError/,
      Nimbus: /^BadJOSEException: .*no matching key/,
      cap: /failed to verify id token signature/,
      podpass:
        /^the token is signed with the key "unknown" \("[ER]S256"\), but https:\S+\/openid\/v1\/jwks has "[\w-]{43}"$/,
    },
  },
  {
    why: 'no signature and the algorithm none',
    tamper: withoutSignature,
    reasons: {
      jose: /^ERR_JOSE_ALG_NOT_ALLOWED/,
      'go-oidc': /unexpected signature algorithm "none"|malformed jwt/,
      PyJWT: /^InvalidAlgorithmError/,
      Nimbus: /^BadJOSEException: Unsecured/,
      cap: /unexpected signature algorithm|malformed/,
      podpass: /^the token is signed with "none"; accepted: RS256, ES256, ES384, ES512$/,
    },
  },
];

/** One issuer at the root of a host and one below it, as both are usual. */
const issuers = [
  { keys: 'rsa', alg: 'RS256', issuerOn: (port: number) => `https://localhost:${port}`, named: false },
  { keys: 'ec', alg: 'ES256', issuerOn: (port: number) => `https://127.0.0.1:${port}/clusters/blue`, named: true },
] as const;

for (const { keys, alg, issuerOn, named } of issuers) {
  describeCluster(`tokens of a cluster that signs with ${alg}`, () => {
    let cluster: ControlPlane;
    let discovery: Podpass;
    let webhook: Podpass;
    let issuer: Issuer;
    let verifiers: Verifiers;
    const minted: Minted[] = [];

    /** Like Vault, cap is to be told of all but RS256. */
    const told = (name: VerifierName) => (name === 'cap' ? [alg] : []);

    beforeAll(async () => {
      verifiers = await Verifiers.open();
      const port = await freePort();
      const url = issuerOn(port);
      cluster = await startControlPlane({ binaries: clusterBinaries(), keys, issuer: url });
      const args = ['--port', String(port), '--key-source', 'cluster', ...(named ? ['--issuer', url] : [])];
      [discovery, webhook] = await Promise.all([startDiscovery(cluster, args), startWebhook(cluster)]);
      issuer = { url, caFile: discovery.files.caFile };
      await register(cluster, webhook);
      await cluster.createNamespace('shop');
    });
    afterAll(async () => {
      await Promise.all([webhook?.stop(), discovery?.stop()]);
      await cluster?.stop();
    });

    /** What the kubelet does for each of our volumes of a stored Pod. */
    async function mint(pod: KubeObject): Promise<Minted[]> {
      const { volumes } = pod.spec as { volumes: Volume[] };
      const ours = volumes.filter(({ name }) => name.startsWith('podpass-tokens'));
      const projections = ours.flatMap(({ name, projected }) =>
        (projected?.sources ?? []).flatMap(({ serviceAccountToken }) =>
          serviceAccountToken === undefined ? [] : { volume: name, ...serviceAccountToken },
        ),
      );
      const { name, uid } = pod.metadata;
      return Promise.all(
        projections.map(async (projection) => {
          const { audience, expirationSeconds } = projection;
          const wanted = { audiences: [audience], expirationSeconds, boundPod: { name, uid } };
          return { ...projection, pod, token: await cluster.requestToken('shop', 'web', wanted) };
        }),
      );
    }

    it('are asked for by the injected volumes of stored Pods, and minted as asked', async () => {
      await cluster.createServiceAccount('shop', 'web', {
        'podpass.dev/audiences': `${AUDIENCE}, vault`,
        'podpass.dev/expiration': '2h',
      });
      const pods = [
        { name: 'plain', annotations: {}, containers: ['web', 'log-shipper'] },
        {
          name: 'choosy',
          annotations: {
            'podpass.dev/audience.db': 'postgres://db.example.com/shop?a=b&c=<d>',
            'podpass.dev/expiration.db': '600',
            'podpass.dev/containers.db': 'web',
            'podpass.dev/containers.vault': 'log-shipper',
            'podpass.dev/env.db': 'DB_TOKEN_FILE',
          },
          containers: ['web', 'log-shipper', 'other'],
        },
      ];
      for (const { name, annotations, containers } of pods) {
        const created = await cluster.createPod('shop', {
          metadata: { name, annotations },
          spec: { serviceAccountName: 'web', containers: containers.map((each) => ({ name: each, image: 'app:1' })) },
        });
        expect(created.status, JSON.stringify(created.body)).toBe(201);
        minted.push(...(await mint(created.body)));
      }
      const asked = minted.map(({ pod, audience, expirationSeconds, path }) =>
        [pod.metadata.name, path, audience, expirationSeconds].join(' '),
      );
      const db = 'choosy db postgres://db.example.com/shop?a=b&c=<d> 600';
      // Of the second Pod: web sees all but vault, log-shipper all but db, and other only the first.
      expect(asked.sort()).toEqual([
        ...['choosy api.example.com', 'choosy api.example.com', 'choosy api.example.com'].map(
          (each) => `${each} ${AUDIENCE} 7200`,
        ),
        db,
        'choosy vault vault 7200',
        `plain api.example.com ${AUDIENCE} 7200`,
        'plain vault vault 7200',
      ]);
      for (const { pod, audience, expirationSeconds, token } of minted) {
        const { name, uid } = pod.metadata;
        const claims = decodeJwt(token);
        expect(claims).toMatchObject({
          iss: issuer.url,
          aud: [audience],
          sub: 'system:serviceaccount:shop:web',
          'kubernetes.io': { namespace: 'shop', serviceaccount: { name: 'web' }, pod: { name, uid } },
        });
        expect(Number(claims.exp) - Number(claims.iat)).toBe(expirationSeconds);
        expect(decodeProtectedHeader(token).alg).toBe(alg);
      }
    });

    it.for(verifierNames)('are accepted by %s, which knows nothing but the issuer', async (name, context) => {
      const verifier = verifiers.get(name, context);
      expect(minted).not.toHaveLength(0);
      for (const audience of new Set(minted.map((each) => each.audience))) {
        const tokens = minted.filter((each) => each.audience === audience).map(({ token }) => token);
        const verdicts = await verifier.judge(issuer, audience, tokens, told(name));
        expect(verdicts).toEqual(
          tokens.map((token) => ({
            ok: true,
            subject: 'system:serviceaccount:shop:web',
            claims: expect.objectContaining(decodeJwt(token)),
          })),
        );
      }
    });

    it('are accepted by podpass verify, which prints the claims', async () => {
      const flags = (audience: string) => ['--issuer', issuer.url, '--audience', audience, '--ca', issuer.caFile];
      const [first] = minted;
      for (const { audience, token } of minted.filter(({ pod }) => pod === first?.pod)) {
        const asArgument = await podpass(['verify', token, ...flags(audience)]);
        expect(asArgument).toMatchObject({ code: 0, stderr: '' });
        expect(JSON.parse(asArgument.stdout)).toEqual(decodeJwt(token));
        expect(await podpass(['verify', '-', ...flags(audience)], `${token}\n`)).toEqual(asArgument);
      }
    });

    // ---- refusals ----------------------------------------------------------------------------------------------------

    /** A token like a real one, signed by the test. */
    async function forge({
      claims = {},
      key,
      kid: otherKid,
      tamper = (token) => token,
    }: Partial<Refusal> = {}): Promise<string> {
      const genuine = minted.find(({ audience }) => audience === AUDIENCE)?.token ?? '';
      const { kid = '' } = decodeProtectedHeader(genuine);
      const signingKey: KeyObject = key === 'foreign' ? foreignKey() : createPrivateKey(cluster.signingKey);
      const token = new SignJWT({ ...decodeJwt(genuine), ...claims }).setProtectedHeader({ alg, kid: otherKid ?? kid });
      return tamper(await token.sign(signingKey));
    }

    function foreignKey(): KeyObject {
      return keys === 'rsa'
        ? generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
        : generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
    }

    it('are accepted by cap without a list of algorithms only where they are signed with RS256', async (context) => {
      const tokens = minted.filter(({ audience }) => audience === AUDIENCE).map(({ token }) => token);
      const found = await verifiers.get('cap', context).judge(issuer, AUDIENCE, tokens);
      for (const verdict of found) {
        expect(verdict).toEqual(
          alg === 'RS256'
            ? expect.objectContaining({ ok: true })
            : { ok: false, error: expect.stringMatching(/algorithm/) },
        );
      }
    });

    it.for(verifierNames)('that are wrong are refused by %s for what is wrong with them', async (name, context) => {
      const verifier = verifiers.get(name, context);
      // The first one is right: so it is not the forging that is refused.
      const tokens = [await forge(), ...(await Promise.all(refusals.map(forge)))];
      const [right, ...wrong] = await verifier.judge(issuer, AUDIENCE, tokens, told(name));
      expect(right).toMatchObject({ ok: true });
      for (const [index, { why, reasons }] of refusals.entries()) {
        expect(wrong[index], why).toEqual({ ok: false, error: expect.stringMatching(reasons[name]) });
      }
    });

    it.each(refusals)('with $why are refused by podpass verify, with exactly that reason', async (refusal) => {
      const token = await forge(refusal);
      const flags = ['--issuer', issuer.url, '--audience', AUDIENCE, '--ca', issuer.caFile];
      const { code, stdout, stderr } = await podpass(['verify', token, ...flags]);
      expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
      expect(stderr.replace(/\n$/, '').replace(/^podpass verify: /, '')).toMatch(refusal.reasons.podpass);
      expect(stderr).not.toContain(token.split('.')[1]);
    });

    it('are refused by podpass verify that is told another issuer, or no CA', async () => {
      const token = minted[0]?.token ?? '';
      const audience = minted[0]?.audience ?? '';
      const other = `${issuer.url}/other`;
      const ca = ['--ca', issuer.caFile];
      const wrongIssuer = await podpass(['verify', token, '--issuer', other, '--audience', audience, ...ca]);
      expect(wrongIssuer).toEqual({
        code: 1,
        stdout: '',
        stderr: `podpass verify: GET ${other}/.well-known/openid-configuration: the answer is 404, not 200\n`,
      });
      const noCa = await podpass(['verify', token, '--issuer', issuer.url, '--audience', audience]);
      expect(noCa).toMatchObject({ code: 1, stdout: '', stderr: expect.stringContaining('unable to verify') });
    });
  });
}
