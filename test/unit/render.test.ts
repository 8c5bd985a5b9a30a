import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import {
  type ConsumerName,
  type ConsumerRow,
  consumerNames,
  consumerRows,
  type FormatRow,
  optionKeys,
  standIns,
} from '../../src/catalog/consumers.ts';
import { flagOf, settingRows } from '../../src/catalog/settings.ts';
import { refusals } from '../../src/cli/render/refusals.ts';
import { consumers } from '../../src/cli/render/registry.ts';
import { everyOutput, ISSUER, outputOf, sampleFacts } from '../render-facts.ts';
import { runCommand } from '../run-command.ts';
import { ec, pem, rsa } from './key-material.ts';

const folder = mkdtempSync(join(tmpdir(), 'podpass-render-'));
afterAll(() => rmSync(folder, { recursive: true }));

function keyFile(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

const rsaFile = keyFile('rsa.pem', pem(rsa()));
const ecFile = keyFile('ec.pem', pem(ec()));
const p384File = keyFile('p384.pem', pem(ec('P-384')));
const render = (...argv: string[]) => runCommand(['render', ...argv]);
const issuer = ['--issuer', ISSUER];
const caller = ['--service-account', 'shop/web'];
const SUBJECT = 'system:serviceaccount:shop:web';
const rows = Object.entries(consumerRows) as [ConsumerName, ConsumerRow][];

describe('the catalog of consumers', () => {
  test('each has a writer for each of its formats, and no other', () => {
    for (const [name, { formats }] of rows) expect(Object.keys(consumers[name])).toEqual(Object.keys(formats));
    expect(Object.keys(consumers).sort()).toEqual([...consumerNames].sort());
  });

  test('each option goes with a consumer, is a setting and is not in a config file', () => {
    const taken = new Set(rows.flatMap(([, { options }]) => options));
    expect([...taken].sort()).toEqual([...optionKeys].sort());
    for (const key of optionKeys) if (key !== 'namespace') expect(settingRows[key]).toHaveProperty('flagOnly', true);
  });

  test('what a format needs is an option of its consumer', () => {
    for (const [, { formats, options }] of rows)
      for (const { needs = [] } of Object.values(formats)) for (const key of needs) expect(options).toContain(key);
  });

  test('each rule names its source, and consumers and formats that there are', () => {
    const known = rows.flatMap(([name, { formats }]) => [
      name,
      ...Object.keys(formats).map((format) => `${name}/${format}`),
    ]);
    for (const { source, of = [] } of refusals) {
      expect(source).not.toBe('');
      for (const each of of) expect(known).toContain(each);
    }
  });
});

describe('every output', () => {
  const outputs = everyOutput(sampleFacts());
  const named = outputs.map((output) => [`${output.consumer} -o ${output.format}`, output] as const);

  test('there is one for each', () => {
    expect(outputs.length).toBeGreaterThan(30);
    expect(outputs.filter(({ problems }) => problems.length > 0)).toEqual([]);
  });

  test.each(named)('%s says what to check, and is the same each time', (_, { consumer, format, row, text, checks }) => {
    expect(outputOf(consumer, format)).toBe(text);
    expect(text.endsWith('\n')).toBe(true);
    const json = row.syntax === 'json';
    expect(checks.length > 0).toBe(json);
    expect(/^#!\/bin\/sh\n# Made by|^# Made by/.test(text)).toBe(!json);
    if (!json) expect(text).toMatch(/^# What to check:\n# - \S/m);
  });

  test.each(named.filter(([, { row }]) => row.syntax === 'json'))('%s is JSON', (_, { text }) => {
    expect(typeof JSON.parse(text)).toBe('object');
  });

  test.each(named.filter(([, { row }]) => row.syntax === 'yaml'))('%s is YAML', (_, { text }) => {
    const documents = parseAllDocuments(text, { version: '1.1' });
    expect(documents.length).toBeGreaterThan(0);
    for (const document of documents) expect(document.errors).toEqual([]);
  });

  test.each(named.filter(([, { row }]) => row.callers !== false))('%s names each caller', (_, { text, row }) => {
    const body = text.replace(/^#.*\n/gm, '');
    for (const each of [SUBJECT, 'system:serviceaccount:shop:worker.v2'])
      expect(row.syntax === 'properties' ? body.replaceAll('\\', '') : body).toContain(each);
  });

  test('no output has a key or an audience that nobody gave', () => {
    for (const { text } of outputs) expect(text).not.toMatch(/PRIVATE KEY|undefined|\[object/);
  });
});

describe('podpass render', () => {
  test('prints what is asked for, and nothing else', async () => {
    const { code, out, err } = await render('aws', ...issuer, ...caller, '--account', '123456789012');
    expect(code).toBe(0);
    const [statement] = (JSON.parse(out) as { Statement: Record<string, unknown>[] }).Statement;
    expect(statement).toEqual({
      Effect: 'Allow',
      Principal: { Federated: 'arn:aws:iam::123456789012:oidc-provider/k8s.example.com/cluster-a' },
      Action: 'sts:AssumeRoleWithWebIdentity',
      Condition: {
        StringEquals: {
          'k8s.example.com/cluster-a:aud': ['sts.amazonaws.com'],
          'k8s.example.com/cluster-a:sub': [SUBJECT],
        },
      },
    });
    for (const line of err.trimEnd().split('\n')) expect(line).toMatch(/^check: /);
  });

  test('without a consumer, or with one that is not known, names those that are', async () => {
    const unknown = await render('consul');
    expect(unknown.code).toBe(2);
    for (const name of consumerNames) expect(unknown.err).toContain(name);
    expect((await render()).code).toBe(2);
    expect((await render('--help')).out).toContain('github-actions');
  });

  test('names the formats where one is not known', async () => {
    const { code, err } = await render('vault', '-o', 'toml');
    expect(code).toBe(2);
    expect(err).toContain('podpass render vault: --format: "toml" is not known; accepted: shell, hcl');
  });

  test('tells everything that is missing at once', async () => {
    const { code, out, err } = await render('nginx');
    expect({ code, out }).toEqual({ code: 2, out: '' });
    for (const flag of ['--issuer', '--service-account'])
      expect(err).toContain(`podpass render nginx: ${flag}: is missing`);
    expect((await render('vault')).err).toContain('podpass render vault: --audience: is missing');
  });

  test.each(consumerNames.filter((name) => name !== 'keycloak'))(
    'issuer, audience and caller are enough for %s; what stands for the rest is told twice',
    async (name) => {
      const three = ['--issuer', 'https://k8s.example.com', '--audience', 'api', '--service-account', 'shop/web'];
      const { code, out, err } = await render(name, ...three);
      expect([code, out === '']).toEqual([0, false]);
      const row: FormatRow | undefined = Object.values(consumerRows[name].formats)[0];
      for (const key of row?.needs ?? []) {
        expect(err).toContain(`${flagOf(key)}: is not given; ${standIns[key]} stands in its place`);
        expect(out + err).toContain(`${flagOf(key)} was not given: ${standIns[key]} stands in its place`);
      }
    },
  );

  test('refuses an option of other consumers, and names them', async () => {
    const { code, err } = await render(
      'vault',
      ...issuer,
      ...caller,
      '--audience',
      'vault',
      '--account',
      '123456789012',
    );
    expect(code).toBe(2);
    expect(err).toContain('--account: is not for vault; accepted: it goes with aws');
  });

  test.each([
    ['shop/*', 'has a wildcard in it'],
    ['*', 'has a wildcard in it'],
    ['web', 'is not a namespace and a name'],
    ['shop/Web', 'has a name in it that no object can have'],
  ])('refuses the caller %s', async (name, wrong) => {
    const { code, err } = await render('vault', ...issuer, '--audience', 'v', '--service-account', name);
    expect(code).toBe(2);
    expect(err).toContain(wrong);
  });

  test('takes a subject for a caller, and each caller once', async () => {
    const { out } = await render('azure', ...issuer, ...caller, '--service-account', SUBJECT);
    expect(JSON.parse(out)).toEqual([
      { name: 'shop_web', issuer: ISSUER, subject: SUBJECT, audiences: ['api://AzureADTokenExchange'] },
    ]);
  });

  test('a flag that is repeatable here is not so elsewhere', async () => {
    const twice = ['--audience', 'a', '--audience', 'b'];
    const { out } = await render('vault', ...issuer, ...caller, ...twice, '-o', 'hcl');
    expect(out).toContain('bound_audiences   = ["a", "b"]');
    expect((await runCommand(['verify', 'x', ...issuer, ...twice])).err).toContain('is a second value');
  });

  test('asks nobody where no cluster is named', async () => {
    const env = { KUBECONFIG: join(folder, 'does-not-exist') };
    const argv = ['render', 'vault', ...issuer, ...caller, '--audience', 'vault'];
    expect((await runCommand(argv, { env })).code).toBe(0);
    const from = await runCommand([...argv, '--from-pod', 'shop/web'], { env });
    expect(from.code).toBe(1);
    expect(from.err).toContain('no cluster configuration found');
  });
});

describe('what is known to fail is refused with its reason', () => {
  const refused = async (argv: readonly string[], ...words: readonly string[]) => {
    const { code, out, err } = await render(...argv);
    expect({ code, out, err }).toEqual({ code: 2, out: '', err: expect.any(String) });
    for (const word of words) expect(err).toContain(word);
  };
  const azure = ['azure', ...issuer, ...caller];
  const provider = 'projects/1/locations/global/workloadIdentityPools/pool/providers/cluster';
  const gcp = ['gcp', ...issuer, ...caller, '--workload-identity-provider', provider];
  const realm = 'https://sso.example.com/realms/main';

  test('keys on curves at Entra', async () => {
    await refused([...azure, '--keys', ecFile], '"ES256"', 'AADSTS5002738', 'accepted: RS256');
    expect((await render(...azure, '--keys', rsaFile)).code).toBe(0);
    const both = await render(...azure, '--keys', rsaFile, '--keys', ecFile);
    expect([both.code, both.err]).toEqual([
      0,
      expect.stringContaining('warning: podpass render azure: keys: "ES256" is for some'),
    ]);
  });

  test('P-384 at Google Cloud', async () => {
    await refused([...gcp, '--keys', p384File], '"ES384"', 'accepted: RS256, ES256');
    expect((await render(...gcp, '--keys', ecFile)).code).toBe(0);
  });

  test('lifetimes over an hour at Keycloak', async () => {
    const keycloak = ['keycloak', ...issuer, ...caller, '--audience', realm];
    await refused([...keycloak, '--token-expiration', '2h'], '"7200s"', 'more than an hour ago', '3600s');
    expect((await render(...keycloak, '--token-expiration', '1h')).code).toBe(0);
  });

  test('another audience than the realm at Keycloak', async () => {
    const keycloak = ['keycloak', ...issuer, ...caller, '--audience'];
    await refused([...keycloak, `${realm}/protocol/openid-connect/token`], 'is not the issuer of a realm');
    await refused([...keycloak, realm, '--audience', 'b'], 'are several', 'one of them');
  });

  test('an http issuer, for everybody but on loopback', async () => {
    for (const { consumer, format, text, problems } of everyOutput(sampleFacts({ issuer: 'http://k8s.example.com' })))
      expect([consumer, format, text, problems[0]?.key]).toEqual([consumer, format, '', '--issuer']);
    const local = ['--issuer', 'http://127.0.0.1:8080', ...caller];
    expect((await render('vault', ...local, '--audience', 'v')).code).toBe(0);
    await refused(['aws', ...local, '--account', '123456789012'], 'which IAM asks for');
  });

  test('an issuer that is too long', async () => {
    const long = (length: number) => ['--issuer', `https://k8s.example.com/${'a'.repeat(length - 24)}`, ...caller];
    const aws = ['--account', '123456789012'];
    await refused(['aws', ...long(256), ...aws], 'has 256 characters', 'at most 255');
    expect((await render('aws', ...long(255), ...aws)).code).toBe(0);
    await refused(['azure', ...long(601)], 'at most 600');
  });

  test('a CA that the cloud does not know, a comma at Kafka, keys where there is no place for them', async () => {
    const outputs = everyOutput(sampleFacts({ ca: 'PEM' }));
    const keys = (name: ConsumerName) =>
      outputs.find(({ consumer }) => consumer === name)?.problems.map(({ key }) => key);
    expect([keys('azure'), keys('gcp'), keys('vault')]).toEqual([['--ca'], ['--ca'], []]);
    await refused(['kafka', ...issuer, '--audience', 'a,b'], 'has a comma in it');
    await refused([...azure, '--inline-keys', '--keys', rsaFile], '--inline-keys: is not for azure');
  });

  test('a verifier that is no Service, where the API has a place for nothing else', async () => {
    const gateway = ['gateway-api', ...issuer, '--gateway', 'public', '--service-url', 'http://web.shop.svc:80'];
    await refused([...gateway, '--auth-url', 'https://sso.example.com'], '--auth-url', 'names no Service');
    expect((await render(...gateway, '--auth-url', 'http://oauth2-proxy.auth.svc.cluster.local:4180')).code).toBe(0);
  });

  test.each([
    ['nginx', '--service-url', 'http://web'],
    ['traefik'],
    ['istio', '-o', 'ext-authz-mesh'],
    ['envoy', '-o', 'ext-authz', '--service-url', 'http://web'],
  ])('an address of %s to ask at, in which the callers would be lost', async (consumer, ...more) => {
    const ask = [consumer, ...issuer, ...(more.includes('-o') ? [] : caller), ...more, '--auth-url'];
    for (const url of ['http://proxy/?a=b', 'http://proxy?', 'http://proxy/#a', 'http://proxy#'])
      await refused([...ask, url], `--auth-url: "${url}" has a query or a fragment`);
    await refused([...ask, 'http://me:secret@proxy'], '--auth-url: has a user in it');
    expect((await render(...ask, 'http://me:secret@proxy')).err).not.toContain('secret');
    expect((await render(...ask, 'http://proxy:4180/under')).code).toBe(0);
  });

  test('issuers of which one could name the callers of the other at Istio', async () => {
    const istio = ['istio', '-o', 'jwt', '--issuer', 'https://id.example.com/k8s', ...caller, '--audience', 'a'];
    await refused([...istio, '--other-caller', 'https://id.example.com#me'], '--other-caller', 'is the beginning');
    await refused([...istio, '--other-caller', 'https://id.example.com/k8s/b#me'], '--issuer', 'is the beginning');
    for (const other of ['https://id.example.com/k8#me', 'https://id.example.com/k8s#me'])
      expect((await render(...istio, '--other-caller', other)).code).toBe(0);
  });

  test('a foreign issuer whose keys Envoy could not find', async () => {
    const envoy = ['envoy', ...issuer, ...caller, '--audience', 'a', '--service-url', 'http://web', '--other-caller'];
    await refused([...envoy, 'https://id.example.com#me'], 'Envoy reads no document');
    expect((await render(...envoy, 'https://gitlab.com#project_path:a/b:ref_type:branch:ref:main')).code).toBe(0);
    await refused([...envoy, 'https://gitlab.com#project_path:*'], 'has a wildcard in it');
  });
});

test('oauth2-proxy sets what the service may take for the caller, by --alpha-config as by itself', () => {
  const { injectRequestHeaders } = parse(outputOf('oauth2-proxy', 'alpha'));
  expect(injectRequestHeaders).toEqual(
    [
      ['X-Forwarded-User', 'user'],
      ['X-Forwarded-Email', 'email'],
      ['X-Forwarded-Groups', 'groups'],
      ['X-Forwarded-Preferred-Username', 'preferred_username'],
    ].map(([name, claim]) => ({ name, values: [{ claimSource: { claim } }] })),
  );
});

describe('the 200 and the 202', () => {
  test('oauth2-proxy without a service answers 200 to everything that is asked', () => {
    const facts = sampleFacts();
    const { serviceUrl: _, ...options } = facts.options;
    const asked = { ...facts, options };
    expect(outputOf('oauth2-proxy', 'flags', asked)).toContain("'--upstream=static://200'");
    expect(outputOf('oauth2-proxy', 'flags', asked)).toContain("'--set-xauthrequest=true'");
    expect(parse(outputOf('oauth2-proxy', 'alpha', asked)).upstreamConfig.upstreams).toEqual([
      { id: 'service', path: '/', static: true, staticCode: 200 },
    ]);
    expect(outputOf('oauth2-proxy', 'flags', facts)).not.toContain('static://');
  });

  test.each([
    ['istio', 'ext-authz-mesh'],
    ['envoy', 'ext-authz'],
    ['envoy-gateway', 'ext-authz'],
    ['gateway-api', 'external-auth'],
  ] as const)('%s -o %s asks under a path of its own, and not for the 202', (consumer, format) => {
    const body = outputOf(consumer, format).replace(/^#.*\n/gm, '');
    expect(body).toContain('/podpass-check');
    expect(body).not.toContain('/oauth2/auth');
  });

  test.each([
    ['nginx', 'auth-request'],
    ['nginx', 'ingress'],
    ['traefik', 'kubernetes'],
    ['traefik', 'file'],
  ] as const)('%s -o %s takes the 202, and names the callers', (consumer, format) => {
    expect(outputOf(consumer, format)).toContain(
      `http://oauth2-proxy.auth.svc:4180/oauth2/auth?allowed_emails=${SUBJECT},system:serviceaccount:shop:worker.v2`,
    );
  });
});

describe('Keycloak', () => {
  const realm = 'https://sso.example.com/realms/team%20a';
  const facts = (name?: string) =>
    sampleFacts({
      tokens: [{ audience: realm, file: '/token', lifetime: 3600 }],
      options: name === undefined ? {} : { name },
    });

  test('names the realm as its issuer writes it, which is how kcadm.sh wants it', () => {
    expect(outputOf('keycloak', 'shell', facts()).match(/^kcadm\.sh create \S+ -r '([^']*)'/gm)).toEqual([
      "kcadm.sh create identity-provider/instances -r 'team%20a'",
      "kcadm.sh create clients -r 'team%20a'",
      "kcadm.sh create clients -r 'team%20a'",
    ]);
    const broken = { ...facts(), tokens: [{ audience: `${realm}%`, file: '/token', lifetime: 3600 }] };
    expect(() => outputOf('keycloak', 'shell', broken)).toThrow(/is not the issuer of a realm/);
  });

  test.each([
    [undefined, 'podpass', SUBJECT],
    ['green', 'green', `green:${SUBJECT}`],
  ])('with the name %s has a provider, clients and their service accounts of that name', (name, alias, clientId) => {
    const { identityProviders, clients, users } = JSON.parse(outputOf('keycloak', 'json', facts(name)));
    expect(identityProviders).toEqual([expect.objectContaining({ alias, config: { issuer: ISSUER } })]);
    expect(clients[0]).toMatchObject({
      clientId,
      attributes: { 'jwt.credential.issuer': alias, 'jwt.credential.sub': SUBJECT },
    });
    expect(users[0]).toEqual({
      username: `service-account-${clientId}`,
      enabled: true,
      serviceAccountClientId: clientId,
    });
    expect([clients.length, users.length]).toEqual([2, 2]);
  });

  test("tells of the CA of one's own", () => {
    const { ca: _, ...without } = facts();
    expect(outputOf('keycloak', 'shell', without)).not.toContain('truststore');
    expect(outputOf('keycloak', 'shell', { ...without, ca: 'PEM' })).toContain('# - Keycloak trusts the CA');
  });
});

describe('Istio', () => {
  test('has both objects, or none, and each other issuer in both', () => {
    const otherCaller = [
      { issuer: 'https://token.actions.githubusercontent.com', subject: 'repo:acme/app:ref:refs/heads/main' },
    ];
    const text = outputOf('istio', 'jwt', sampleFacts({ options: { otherCaller, selector: { app: 'web' } } }));
    const [authentication, authorization] = parseAllDocuments(text).map((document) => document.toJS());
    expect([authentication.kind, authorization.kind]).toEqual(['RequestAuthentication', 'AuthorizationPolicy']);
    expect(authentication.spec.selector).toEqual(authorization.spec.selector);
    expect(authentication.spec.jwtRules).toEqual([
      { issuer: ISSUER, audiences: ['https://sso.example.com/realms/main'], jwksUri: `${ISSUER}/openid/v1/jwks` },
      {
        issuer: 'https://token.actions.githubusercontent.com',
        audiences: ['https://sso.example.com/realms/main'],
        jwksUri: 'https://token.actions.githubusercontent.com/.well-known/jwks',
      },
    ]);
    expect(authorization.spec).toMatchObject({ action: 'ALLOW' });
    expect(authorization.spec.rules[0].from[0].source.requestPrincipals).toEqual([
      `${ISSUER}/${SUBJECT}`,
      `${ISSUER}/system:serviceaccount:shop:worker.v2`,
      'https://token.actions.githubusercontent.com/repo:acme/app:ref:refs/heads/main',
    ]);
  });

  test('sends cookies to authentik and set-cookie to the browser', () => {
    const [provider] = parse(outputOf('istio', 'authentik-mesh')).meshConfig.extensionProviders;
    const http = provider.envoyExtAuthzHttp;
    expect(http.includeRequestHeadersInCheck).toEqual(expect.arrayContaining(['cookie', 'authorization']));
    expect(http.headersToUpstreamOnAllow).toContain('cookie');
    expect(http.headersToUpstreamOnAllow).not.toContain('set-cookie');
    expect(http.headersToDownstreamOnAllow).toEqual(['set-cookie']);
  });
});

test('keys are written where they are asked for', async () => {
  const argv = ['vault', ...issuer, ...caller, '--audience', 'v', '--keys', ecFile];
  const { out } = await render(...argv, '--inline-keys');
  expect(out).toContain('"jwt_validation_pubkeys"');
  expect(out).toContain('"ES256"');
  expect(out).not.toContain('oidc_discovery_url');
  const istio = await render('istio', ...argv.slice(1), '--inline-keys');
  const [first] = parseAllDocuments(istio.out).map((document) => document.toJS());
  expect(JSON.parse(first.spec.jwtRules[0].jwks).keys).toHaveLength(1);
  expect(first.spec.jwtRules[0]).not.toHaveProperty('jwksUri');
  expect((await render(...argv.slice(0, -2), '--inline-keys')).err).toContain('--keys: is missing');
});
