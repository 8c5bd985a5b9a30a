/** The rotation of a signing key, as verifiers see it that were there before it. */
import { createPrivateKey } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { get } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text as textOf } from 'node:stream/consumers';
import { decodeJwt, decodeProtectedHeader, SignJWT } from 'jose';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type ControlPlane, serviceAccountKeyPair, startControlPlane } from './control-plane.ts';
import { minioSts } from './minio-sts.ts';
import { type Podpass, podpass, startDiscovery, testCa, until } from './podpass.ts';
import { freePort } from './servers.ts';
import { clusterBinaries, describeCluster } from './suite.ts';
import { goOidc, type Issuer, type Resident, type Verdict, type Verifier, Verifiers } from './verifiers.ts';

interface KeyReport {
  kid: string;
  state: string;
  sign: { safe: boolean | null };
}

const AUDIENCE = 'https://api.example.com';
const ALGORITHMS = ['RS256', 'ES256'];
/** How long jose, PyJWT and Nimbus do not ask again after they have asked: the slowest of the verifiers here. */
const VERIFIER_CACHE = '30s';

const rotations = [
  { from: 'rsa', to: 'ec', algs: ['RS256', 'ES256'] },
  { from: 'ec', to: 'rsa', algs: ['ES256', 'RS256'] },
] as const;

for (const { from, to, algs } of rotations) {
  const [oldAlg, newAlg] = algs;
  describeCluster(`a rotation from ${oldAlg} to ${newAlg}`, () => {
    let cluster: ControlPlane;
    let discovery: Podpass;
    let issuer: Issuer;
    let verifiers: Verifier[];
    let oldToken: string;
    let newToken: string;
    /** They run from before the rotation to its end, and were told of both algorithms. */
    const residents = new Map<string, Resident>();
    /** Not told: it has the algorithms that the document had at its start. */
    let untold: Resident | undefined;
    /** Has no list of algorithms, and stays as well. */
    let minio: Resident | undefined;
    const old = serviceAccountKeyPair(from);
    const next = serviceAccountKeyPair(to);
    const folder = mkdtempSync(join(tmpdir(), 'podpass-rotation-'));
    const state = join(folder, 'keys.json');
    let newKid: string;

    beforeAll(async () => {
      verifiers = (await Verifiers.open()).present;
      expect(verifiers.length).toBeGreaterThan(2);
      const port = await freePort();
      const url = `https://127.0.0.1:${port}`;
      cluster = await startControlPlane({
        binaries: clusterBinaries(),
        issuer: url,
        keys: { signing: old.privatePem, files: [old.publicPem] },
      });
      writeFileSync(join(folder, 'ahead.pem'), old.publicPem);
      discovery = await startDiscovery(
        cluster,
        [
          ...['--port', String(port), '--issuer', url, '--state', state],
          ...['--key-source', 'cluster,files', '--keys', join(folder, 'ahead.pem')],
          ...['--poll-interval', '1s', '--cache-max-age', '1s', '--hold-down', '1s'],
        ],
        // Not with a token of the cluster: it would be refused when its key goes, and no kubelet renews it here.
        { kubeconfig: cluster.kubeconfigPath },
      );
      issuer = { url, caFile: discovery.files.caFile };
      await cluster.createNamespace('shop');
      await cluster.createServiceAccount('shop', 'web');
      oldToken = await mint();
    }, 300_000);
    afterAll(async () => {
      await Promise.all([...residents.values(), untold, minio].map((each) => each?.stop()));
      await discovery?.stop();
      await cluster?.stop();
      rmSync(folder, { recursive: true, force: true });
    });

    const mint = () => cluster.requestToken('shop', 'web', { audiences: [AUDIENCE], expirationSeconds: 3600 });

    /** What the API server would say if it signed with the new key already. */
    function early(kid = newKid): Promise<string> {
      return new SignJWT(decodeJwt(oldToken))
        .setProtectedHeader({ alg: newAlg, kid })
        .sign(createPrivateKey(next.privatePem));
    }

    /** Right in all but the key, which nobody publishes. */
    function foreign(): Promise<string> {
      const { privatePem } = serviceAccountKeyPair(from);
      return new SignJWT(decodeJwt(oldToken))
        .setProtectedHeader({ alg: oldAlg, kid: decodeProtectedHeader(oldToken).kid ?? '' })
        .sign(createPrivateKey(privatePem));
    }

    async function keys(): Promise<KeyReport[]> {
      const { stdout, stderr } = await podpass([
        ...['keys', '--state', state, '--kubeconfig', cluster.kubeconfigPath, '-o', 'json'],
        ...['--poll-interval', '1s', '--cache-max-age', '1s', '--hold-down', '1s', '--verifier-cache', VERIFIER_CACHE],
      ]);
      expect(stderr).toBe('');
      return (JSON.parse(stdout) as { issuers: [{ keys: KeyReport[] }] }).issuers[0].keys;
    }

    /** The kids of what is served now. */
    async function served(): Promise<string[]> {
      const text = await new Promise<string>((fulfil, reject) => {
        const options = { ca: testCa().pem, agent: false as const, timeout: 10_000 };
        get(`${issuer.url}/openid/v1/jwks`, options, (incoming) => textOf(incoming).then(fulfil, reject)).on(
          'error',
          reject,
        );
      });
      return (JSON.parse(text) as { keys: { kid: string }[] }).keys.map(({ kid }) => kid);
    }

    const brief = (verdicts: Verdict[]) => verdicts.map(({ ok }) => ok);

    async function ofResidents(tokens: string[]): Promise<Record<string, boolean[]>> {
      const found: Record<string, boolean[]> = {};
      for (const [name, each] of residents) found[name] = brief(await each.judge(tokens));
      return found;
    }

    async function ofNewcomers(tokens: string[]): Promise<Record<string, boolean[]>> {
      const found: Record<string, boolean[]> = {};
      for (const each of verifiers) found[each.name] = brief(await each.judge(issuer, AUDIENCE, tokens, ALGORITHMS));
      return found;
    }

    // Two processors and five programs that start: on a busy machine that takes its time.
    const patienceMs = 180_000;
    const all = (answer: boolean[]) => Object.fromEntries(verifiers.map(({ name }) => [name, answer]));

    it(
      'begins where everybody accepts the tokens of the one key',
      async () => {
        expect(decodeProtectedHeader(oldToken).alg).toBe(oldAlg);
        const untoldStart = await goOidc.stay(issuer, AUDIENCE, [oldToken]);
        untold = untoldStart.resident;
        expect(brief(untoldStart.verdicts)).toEqual([true]);
        const found: Record<string, boolean[]> = {};
        for (const each of verifiers) {
          const { resident, verdicts } = await each.stay(issuer, AUDIENCE, [oldToken], ALGORITHMS);
          residents.set(each.name, resident);
          found[each.name] = brief(verdicts);
        }
        expect(found).toEqual(all([true]));
        minio = await minioSts(issuer.url, AUDIENCE, testCa());
        expect(await minio.judge([oldToken, await foreign()])).toEqual([
          { ok: true, subject: 'system:serviceaccount:shop:web', claims: {} },
          { ok: false, error: expect.any(String) },
        ]);
      },
      patienceMs,
    );

    it('publishes the new key beside the old one, which is too early to sign for those that have just asked', async () => {
      // Asked a moment ago, whatever the machine has done meanwhile.
      const { resident } = await justAsked();
      try {
        writeFileSync(join(folder, 'ahead.pem'), next.publicPem + old.publicPem);
        await until('the new key', async () => (await served()).length === 2);
        const { kid: oldKid } = decodeProtectedHeader(oldToken);
        newKid = (await served()).find((kid) => kid !== oldKid) ?? '';
        expect((await keys()).find(({ kid }) => kid === newKid)?.sign.safe).toBe(false);
        expect(brief(await resident.judge([oldToken, await early()]))).toEqual([true, false]);
      } finally {
        await resident.stop();
      }
    });

    /** jose waits 30 s after it has asked for keys before it asks for one that it does not know. */
    async function justAsked(): Promise<{ resident: Resident }> {
      const jose = verifiers.find(({ name }) => name === 'jose');
      if (jose === undefined) throw new Error('jose is missing');
      return jose.stay(issuer, AUDIENCE, [oldToken], ALGORITHMS);
    }

    it(
      'has a set of both kinds, of which newcomers accept either',
      async () => {
        await cluster.restartApiServer({ addKeyFiles: [next.publicPem] });
        expect(decodeProtectedHeader(await mint()).alg).toBe(oldAlg);
        expect(await ofNewcomers([oldToken, await mint(), await early()])).toEqual(all([true, true, true]));
      },
      patienceMs,
    );

    it(
      'may sign when podpass keys says so: from then on everybody accepts both',
      async () => {
        const safe = async () => (await keys()).find(({ kid }) => kid === newKid)?.sign.safe === true;
        await until('podpass keys to call it safe', safe, 60_000);
        // Before anything else: this is the moment.
        expect(await ofResidents([await early(), oldToken])).toEqual(all([true, true]));
        await cluster.restartApiServer({ signingKey: next.privatePem });
        newToken = await mint();
        expect(decodeProtectedHeader(newToken)).toMatchObject({ alg: newAlg, kid: newKid });
        expect(await ofResidents([newToken, oldToken])).toEqual(all([true, true]));
        expect(brief((await minio?.judge([newToken, oldToken])) ?? [])).toEqual([true, true]);
        expect(await ofNewcomers([newToken, oldToken])).toEqual(all([true, true]));
      },
      patienceMs,
    );

    it('leaves a go-oidc behind that took the algorithms from the document before', async () => {
      const [verdict] = (await untold?.judge([newToken])) ?? [];
      expect(verdict).toEqual({ ok: false, error: expect.stringMatching(/unexpected signature algorithm|malformed/) });
      expect(brief(await goOidc.judge(issuer, AUDIENCE, [newToken, oldToken]))).toEqual([true, true]);
    });

    it(
      'ends with the old key, at once for newcomers and with the next unknown key ID for the others',
      async () => {
        writeFileSync(join(folder, 'ahead.pem'), next.publicPem);
        await cluster.restartApiServer({ keyFiles: [next.publicPem] });
        await until('the end of the old key', async () => (await served()).length === 1, 30_000);
        expect(await served()).toEqual([newKid]);
        expect(await ofNewcomers([newToken, oldToken])).toEqual(all([true, false]));
        // go-oidc and cap have no other reason to ask again.
        for (const name of ['go-oidc', 'cap']) {
          const resident = residents.get(name);
          const judge = async (...tokens: string[]) => brief((await resident?.judge(tokens)) ?? []);
          expect(await judge(oldToken, newToken), name).toEqual([true, true]);
          expect(await judge(await early('unknown')), name).toEqual([false]);
          // go-oidc hands over what it got, and keeps it a moment later (oidc/jwks.go, keysFromRemote).
          await until(`${name} to keep the new set`, async () => !(await judge(oldToken))[0]);
          expect(await judge(oldToken, newToken), name).toEqual([false, true]);
        }
        // MinIO asks again for a token that it does not accept, and adds what it gets: only a restart takes a key away.
        const tokens = [newToken, oldToken, await early('unknown'), oldToken];
        expect(brief((await minio?.judge(tokens)) ?? [])).toEqual([true, true, false, true]);
      },
      patienceMs,
    );
  });
}
