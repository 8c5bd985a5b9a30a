/** What podpass render prints for Envoy, and for the mesh of Istio, by their own schemas and the rules in them. */
import { expect, it } from 'vitest';
import { parse } from 'yaml';
import type { ConsumerName } from '../../src/catalog/consumers.ts';
import type { Facts } from '../../src/cli/render/facts.ts';
import { outputOf, sampleFacts } from '../render-facts.ts';
import { runProgram, testCa } from './podpass.ts';
import { clusterBinaries, describeCluster } from './suite.ts';

type Kind = 'bootstrap' | 'mesh';
interface Verdict {
  readonly ok: boolean;
  readonly error?: string;
}

async function judge(kind: Kind, values: readonly unknown[]): Promise<Verdict[]> {
  const input = values.map((value) => `${JSON.stringify({ [kind]: value })}\n`).join('');
  const { code, stdout, stderr } = await runProgram(clusterBinaries().envoySchemas, [], { input });
  expect([code, stderr]).toEqual([0, '']);
  return stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Verdict);
}

const jwks = JSON.stringify({ keys: [{ kty: 'RSA', kid: 'a', use: 'sig', alg: 'RS256', n: 'AQAB', e: 'AQAB' }] });
const otherCaller = [{ issuer: 'https://token.actions.githubusercontent.com', subject: 'repo:acme/app:ref:x' }];
const variants: readonly Partial<Facts>[] = [
  {},
  {
    ca: testCa().pem,
    options: { otherCaller, serviceUrl: 'https://web.example.com', authUrl: 'https://10.0.0.1:4180' },
  },
];
const inline: Partial<Facts> = { inlineKeys: true, keys: { jwks, pem: [], algorithms: ['RS256'] } };

const outputs: readonly (readonly [ConsumerName, string, Kind, readonly Partial<Facts>[]])[] = [
  ['envoy', 'jwt', 'bootstrap', [...variants, inline]],
  ['envoy', 'ext-authz', 'bootstrap', variants],
  ['istio', 'ext-authz-mesh', 'mesh', variants],
  ['istio', 'authentik-mesh', 'mesh', variants],
];

/** What is in the chart's values is the mesh configuration itself. */
function read(consumer: ConsumerName, format: string, facts: Partial<Facts>): unknown {
  const value = parse(outputOf(consumer, format, sampleFacts(facts)));
  return format.endsWith('-mesh') ? value.meshConfig : value;
}

/** The same with a member more in each object, by turns; but in maps, whose keys are anybody's. */
function* spoiled(value: unknown, path = ''): Generator<readonly [string, unknown]> {
  if (typeof value !== 'object' || value === null) return;
  if (Array.isArray(value)) {
    for (const [index, member] of value.entries())
      for (const [at, other] of spoiled(member, `${path}[${index}]`)) yield [at, value.with(index, other)];
    return;
  }
  if (!/\.(providers|policies)$/.test(path)) yield [path, { ...value, notAField: 1 }];
  for (const [key, member] of Object.entries(value))
    for (const [at, other] of spoiled(member, `${path}.${key}`)) yield [at, { ...value, [key]: other }];
}

describeCluster('podpass render, by the schemas of Envoy and Istio', () => {
  it.each(outputs)('%s -o %s is a %s, in all its parts', async (consumer, format, kind, all) => {
    const values = all.map((facts) => read(consumer, format, facts));
    expect(await judge(kind, values)).toEqual(values.map(() => ({ ok: true })));
  });

  it.each(outputs)('%s -o %s is none with one field more, wherever that is', async (consumer, format, kind, all) => {
    for (const facts of all) {
      const found = [...spoiled(read(consumer, format, facts))];
      expect(found.length).toBeGreaterThan(2);
      const verdicts = await judge(
        kind,
        found.map(([, value]) => value),
      );
      expect(verdicts.map(({ ok }, at) => [found[at]?.[0], ok])).toEqual(found.map(([path]) => [path, false]));
      for (const { error } of verdicts) expect(error).toContain('notAField');
    }
  });

  it.each([
    ['envoy', 'jwt', 'bootstrap', 'timeout: 5s', 'timeout: -5s', 'Timeout'],
    ['envoy', 'jwt', 'bootstrap', 'port_value: 8080', 'port_value: 80800', 'PortValue'],
    ['envoy', 'jwt', 'bootstrap', 'stat_prefix: podpass', 'stat_prefix: ""', 'StatPrefix'],
    ['envoy', 'jwt', 'bootstrap', 'action: ALLOW', 'action: LET', 'LET'],
    ['envoy', 'ext-authz', 'bootstrap', 'transport_api_version: V3', 'transport_api_version: V4', 'V4'],
    ['envoy', 'ext-authz', 'bootstrap', 'http.router.v3.Router', 'http.router.v4.Router', 'Router'],
    ['istio', 'ext-authz-mesh', 'mesh', 'timeout: 5s', 'timeout: soon', 'soon'],
  ] as const)('%s -o %s: a %s with %s changed to %s is wrong', async (consumer, format, kind, from, to, said) => {
    const text = outputOf(consumer, format);
    expect(text).toContain(from);
    const value = parse(text.replace(from, to));
    const [verdict] = await judge(kind, [kind === 'mesh' ? value.meshConfig : value]);
    expect(verdict).toEqual({ ok: false, error: expect.stringContaining(said) });
  });
});
