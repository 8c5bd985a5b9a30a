/** A rotation as it is rolled out: two API servers of one cluster, which differ for a while. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { get } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { alternate } from './alternation.ts';
import { type ControlPlane, serviceAccountKeyPair, startControlPlane } from './control-plane.ts';
import type { Forwarder } from './forwarder.ts';
import { type Podpass, podpass, startDiscovery, testCa, until } from './podpass.ts';
import { freePort } from './servers.ts';
import { clusterBinaries, describeCluster } from './suite.ts';
import { goOidc } from './verifiers.ts';

const AUDIENCE = 'https://api.example.com';
const HOLD_DOWN_S = 8;

interface KeyAdvice {
  kid: string;
  state: string;
  lastSeen: string;
  until?: string;
  sign: { safe: boolean | null; at?: string; why: string };
  remove: { safe: boolean | null; at?: string; why: string };
}

/** API servers are started anew again and again, and each start may take long on a busy machine. */
const PATIENCE_MS = 180_000;

describeCluster('a rotation that is rolled out over two API servers', () => {
  const [old, next] = [serviceAccountKeyPair('rsa'), serviceAccountKeyPair('ec')];
  const folder = mkdtempSync(join(tmpdir(), 'podpass-rotation-'));
  const state = join(folder, 'state.json');
  const caFile = join(folder, 'ca.pem');
  // As a Group gives the right to read the issuer's documents, whoever signed the tokens of ServiceAccounts.
  const reader = { name: 'discovery', groups: ['system:serviceaccounts'], token: 'a-token-that-no-key-signs' };
  let first: ControlPlane;
  let second: ControlPlane;
  let between: Forwarder;
  let discovery: Podpass;
  let issuer: string;
  let oldKid: string;
  let newKid: string;

  /** What was served, each time something else than before. */
  const served: { readonly at: number; readonly kids: string }[] = [];
  const refused: string[] = [];
  let judged = 0;
  let watching = true;
  let watchers: Promise<unknown> = Promise.resolve();

  function jwks(): Promise<string> {
    return new Promise((fulfil, reject) => {
      const outgoing = get(
        `${issuer}/openid/v1/jwks`,
        { ca: testCa().pem, agent: false, timeout: 10_000 },
        (incoming) => {
          buffer(incoming).then((body) => fulfil(body.toString()), reject);
        },
      );
      outgoing.on('error', reject);
    });
  }
  const kidsOf = (text: string) => (JSON.parse(text) as { keys: { kid: string }[] }).keys.map(({ kid }) => kid).sort();
  const kids = async () => kidsOf(await jwks());
  const signedBy = (token: string) =>
    (JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString()) as { kid: string }).kid;
  const mint = (server: ControlPlane) => server.requestToken('default', 'web', { audiences: [AUDIENCE] });
  const both = () => [oldKid, newKid].sort();

  async function watchDocuments(): Promise<void> {
    while (watching) {
      const now = (await kids()).join(' ');
      if (served.at(-1)?.kids !== now) served.push({ at: Date.now(), kids: now });
      await sleep(50);
    }
  }

  /** Each token, fresh from whichever API server is up, is judged by somebody who has asked for the keys just now. */
  async function watchTokens(): Promise<void> {
    while (watching) {
      const minted = await Promise.allSettled([first, second].map(mint));
      const tokens = minted.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
      if (tokens.length > 0) {
        const verdicts = await goOidc.judge({ url: issuer, caFile }, AUDIENCE, tokens);
        judged += verdicts.length;
        refused.push(...verdicts.flatMap((verdict) => (verdict.ok ? [] : [verdict.error])));
      }
      await sleep(200);
    }
  }

  async function advice(...more: string[]): Promise<{ old: KeyAdvice | undefined; new: KeyAdvice | undefined }> {
    const times = [
      '--verifier-cache',
      '0s',
      '--cache-max-age',
      '0s',
      '--poll-interval',
      '1s',
      '--token-lifetime',
      '600s',
    ];
    const { code, stdout, stderr } = await podpass(['keys', '--state', state, '-o', 'json', ...times, ...more]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const { issuers } = JSON.parse(stdout) as { issuers: { issuer: string; keys: KeyAdvice[] }[] };
    const keys = issuers.find((each) => each.issuer === issuer)?.keys ?? [];
    return { old: keys.find(({ kid }) => kid === oldKid), new: keys.find(({ kid }) => kid === newKid) };
  }

  /** Long enough for each of the two to be read several times. */
  const severalPolls = () => sleep(4_000);

  beforeAll(async () => {
    const port = await freePort();
    issuer = `https://127.0.0.1:${port}/rotation`;
    const binaries = clusterBinaries();
    const keys = { signing: old.privatePem, files: [old.publicPem] };
    const users = [reader];
    first = await startControlPlane({ binaries, issuer, keys, users });
    second = await startControlPlane({ binaries, issuer, keys, users, beside: first });
    await first.createServiceAccount('default', 'web');
    between = await alternate([first, second].map(({ url }) => Number(new URL(url).port)));
    const cluster = {
      server: `https://127.0.0.1:${between.port}`,
      'certificate-authority-data': Buffer.from(`${first.caPem}\n${second.caPem}`).toString('base64'),
    };
    const kubeconfig = join(folder, 'kubeconfig');
    const context = { cluster: 'both', user: 'discovery' };
    writeFileSync(
      kubeconfig,
      JSON.stringify({
        clusters: [{ name: 'both', cluster }],
        users: [{ name: 'discovery', user: { token: reader.token } }],
        contexts: [{ name: 'both', context }],
        'current-context': 'both',
      }),
      { mode: 0o600 },
    );
    writeFileSync(caFile, testCa().pem);
    const args = ['--port', String(port), '--poll-interval', '1s', '--hold-down', `${HOLD_DOWN_S}s`, '--state', state];
    discovery = await startDiscovery(first, args, { kubeconfig });
    oldKid = signedBy(await mint(second));
    watchers = Promise.all([watchDocuments(), watchTokens()]);
  });
  afterAll(async () => {
    watching = false;
    await watchers.catch(() => undefined);
    await discovery?.stop();
    between?.stop();
    await second?.stop();
    await first?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  it('1. begins with one key on both', async () => {
    expect(signedBy(await mint(first))).toBe(oldKid);
    expect(await kids()).toEqual([oldKid]);
    expect((await advice()).old).toMatchObject({ state: 'published', remove: { safe: false, why: 'it signs' } });
  });

  it(
    '2. one API server has the new key: both are published, and it is not safe to sign with it',
    async () => {
      await second.restartApiServer({ addKeyFiles: [next.publicPem] });
      await until('the new key', async () => (await kids()).length === 2);
      newKid = (await kids()).find((kid) => kid !== oldKid) ?? '';
      await severalPolls();
      // It was away and back, and nobody saw it.
      const vanished = discovery.logs().filter(({ msg }) => msg === 'key vanished from its source, held');
      expect(vanished.length).toBeGreaterThan(0);
      expect(vanished.map(({ kid }) => kid)).not.toContain(oldKid);
      expect(await kids()).toEqual(both());
      await until('the advice', async () => (await advice()).new?.state === 'held');
      expect((await advice()).old?.remove.safe).not.toBe(true);
    },
    PATIENCE_MS,
  );

  it(
    '3. both have it: it is safe to sign with it',
    async () => {
      await first.restartApiServer({ addKeyFiles: [next.publicPem] });
      await until('the advice', async () => (await advice()).new?.sign.safe === true);
      expect((await advice()).new?.state).toBe('published');
      expect((await advice()).old?.remove).toMatchObject({ safe: null, why: expect.stringContaining('--signing-kid') });
    },
    PATIENCE_MS,
  );

  it(
    '4. one signs with it, then the other: tokens of both keys are accepted',
    async () => {
      await second.restartApiServer({ signingKey: next.privatePem });
      expect([signedBy(await mint(first)), signedBy(await mint(second))]).toEqual([oldKid, newKid]);
      await severalPolls();
      await first.restartApiServer({ signingKey: next.privatePem });
      expect(signedBy(await mint(first))).toBe(newKid);
      const now = new Date().toISOString();
      const { old: left, new: signs } = await advice('--signing-kid', newKid, '--rotated-at', now);
      expect(signs?.remove).toMatchObject({ safe: false, why: 'it signs' });
      expect(left?.remove.safe).toBe(false);
      // The lifetime of a token, and what clocks may differ.
      expect(Date.parse(left?.remove.at ?? '') - Date.parse(now)).toBeCloseTo(900_000, -4);
      const longAgo = new Date(Date.now() - 901_000).toISOString();
      expect((await advice('--signing-kid', newKid, '--rotated-at', longAgo)).old?.remove.safe).toBe(true);
    },
    PATIENCE_MS,
  );

  it(
    '5. the old key is taken from one, then from the other: it stays for the hold-down, and goes',
    async () => {
      await second.restartApiServer({ keyFiles: [next.publicPem] });
      await severalPolls();
      expect(await kids()).toEqual(both());
      await first.restartApiServer({ keyFiles: [next.publicPem] });
      await until('the end of the hold-down', async () => (await kids()).length === 1, (HOLD_DOWN_S + 20) * 1_000);
      expect(await kids()).toEqual([newKid]);
      const { old: left } = await advice('--signing-kid', newKid);
      expect(left).toMatchObject({ state: 'dropped', remove: { safe: true } });
      const [lastSeen, end] = [left?.lastSeen, left?.until].map((time) => Date.parse(time ?? ''));
      // One reading after the last that had it, which may have failed while an API server was restarted.
      expect(((end ?? 0) - (lastSeen ?? 0)) / 1_000).toBeGreaterThanOrEqual(HOLD_DOWN_S);
      expect((served.at(-1)?.at ?? 0) - (end ?? 0)).toBeGreaterThanOrEqual(0);
      const dropped = discovery.logs().filter(({ msg }) => msg === 'key dropped after its hold-down');
      expect(dropped.map(({ kid }) => kid)).toEqual([oldKid]);
    },
    PATIENCE_MS,
  );

  it('in all that time no key was missing for a moment, and no token was refused', async () => {
    watching = false;
    await watchers;
    expect(served.map((each) => each.kids)).toEqual([oldKid, both().join(' '), newKid]);
    expect(refused).toEqual([]);
    expect(judged).toBeGreaterThan(50);
    const forged = await goOidc.judge({ url: issuer, caFile }, 'another', [await mint(first)]);
    expect(forged[0]?.ok).toBe(false);
  });
});
