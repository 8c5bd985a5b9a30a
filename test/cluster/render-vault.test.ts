/**
 * What `podpass render vault` writes into Vault, read back as the vault command gets it, and given to cap, the library that
 * Vault verifies tokens with. Vault's own plugin, which compares bound_claims, is not run.
 */
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { outputOf } from '../render-facts.ts';
import { ACCOUNT, Callers, OTHER_ACCOUNT, SUBJECT } from './callers.ts';
import { runProgram, testCa } from './podpass.ts';
import { describeCluster } from './suite.ts';
import { Verifiers } from './verifiers.ts';

const AUDIENCE = 'vault';

interface Config {
  readonly oidc_discovery_url: string;
  readonly bound_issuer: string;
  readonly oidc_discovery_ca_pem: string;
  readonly jwt_supported_algs: readonly string[];
}
interface Role {
  readonly role_type: string;
  readonly user_claim: string;
  readonly bound_audiences: readonly string[];
  readonly bound_claims: { readonly sub: readonly string[] };
}

for (const [keys, algorithm] of [
  ['rsa', 'RS256'],
  ['ec', 'ES256'],
] as const) {
  describeCluster(`cap with what render prints for Vault, for keys of ${algorithm}`, () => {
    let folder: string;
    let callers: Callers;
    let verifiers: Verifiers;
    let config: Config;
    let role: Role;

    /** What the commands write, by path: a script in the place of vault hands it on. */
    async function written(): Promise<ReadonlyMap<string, unknown>> {
      const script = join(folder, 'vault');
      await writeFile(script, '#!/bin/sh\n[ "$1" = write ] || exit 0\n{ echo "$2"; tr -d "\\n"; echo; }\n');
      await chmod(script, 0o755);
      const facts = callers.facts(AUDIENCE, {
        ca: testCa().pem,
        keys: { jwks: '', pem: [], algorithms: [algorithm] },
      });
      const env = { PATH: `${folder}:${process.env.PATH}` };
      const ran = await runProgram('/bin/sh', ['-c', outputOf('vault', 'shell', facts)], { env });
      expect([ran.code, ran.stderr]).toEqual([0, '']);
      const lines = ran.stdout.trimEnd().split('\n');
      return new Map(lines.flatMap((line, at) => (at % 2 === 0 ? [[line, JSON.parse(lines[at + 1] ?? '')]] : [])));
    }

    beforeAll(async () => {
      folder = await mkdtemp(join(tmpdir(), 'podpass-render-vault-'));
      callers = await Callers.start(keys);
      verifiers = await Verifiers.open();
      const found = await written();
      expect([...found.keys()]).toEqual(['auth/podpass/config', 'auth/podpass/role/podpass']);
      config = found.get('auth/podpass/config') as Config;
      role = found.get('auth/podpass/role/podpass') as Role;
    }, 300_000);
    afterAll(async () => {
      await callers?.stop();
      if (folder !== undefined) await rm(folder, { recursive: true });
    });

    it('takes the token of the caller, and none that is wrong', async (context) => {
      const caFile = join(folder, 'ca.pem');
      await writeFile(caFile, config.oidc_discovery_ca_pem);
      expect(config.bound_issuer).toBe(config.oidc_discovery_url);
      const tokens = [
        await callers.token(ACCOUNT, AUDIENCE),
        await callers.token(ACCOUNT, 'other'),
        await callers.expired(AUDIENCE),
        await callers.forged(AUDIENCE, { claims: { iss: 'https://elsewhere' } }),
        await callers.forged(AUDIENCE, { foreignKey: true }),
      ];
      const issuer = { url: config.oidc_discovery_url, caFile };
      const [audience = ''] = role.bound_audiences;
      const cap = verifiers.get('cap', context);
      expect(await cap.judge(issuer, audience, tokens, config.jwt_supported_algs)).toEqual([
        expect.objectContaining({ ok: true, subject: SUBJECT }),
        { ok: false, error: expect.stringMatching(/audience/) },
        { ok: false, error: expect.stringMatching(/expired|exp/) },
        { ok: false, error: expect.stringMatching(/issuer/) },
        { ok: false, error: expect.stringMatching(/signature/) },
      ]);
    });

    it('names the caller and nobody else, by the claim that it logs in with', async (context) => {
      const cap = verifiers.get('cap', context);
      const tokens = [await callers.token(ACCOUNT, AUDIENCE), await callers.token(OTHER_ACCOUNT, AUDIENCE)];
      const found = await cap.judge(callers.issuer, AUDIENCE, tokens, config.jwt_supported_algs);
      const subjects = found.map((verdict) => (verdict.ok ? String(verdict.claims[role.user_claim]) : verdict.error));
      expect(subjects.map((subject) => role.bound_claims.sub.includes(subject))).toEqual([true, false]);
      expect(role).toMatchObject({ role_type: 'jwt', bound_audiences: [AUDIENCE] });
    });
  });
}
