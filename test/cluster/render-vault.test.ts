/** What `podpass render vault` writes into Vault, given to Vault's own plugin as the vault command gets it. */
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Facts } from '../../src/cli/render/facts.ts';
import { outputOf } from '../render-facts.ts';
import { ACCOUNT, Callers, OTHER_ACCOUNT, SUBJECT } from './callers.ts';
import { runProgram, testCa } from './podpass.ts';
import { clusterBinaries, describeCluster } from './suite.ts';

const AUDIENCE = 'vault';
const MOUNT = 'auth/podpass/';

interface Write {
  readonly path: string;
  readonly data: object;
}

interface Answer {
  readonly error?: string;
  readonly warnings?: readonly string[];
  readonly auth?: { readonly policies: readonly string[] | null };
}

/** What a Vault with this plugin alone answers to each write. */
async function ask(writes: readonly Write[]): Promise<readonly Answer[]> {
  const input = writes.map((each) => `${JSON.stringify(each)}\n`).join('');
  const ran = await runProgram(clusterBinaries().vault, [], { input });
  expect([ran.code, ran.stderr]).toEqual([0, '']);
  const answers = ran.stdout.trimEnd().split('\n');
  expect(answers.length).toBe(writes.length);
  return answers.map((line) => JSON.parse(line) as Answer);
}

const login = (jwt: string, role = 'podpass'): Write => ({ path: 'login', data: { role, jwt } });
const said = (text: string | RegExp) => ({ error: expect.stringMatching(text) });

for (const [keys, algorithm] of [
  ['rsa', 'RS256'],
  ['ec', 'ES256'],
] as const) {
  describeCluster(`Vault's plugin with what render prints, for keys of ${algorithm}`, () => {
    let folder: string;
    let callers: Callers;

    /** What the commands write, in their order: a script in the place of vault hands it on. */
    async function written(over: Partial<Facts> = {}): Promise<readonly Write[]> {
      const script = join(folder, 'vault');
      await writeFile(script, '#!/bin/sh\n[ "$1" = write ] || exit 0\n{ echo "$2"; tr -d "\\n"; echo; }\n');
      await chmod(script, 0o755);
      const facts = callers.facts(AUDIENCE, {
        ca: testCa().pem,
        keys: { jwks: '', pem: [callers.publicKey], algorithms: [algorithm] },
        ...over,
      });
      const env = { PATH: `${folder}:${process.env.PATH}` };
      const ran = await runProgram('/bin/sh', ['-c', outputOf('vault', 'shell', facts)], { env });
      expect([ran.code, ran.stderr]).toEqual([0, '']);
      const lines = ran.stdout.trimEnd().split('\n');
      return lines.flatMap((line, at) => {
        if (at % 2 !== 0) return [];
        expect(line.startsWith(MOUNT)).toBe(true);
        return [{ path: line.slice(MOUNT.length), data: JSON.parse(lines[at + 1] ?? '') as object }];
      });
    }

    /** The answers to logins, where Vault has what is rendered, and has taken it without a word. */
    async function logins(wishes: readonly Write[], over: Partial<Facts> = {}): Promise<readonly Answer[]> {
      const writes = await written(over);
      expect(writes.map(({ path }) => path)).toEqual(['config', 'role/podpass']);
      const answers = await ask([...writes, ...wishes]);
      expect(answers.slice(0, 2)).toEqual([{}, {}]);
      return answers.slice(2);
    }

    beforeAll(async () => {
      folder = await mkdtemp(join(tmpdir(), 'podpass-render-vault-'));
      callers = await Callers.start(keys);
    });
    afterAll(async () => {
      await callers?.stop();
      if (folder !== undefined) await rm(folder, { recursive: true });
    });

    it.each([
      ['the issuer by its address', false],
      ['the keys themselves', true],
    ])('takes the token of the caller, and none that is wrong: with %s', async (_, inlineKeys) => {
      const good = await callers.token(ACCOUNT, AUDIENCE);
      const wishes = [
        login(good),
        login(await callers.token(OTHER_ACCOUNT, AUDIENCE)),
        login(await callers.token(ACCOUNT, 'other')),
        login(await callers.expired(AUDIENCE)),
        login(await callers.forged(AUDIENCE, { claims: { iss: 'https://elsewhere' } })),
        login(await callers.forged(AUDIENCE, { claims: { sub: `${SUBJECT}-2` } })),
        login(await callers.forged(AUDIENCE, { foreignKey: true })),
        login(good, 'other'),
        login(''),
      ];
      expect(await logins(wishes, { inlineKeys })).toEqual([
        {
          auth: {
            ...{ display_name: SUBJECT, alias: SUBJECT, policies: [], metadata: { role: 'podpass' } },
            ...{ ttl: 1200, max_ttl: 1200 },
          },
        },
        said(/"sub" does not match/),
        said(/audience/),
        said(/expired|exp/),
        said(/issuer/),
        said(/"sub" does not match/),
        said(/signature/),
        said(/role "other" could not be found/),
        said(/missing token/),
      ]);
    });

    it('takes each of several callers and audiences', async () => {
      const over = {
        tokens: ['one', 'two'].map((audience) => ({ audience, file: '/token', lifetime: 3600 })),
        callers: [ACCOUNT, OTHER_ACCOUNT].map((name) => ({ namespace: 'shop', name })),
      };
      const wishes = [
        login(await callers.token(ACCOUNT, 'one')),
        login(await callers.token(OTHER_ACCOUNT, 'two')),
        login(await callers.token(ACCOUNT, AUDIENCE)),
      ];
      const answers = await logins(wishes, over);
      expect(answers.map(({ auth, error }) => auth !== undefined && error === undefined)).toEqual([true, true, false]);
    });

    it('takes every algorithm where none is named, and only those that are', async () => {
      const wishes = [login(await callers.token(ACCOUNT, AUDIENCE))];
      expect(await logins(wishes, { keys: undefined })).toEqual([{ auth: expect.anything() }]);
      const keys = { jwks: '', pem: [], algorithms: ['RS256', 'ES256'].filter((each) => each !== algorithm) };
      expect(await logins(wishes, { keys })).toEqual([said(/unexpected algorithm/)]);
    });
  });
}
