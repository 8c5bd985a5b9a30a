/** A real Keycloak with what `podpass render keycloak` prints: whose tokens it takes as client assertions, and for whom. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decodeJwt, type JWTPayload } from 'jose';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Facts } from '../../src/cli/render/facts.ts';
import { make } from '../../src/cli/render/make.ts';
import { outputOf } from '../render-facts.ts';
import { pinnedVersion, verifiedWith } from '../verified-with.ts';
import { ACCOUNT, Callers, OTHER_ACCOUNT, SUBJECT } from './callers.ts';
import { installKeycloak, Keycloak } from './keycloak.ts';
import { type Ran, testCa } from './podpass.ts';
import { describeCluster } from './suite.ts';
import { reportMissing } from './verifiers.ts';

/** A JVM in its first minutes, on a machine that may have more to do. */
const PATIENCE_MS = 180_000;
const SET_UP_MS = 900_000;

/** The second one has a name that is written in another way in its issuer. */
const REALMS = { json: 'main', shell: 'team a' } as const;
const formats = ['json', 'shell'] as const;
type Format = (typeof formats)[number];

/** The times of a token that is so many seconds old, and ends so many seconds from now. */
function aged(age: number, left: number): JWTPayload {
  const now = Math.floor(Date.now() / 1000);
  return { iat: now - age, nbf: now - age, exp: now + left };
}

/** The words of the output, wherever it has them. */
function said(format: Format, facts: Facts): string {
  const { text, checks } = make('keycloak', format, facts);
  return [...checks, text].join('\n');
}

const installed = await installKeycloak();
if ('reason' in installed) reportMissing('Keycloak', installed);

describeCluster('Keycloak with what render prints', () => {
  const itRuns = it.skipIf('reason' in installed);
  let folder: string;
  let callers: Callers;
  /** Another cluster, with the same names and keys of another kind. */
  let elsewhere: Callers;
  let keycloak: Keycloak;
  const issuers = { json: '', shell: '' };

  const facts = (format: Format, over: Partial<Facts> = {}, of = callers) =>
    of.facts(issuers[format], { ca: testCa().pem, ...over });

  /** As the output says. */
  async function importJson(given: Facts): Promise<Ran> {
    const file = join(folder, 'import.json');
    await writeFile(file, outputOf('keycloak', 'json', given));
    const [command = ''] = /kcadm\.sh create partialImport .*? -f FILE/.exec(said('json', given)) ?? [];
    expect(command).not.toBe('');
    return keycloak.shell(command.replace('FILE', '"$FILE"'), { FILE: file });
  }
  const runShell = (given: Facts) => keycloak.shell(outputOf('keycloak', 'shell', given));

  /** Asks for a token as the output says. */
  function ask(format: Format, token: string) {
    const found = said(format, facts(format)).matchAll(/\b(grant_type|client_assertion\w*)=([\w:-]+)/g);
    const form = Object.fromEntries([...found].map(([, key = '', value = '']) => [key, value]));
    expect(Object.keys(form)).toEqual(['grant_type', 'client_assertion_type', 'client_assertion']);
    return keycloak.token(issuers[format], { ...form, client_assertion: token });
  }

  /** What is in the token that Keycloak gives for this one. */
  async function granted(format: Format, token: string): Promise<JWTPayload> {
    const { status, body } = await ask(format, token);
    expect({ status, error: body.error, why: body.error_description }).toEqual({ status: 200 });
    return decodeJwt(body.access_token ?? '');
  }
  async function refusal(format: Format, token: string): Promise<string> {
    const { status, body } = await ask(format, token);
    return `${status} ${body.error ?? ''}: ${body.error_description ?? ''}`;
  }

  beforeAll(async () => {
    if ('reason' in installed) return;
    folder = await mkdtemp(join(tmpdir(), 'podpass-render-keycloak-'));
    callers = await Callers.start();
    elsewhere = await Callers.start('ec');
    keycloak = await Keycloak.start(installed.home, callers.issuer.caFile);
    for (const format of formats) issuers[format] = await keycloak.createRealm(REALMS[format]);
    for (const given of [facts('json'), facts('json', { options: { name: 'green' } }, elsewhere)])
      expect(await importJson(given)).toMatchObject({ code: 0, stderr: '' });
    expect(await runShell(facts('shell'))).toMatchObject({ code: 0, stdout: '' });
  }, SET_UP_MS);
  afterAll(async () => {
    await keycloak?.stop();
    await elsewhere?.stop();
    await callers?.stop();
    if (folder !== undefined) await rm(folder, { recursive: true });
  }, PATIENCE_MS);

  itRuns(
    "is the version of the README's table",
    async () => {
      const row = verifiedWith.find(({ name }) => name === 'Keycloak');
      expect(await keycloak.version()).toBe(row && pinnedVersion(row));
    },
    PATIENCE_MS,
  );

  itRuns.each(formats)(
    'gives the caller a token of its own client, after -o %s',
    async (format) => {
      const claims = await granted(format, await callers.token(ACCOUNT, issuers[format]));
      expect(claims).toMatchObject({
        iss: issuers[format],
        azp: SUBJECT,
        preferred_username: `service-account-${SUBJECT}`,
      });
      // As the output says about roles, and about the claim that is missing.
      const roles = (claims.realm_access as { roles: string[] } | undefined)?.roles.sort();
      const { client_id } = claims;
      expect({ roles, client_id }).toEqual(
        format === 'json'
          ? {}
          : { roles: [`default-roles-${REALMS.shell}`, 'offline_access', 'uma_authorization'], client_id: SUBJECT },
      );
    },
    PATIENCE_MS,
  );

  const wrong: readonly [what: string, token: (realm: string) => Promise<string>, answer: RegExp][] = [
    ['of another ServiceAccount', (realm) => callers.token(OTHER_ACCOUNT, realm), /^401 invalid_client:/],
    [
      'of an account whose name only begins with it',
      (realm) => callers.forged(realm, { claims: { sub: `${SUBJECT}2` } }),
      /^401 invalid_client:/,
    ],
    ['of another audience', () => callers.token(ACCOUNT, 'vault'), /^400 invalid_client: Invalid token audience/],
    [
      'of two audiences',
      (realm) => callers.forged(realm, { claims: { aud: [realm, 'vault'] } }),
      /^400 invalid_client: Multiple audiences/,
    ],
    ['that has ended', (realm) => callers.expired(realm), /^400 invalid_client: Token is not active/],
    [
      'that has ended a minute ago',
      (realm) => callers.forged(realm, { claims: aged(660, -60) }),
      /^400 invalid_client: Token is not active/,
    ],
    [
      'of another issuer with the same key',
      (realm) => callers.forged(realm, { claims: { iss: 'https://elsewhere' } }),
      /^401 invalid_client:/,
    ],
    ['of a key that is not published', (realm) => callers.forged(realm, { foreignKey: true }), /^401 invalid_client:/],
    [
      'that somebody has changed',
      async (realm) => changed(await callers.token(OTHER_ACCOUNT, realm), { sub: SUBJECT }),
      /^401 invalid_client:/,
    ],
    ['without a signature', async (realm) => unsigned(await callers.token(ACCOUNT, realm)), /^40[01] invalid_client:/],
  ];

  itRuns.each(
    formats.flatMap((format) => wrong.map(([what, token, answer]) => [what, format, token, answer] as const)),
  )(
    'refuses a token %s, after -o %s',
    async (_, format, token, answer) => {
      expect(await refusal(format, await token(issuers[format]))).toMatch(answer);
      // It is not that nothing works any more, nor the forging that is refused.
      await granted(format, await callers.forged(issuers[format], {}));
    },
    PATIENCE_MS,
  );

  itRuns(
    'refuses what render refuses to print',
    async () => {
      const tokens = (over: Partial<Facts['tokens'][number]>) =>
        facts('json').tokens.map((token) => ({ ...token, ...over }));
      const keysOf = (over: Partial<Facts>) =>
        make('keycloak', 'json', facts('json', over)).problems.map(({ key }) => key);
      const endpoint = `${issuers.json}/protocol/openid-connect/token`;

      // Two hours would do until the kubelet lets them grow old: it renews at 80 % of a lifetime.
      expect(keysOf({ tokens: tokens({ lifetime: 7200 }) })).toEqual(['--token-expiration']);
      const ofTwoHours = (age: number) => callers.forged(issuers.json, { claims: aged(age, 7200 - age) });
      expect(await refusal('json', await ofTwoHours(3660))).toMatch(
        /^400 invalid_client: .*issued too far in the past/,
      );
      await granted('json', await ofTwoHours(3300));
      expect(keysOf({ tokens: tokens({ lifetime: 3600 }) })).toEqual([]);

      for (const audience of [endpoint, `${issuers.json}/`, 'https://api.example.com']) {
        expect(keysOf({ tokens: tokens({ audience }) })).toEqual(['--audience']);
        expect(await refusal('json', await callers.token(ACCOUNT, audience))).toBe(
          '400 invalid_client: Invalid token audience',
        );
      }
    },
    PATIENCE_MS,
  );

  itRuns(
    'knows the callers of two clusters apart, whose names are the same',
    async () => {
      const theirs = await granted('json', await elsewhere.token(ACCOUNT, issuers.json));
      const ours = await granted('json', await callers.token(ACCOUNT, issuers.json));
      expect([theirs.azp, ours.azp]).toEqual([`green:${SUBJECT}`, SUBJECT]);
      const refused = /^401 invalid_client:/;
      expect(await refusal('json', await elsewhere.token(OTHER_ACCOUNT, issuers.json))).toMatch(refused);
      // This realm trusts one of them alone.
      expect(await refusal('shell', await elsewhere.token(ACCOUNT, issuers.shell))).toMatch(refused);
    },
    PATIENCE_MS,
  );

  itRuns.each([
    ['json', (given: Facts) => importJson(given), /already exists/],
    ['shell', (given: Facts) => runShell(given), /already used/],
  ] as const)(
    'takes -o %s once, and nothing of it a second time',
    async (format, apply, answer) => {
      const [web] = facts(format).callers;
      const more = facts(format, { callers: [web, { ...web, name: OTHER_ACCOUNT }] as Facts['callers'] });
      const { code, stderr } = await apply(more);
      expect([code, stderr]).toEqual([1, expect.stringMatching(answer)]);
      expect(await refusal(format, await callers.token(OTHER_ACCOUNT, issuers[format]))).toMatch(
        /^401 invalid_client:/,
      );
      await granted(format, await callers.token(ACCOUNT, issuers[format]));
    },
    PATIENCE_MS,
  );
});

const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');

/** With other claims under the old signature. */
function changed(token: string, claims: JWTPayload): string {
  const [header, , signature] = token.split('.');
  return [header, encode({ ...decodeJwt(token), ...claims }), signature].join('.');
}

function unsigned(token: string): string {
  return `${encode({ alg: 'none', typ: 'JWT' })}.${token.split('.')[1]}.`;
}
