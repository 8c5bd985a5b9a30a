/** What somebody writes stays one value in every output: what is parsed back is what was given. */
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import type { Facts } from '../../src/cli/render/facts.ts';
import { comment } from '../../src/cli/render/syntax/comment.ts';
import { hclString } from '../../src/cli/render/syntax/hcl.ts';
import { propertyLine } from '../../src/cli/render/syntax/properties.ts';
import { audience as audienceCodec, issuerUrl, otherCaller as otherCallerCodec, webUrl } from '../../src/codec.ts';
import { everyOutput, outputOf, sampleFacts } from '../render-facts.ts';
import { printedSeed } from './seed.ts';

const seed = printedSeed('property tests of render');

const folder = mkdtempSync(join(tmpdir(), 'podpass-render-'));
afterAll(() => rmSync(folder, { recursive: true }));

// ---- what a user can write -------------------------------------------------------------------------------------------

/** Each has a meaning somewhere: quotes, comments, templates, lists, ends of statements, other planes of Unicode. */
const PIECES = [
  ...[
    '"',
    "'",
    '`',
    '\\',
    '$',
    '\u0024{x}',
    '$(id)',
    '%{x}',
    '\u0024{{ x }}',
    '{{x}}',
    ';',
    '#',
    ' #',
    '{',
    '}',
    '[',
    ']',
    '|',
  ],
  ...[
    '&',
    '<',
    '>',
    '*',
    '!',
    '%',
    '^',
    '~',
    '=',
    ':',
    ': ',
    ',',
    '--',
    '---',
    '<<EOF',
    'EOF',
    'null',
    'no',
    '0x1',
    '=b',
  ],
  ...['a', 'b.c', 'é', '漢', '😀', '\u00a0', '\u200b', '\u2028', '\u202e', '"""', "'''", '\\u0022', '\\n', '$$', '%%'],
];
const wild = fc
  .array(fc.oneof(fc.constantFrom(...PIECES), fc.string({ unit: 'grapheme', maxLength: 4 })), {
    minLength: 1,
    maxLength: 8,
  })
  .map((pieces) => pieces.join(''));
const audience = wild.filter((text) => {
  const parsed = audienceCodec.parse(text);
  return parsed.ok && parsed.value === text && !text.includes(',');
});
const issuer = wild
  .map((text) => `https://k8s.example.com/${text}`)
  .filter((text) => issuerUrl.parse(text).ok && text.length < 200);
const url = wild
  .map((text) => `https://web.example.com/${text}`)
  .filter((text) => webUrl.parse(text).ok && !text.includes('?'));
const otherCaller = wild
  .map((text) => otherCallerCodec.parse(`https://token.actions.githubusercontent.com#${text}`))
  .filter((parsed) => parsed.ok)
  .map((parsed) => {
    if (!parsed.ok) throw new Error('cannot be');
    return parsed.value;
  });
const clientId = wild.filter((text) => !/\p{Cc}/u.test(text));

const facts: fc.Arbitrary<Facts> = fc
  .record({ issuer, audience, url, otherCaller, clientId })
  .map(({ issuer: name, audience: value, url: serviceUrl, otherCaller: other, clientId: id }) =>
    sampleFacts({
      issuer: name,
      tokens: [{ audience: value, file: `/tokens/${value.replace(/[^a-z]/g, '-')}`, lifetime: 3600 }],
      options: { serviceUrl, otherCaller: [other], clientId: id },
    }),
  );

const given = ({ issuer: name, tokens: [token], options }: Facts) => ({
  issuer: name,
  audience: token?.audience ?? '',
  file: token?.file ?? '',
  serviceUrl: options.serviceUrl ?? '',
  clientId: options.clientId ?? '',
  other: options.otherCaller?.[0]?.subject ?? '',
});

const sample = (numRuns: number) => fc.sample(facts, { seed, numRuns });

// ---- parsers ---------------------------------------------------------------------------------------------------------

const BIN = join(folder, 'bin');
const LOG = join(folder, 'log');

/** Programs that write down their arguments and, where one of them is `-`, their input. */
function stubs(): void {
  spawnSync('mkdir', ['-p', BIN]);
  for (const name of ['vault', 'aws', 'az', 'gcloud', 'kcadm.sh', 'kafka-acls.sh', 'oauth2-proxy', 'kubectl']) {
    const path = join(BIN, name);
    writeFileSync(
      path,
      `#!/bin/sh\nprintf '%s\\0' ${name} "$@" >>"$LOG"\nfor last; do :; done\nif [ "$last" = - ]; then cat >>"$LOG"; printf '\\0' >>"$LOG"; fi\n`,
    );
    chmodSync(path, 0o755);
  }
}
stubs();

/** Every argument and input of every program that a script runs. */
function run(script: string, after = ''): string[] {
  const file = join(folder, 'script.sh');
  writeFileSync(file, script + after);
  writeFileSync(LOG, '');
  const env = { PATH: `${BIN}:/usr/bin:/bin`, LOG, IDENTITY: 'i', RESOURCE_GROUP: 'r', BOOTSTRAP: 'b', CONFIG: 'c' };
  const { status, stderr } = spawnSync('/bin/sh', [file], { env, cwd: folder, encoding: 'utf8' });
  expect([status, stderr]).toEqual([0, '']);
  return readFileSync(LOG, 'utf8').split('\0');
}

/** A program of Python with JSON as its input and output. */
function python(program: string, input: unknown): unknown {
  const { status, stdout, stderr } = spawnSync('python3', ['-c', program], {
    input: JSON.stringify(input),
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  });
  if (status !== 0) throw new Error(`python3: ${stderr}`);
  return JSON.parse(stdout);
}

const havePython = spawnSync('python3', ['-c', 'import tomllib']).status === 0;
if (!havePython) {
  const missing = 'Python 3.11 is not on this machine, which reads TOML and the expression policy';
  if (process.env.CI === 'true') throw new Error(missing);
  console.log(`skipped: ${missing}`);
}

/** java.util.Properties, load: one line. */
function readProperty(line: string): readonly [string, string] {
  const plain = (text: string) =>
    text.replace(/\\u([0-9a-f]{4})|\\(.)/g, (_, code?: string, character?: string) =>
      code === undefined ? (character ?? '') : String.fromCharCode(Number.parseInt(code, 16)),
    );
  const [, key = '', value = ''] = /^((?:\\.|[^\\=: ])*)=([\s\S]*)$/.exec(line) ?? [];
  return [plain(key), plain(value)];
}

const scalars = (value: unknown): string[] => {
  if (typeof value === 'string') return [value];
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(scalars) : [];
};

// ---- tests -----------------------------------------------------------------------------------------------------------

describe('what is given is what is read', () => {
  test('in YAML', () => {
    for (const one of sample(40)) {
      const { issuer: name, audience: value, serviceUrl, clientId: id, other, file } = given(one);
      const read = (consumer: Parameters<typeof outputOf>[0], format: string) =>
        parseAllDocuments(outputOf(consumer, format, one), { version: '1.1' }).map((document) => {
          expect(document.errors).toEqual([]);
          return document.toJS();
        });
      const [authentication, authorization] = read('istio', 'jwt');
      expect(authentication.spec.jwtRules[0]).toMatchObject({ issuer: name, audiences: [value] });
      expect(authorization.spec.rules[0].from[0].source.requestPrincipals.at(-1)).toBe(
        `https://token.actions.githubusercontent.com/${other}`,
      );
      expect(authorization.spec.rules[0].from[0].source.requestPrincipals[0]).toBe(
        `${name}/system:serviceaccount:shop:web`,
      );
      const [policy] = read('envoy-gateway', 'jwt');
      expect(policy.spec.jwt.providers[0]).toMatchObject({ issuer: name, audiences: [value] });
      expect(policy.spec.authorization.rules[1].principal.jwt.claims).toEqual([{ name: 'sub', values: [other] }]);
      expect(scalars(read('envoy', 'jwt'))).toEqual(expect.arrayContaining([name, value, other]));
      const [alpha] = read('oauth2-proxy', 'alpha');
      expect(alpha.providers[0]).toMatchObject({ clientID: value, oidcConfig: { issuerURL: name } });
      expect(alpha.upstreamConfig.upstreams[0].uri).toBe(serviceUrl);
      const [prometheus] = read('prometheus', 'oauth2');
      expect(prometheus.remote_write[0].oauth2).toMatchObject({ client_id: id, client_secret_file: file });
      expect(prometheus.remote_write[0].url).toBe(serviceUrl);
      const [workflow] = read('github-actions', 'workflow');
      const { AUDIENCE } = workflow.jobs.call.steps[0].env;
      // GitHub finds expressions here, and ours are such that give back the two braces.
      expect(AUDIENCE.replaceAll("\u0024{{ '\u0024{{' }}", '\u0000')).toBe(value.replaceAll('\u0024{{', '\u0000'));
      const [pipeline] = read('gitlab-ci', 'job');
      // GitLab finds variables here, and a doubled dollar sign is none.
      expect(pipeline.call.id_tokens.SERVICE_TOKEN.aud.replaceAll('$$', () => '$')).toBe(value);
      expect(pipeline.call.variables.SERVICE).toEqual({ value: serviceUrl, expand: false });
      const [blueprint] = read('authentik', 'blueprint');
      expect(blueprint.entries[1].attrs.client_id).toBe(id);
    }
  });

  test.each(['no', 'on', '1:20', '0o7', '~'])('a word that YAML 1.1 takes for something else: %s', (word) => {
    const text = outputOf('authentik', 'blueprint', sampleFacts({ options: { clientId: word } }));
    const { entries } = parse(text, { version: '1.1', logLevel: 'silent' });
    expect(entries[1].attrs.client_id).toBe(word);
  });

  test('in JSON', () => {
    for (const one of sample(40)) {
      const { issuer: name, audience: value, file } = given(one);
      const provider = name.replace('https://', '');
      const [statement] = JSON.parse(outputOf('aws', 'json', one)).Statement;
      expect(statement.Condition.StringEquals[`${provider}:aud`]).toEqual([value]);
      expect(JSON.parse(outputOf('azure', 'json', one))[0]).toMatchObject({ issuer: name, audiences: [value] });
      expect(JSON.parse(outputOf('minio', 'policy', one)).Statement[0].Condition.StringEquals['jwt:iss']).toEqual([
        name,
      ]);
      expect(JSON.parse(outputOf('gcp', 'json', one)).credential_source.file).toBe(file);
    }
  });

  test('by a shell, and nothing else runs', () => {
    for (const one of sample(10)) {
      const { issuer: name, audience: value, other } = given(one);
      const [, ...vault] = run(outputOf('vault', 'shell', one)).filter((each) => each.startsWith('{'));
      const config = run(outputOf('vault', 'shell', one)).find((each) => each.includes('oidc_discovery_url')) ?? '';
      expect(JSON.parse(config)).toMatchObject({ oidc_discovery_url: name, bound_issuer: name });
      expect(JSON.parse(vault[0] ?? '')).toMatchObject({ bound_audiences: [value] });
      const aws = run(outputOf('aws', 'shell', one));
      expect(aws.slice(0, 7)).toEqual([
        'aws',
        'iam',
        'create-open-id-connect-provider',
        '--url',
        name,
        '--client-id-list',
        value,
      ]);
      const azure = run(outputOf('azure', 'shell', one));
      expect(azure).toEqual(expect.arrayContaining([name, value]));
      expect(azure.filter((each) => each === 'az')).toHaveLength(2);
      const gcp = run(outputOf('gcp', 'shell', one));
      expect(gcp).toContain(`--issuer-uri=${name}`);
      expect(gcp.filter((each) => each === 'gcloud')).toHaveLength(2);
      const proxy = run(outputOf('oauth2-proxy', 'flags', one));
      expect(proxy).toEqual(expect.arrayContaining([`--oidc-issuer-url=${name}`, `--client-id=${value}`]));
      const minio = run(outputOf('minio', 'env', one), 'kubectl "$MINIO_IDENTITY_OPENID_CLIENT_ID"\n');
      expect(minio).toEqual(['kubectl', value, '']);
      // One caller in each line, whatever is in its name.
      const callers = outputOf('oauth2-proxy', 'callers', one)
        .replace(/^#.*\n/gm, '')
        .split('\n');
      expect(callers).toHaveLength(4);
      expect(callers[2]?.replace(/^"([\s\S]*)"$/, (_, inner: string) => inner.replaceAll('""', '"'))).toBe(other);
    }
  });

  test.skipIf(!havePython)('in TOML', () => {
    const all = sample(40);
    const texts = all.map((one) => outputOf('oauth2-proxy', 'toml', one));
    const program = 'import json, sys, tomllib; print(json.dumps([tomllib.loads(t) for t in json.load(sys.stdin)]))';
    const read = python(program, texts) as Record<string, unknown>[];
    for (const [index, one] of all.entries()) {
      const { issuer: name, audience: value, serviceUrl } = given(one);
      expect(read[index]).toMatchObject({
        ...{ oidc_issuer_url: name, client_id: value, upstreams: [serviceUrl] },
        ...{ extra_jwt_issuers: [`https://token.actions.githubusercontent.com=${value}`] },
        ...{ skip_jwt_bearer_tokens: true, bearer_token_login_fallback: false },
      });
    }
  });

  test.skipIf(!havePython)('in an expression policy, which lets in nobody else', () => {
    const all = sample(40);
    const program = `
import json, sys, types
def judge(text, claims):
    space = {}
    exec("def policy(request):\\n" + "".join("    " + line + "\\n" for line in text.splitlines()), space)
    return space["policy"](types.SimpleNamespace(context={"oauth_jwt": claims} if claims else {}))
print(json.dumps([[judge(text, each) for each in claims] for text, claims in json.load(sys.stdin)]))
`;
    const cases = all.map((one) => {
      const { issuer: iss, audience: aud } = given(one);
      const sub = 'system:serviceaccount:shop:web';
      const good = { iss, aud: [aud], sub };
      const bad = [
        { ...good, iss: `${iss}/` },
        { ...good, aud: [`${aud}x`] },
        { ...good, aud: [aud, 'other'] },
        { ...good, aud: [] },
        { ...good, sub: 'system:serviceaccount:shop:other' },
        { iss, aud: [aud] },
        null,
      ];
      return [outputOf('authentik', 'policy', one), [good, { ...good, aud }, ...bad]] as const;
    });
    for (const judged of python(program, cases) as boolean[][])
      expect(judged).toEqual([true, true, false, false, false, false, false, false, false]);
  });

  test('in properties', () => {
    for (const one of sample(40)) {
      const { issuer: name, audience: value } = given(one);
      const lines = outputOf('kafka', 'broker', one)
        .split('\n')
        .filter((line) => line !== '' && !line.startsWith('#'));
      const read = new Map(lines.map(readProperty));
      const prefix = 'listener.name.sasl_ssl.oauthbearer.sasl.oauthbearer';
      expect(read.get(`${prefix}.expected.issuer`)).toBe(name);
      expect(read.get(`${prefix}.expected.audience`)).toBe(value);
    }
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (value) => {
        expect(propertyLine('key', value)).toMatch(/^[ -~]*$/);
        expect(readProperty(propertyLine('key', value))).toEqual(['key', value]);
      }),
      { seed },
    );
  });

  test('in the language of Terraform, in which nothing is a template', () => {
    fc.assert(
      fc.property(fc.oneof(wild, fc.string({ unit: 'binary' })), (value) => {
        const written = hclString(value);
        expect(written.slice(1, -1)).not.toMatch(/[$%]|[^\\]"|[\r\n]/);
        expect(JSON.parse(written)).toBe(value);
      }),
      { seed },
    );
  });
});

test('nothing gets out of a comment', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (value) => {
      expect(comment('yaml', [value])).toMatch(/^# [^\n\r\u0085\u2028\u2029]*\n$/);
    }),
    { seed },
  );
  for (const one of sample(20))
    for (const { text, row } of everyOutput(one)) {
      if (row.syntax !== 'yaml') continue;
      expect(() =>
        parse(
          text
            .split('\n')
            .filter((line) => line.startsWith('#'))
            .join('\n'),
        ),
      ).not.toThrow();
    }
});
