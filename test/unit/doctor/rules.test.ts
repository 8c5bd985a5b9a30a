import { describe, expect, test } from 'vitest';
import { type FindingCode, findingRows } from '../../../src/catalog/findings.ts';
import { type Target, targetNames } from '../../../src/catalog/targets.ts';
import type { Observation } from '../../../src/cli/doctor/observation.ts';
import { report } from '../../../src/cli/doctor/report.ts';
import { judge } from '../../../src/cli/doctor/rule.ts';
import { rules } from '../../../src/cli/doctor/rules.ts';
import { fixtures, healthy, ISSUER } from './fixtures.ts';

const codes = Object.keys(findingRows) as FindingCode[];
const all = Object.values(fixtures).flat();
const severities = (observation: Observation, code: FindingCode, targets: readonly Target[] = []) =>
  judge(observation, targets, rules).flatMap((finding) => (finding.code === code ? [finding.severity] : []));

describe('the catalog', () => {
  test('has a fixture and a rule for each code, and no other', () => {
    expect(Object.keys(fixtures).sort()).toEqual([...codes].sort());
    expect([...new Set(rules.map(({ code }) => code))].sort()).toEqual([...codes].sort());
  });

  test.each(codes)('%s can occur, by each of its fixtures', (code) => {
    const found = (fixtures[code] ?? []).map((observation) => severities(observation, code).length > 0);
    expect(found.length).toBeGreaterThan(0);
    expect(found).toEqual(found.map(() => true));
  });

  test.each(rules.map((rule, index) => [`${rule.code} (${index})`, rule] as const))(
    'the rule %s is used',
    (_, rule) => {
      expect(all.some((observation) => rule.find(observation).length > 0)).toBe(true);
      expect(all.some((observation) => rule.find(observation).length === 0) || rule.severity === 'info').toBe(true);
      expect(rule.why).toMatch(/^\S.*\.$/);
      expect(rule.next).toMatch(/^[A-Z"].*\.( .*)?/);
    },
  );
});

describe('a healthy installation', () => {
  test('has nothing but what is worth to know, for everybody', () => {
    const found = judge(healthy, [], rules).map(({ code, severity }) => [code, severity]);
    expect(found).toEqual([
      ['thumbprint', 'info'],
      ['token-verified', 'info'],
    ]);
  });

  test.each(targetNames)('suits %s', (target) => {
    const bad = judge(healthy, [target], rules).filter(({ severity }) => severity !== 'info');
    expect(bad).toEqual([]);
  });

  test('is no finding where nothing was seen', () => {
    expect(judge({ now: healthy.now, tokens: [] }, [...targetNames], rules)).toEqual([]);
  });
});

describe('targets', () => {
  const slow = fixtures.slow[1] ?? healthy;
  const [withoutUse = healthy] = fixtures['key-without-use'];
  const [onCurve = healthy, onLargeCurve = healthy, mixed = healthy] = fixtures['algorithm-unfit'];

  test('a rule of one is an error with it, a warning that names it without', () => {
    expect(severities(withoutUse, 'key-without-use', ['keycloak'])).toEqual(['error']);
    const [finding] = judge(withoutUse, [], rules).filter(({ code }) => code === 'key-without-use');
    expect(finding).toMatchObject({ severity: 'warning', why: expect.stringMatching(/^For keycloak: /) });
  });

  test('a rule of one is left out for another, unless it concerns all', () => {
    const [long = healthy] = fixtures['token-lifetime'];
    expect(severities(long, 'token-lifetime', ['keycloak'])).toEqual(['error']);
    expect(severities(long, 'token-lifetime', ['gcp'])).toEqual([]);
    expect(severities(slow, 'slow', ['kafka'])).toEqual(['warning']);
    expect(severities(slow, 'slow', ['aws', 'kafka'])).toEqual(['error']);
  });

  test.each(targetNames)('%s has a rule of its own', (target) => {
    expect(rules.filter(({ targets }) => targets?.includes(target)).length).toBeGreaterThan(0);
  });

  test('a key of another type is skipped by those that stop at a curve', () => {
    const [type = healthy, curve = healthy] = fixtures['key-unsupported'];
    expect(severities(type, 'key-unsupported', ['nimbus'])).toEqual(['warning']);
    expect(severities(curve, 'key-unsupported', ['nimbus'])).toEqual(['error']);
    expect(severities(type, 'key-unsupported', ['minio'])).toEqual(['error']);
  });

  test('an address that is private is no fault for who runs beside it, and one of this machine is for all', () => {
    const [near = healthy, , linkLocal = healthy] = fixtures['address-private'];
    expect(severities(near, 'address-private', ['kafka'])).toEqual([]);
    expect(severities(near, 'address-private', ['aws'])).toEqual(['error']);
    expect(severities(near, 'address-private')).toEqual(['warning']);
    expect(severities(linkLocal, 'address-private', ['kafka'])).toEqual(['warning']);
    expect(severities(linkLocal, 'address-private', ['istio'])).toEqual(['error']);
  });

  test('half a minute between the clocks is too much for Kafka alone', () => {
    const early = fixtures['clock-skew'].at(-1) ?? healthy;
    expect(severities(early, 'clock-skew', ['kafka'])).toEqual(['warning']);
    expect(severities(early, 'clock-skew', ['jose'])).toEqual([]);
  });

  test('an algorithm that is not taken is an error where no key has another', () => {
    expect(severities(onCurve, 'algorithm-unfit', ['azure'])).toEqual(['error']);
    expect(severities(onCurve, 'algorithm-unfit', ['gcp'])).toEqual([]);
    expect(severities(onLargeCurve, 'algorithm-unfit', ['gcp'])).toEqual(['error']);
    expect(severities(mixed, 'algorithm-unfit', ['azure'])).toEqual(['warning']);
    expect(severities(mixed, 'algorithm-unfit', ['aws'])).toEqual([]);
    expect(severities(onCurve, 'algorithm-unfit', ['go-oidc'])).toEqual(['warning']);
    expect(severities(onCurve, 'algorithm-unfit', ['vault'])).toEqual([]);
  });

  test('of two lengths of an issuer the longer one is for Azure', () => {
    const [short = healthy, long = healthy] = fixtures['issuer-too-long'];
    expect(severities(short, 'issuer-too-long', ['azure'])).toEqual([]);
    expect(severities(short, 'issuer-too-long', ['aws'])).toEqual(['error']);
    expect(severities(long, 'issuer-too-long', ['aws', 'azure'])).toEqual(['error', 'error']);
  });
});

test('a half of the webhook without replicas is an error only where the other one is away, too', () => {
  const [both = healthy] = fixtures['deployment-unavailable'];
  const [, one = healthy] = fixtures['deployment-degraded'];
  const of = (observation: Observation) =>
    judge(observation, [], rules).flatMap(({ code, subject }) =>
      code.startsWith('deployment-') ? [[code, subject.split('/').at(-1)]] : [],
    );
  expect(of(both)).toEqual([
    ['deployment-unavailable', 'podpass-webhook-a'],
    ['deployment-unavailable', 'podpass-webhook-b'],
  ]);
  expect(of(one)).toEqual([['deployment-degraded', 'podpass-webhook-a']]);
});

test('a difference of issuers is told in words', () => {
  const seen = fixtures['issuer-mismatch'].map(
    (observation) => judge(observation, [], rules).find(({ code }) => code === 'issuer-mismatch')?.seen,
  );
  expect(seen.map((text) => text?.split(': ').at(-1))).toEqual([
    'they differ in the slash at the end',
    'they differ in the port',
    'they differ in upper and lower case',
    expect.stringContaining('"7"'),
  ]);
});

test('foreign text cannot write to the terminal', () => {
  const tricky = { ...healthy, cluster: { ...healthy.cluster, unreachable: 'a\u001b[2Jb\u202ec' } };
  const findings = judge(tricky as Observation, [], rules);
  expect(findings.map(({ seen }) => seen)).toContain('a\\u001b[2Jb\\u202ec');
});

describe('the report', () => {
  test.each(codes)('of %s is within 100 columns and ends with a summary', (code) => {
    const [observation = healthy] = fixtures[code];
    const text = report(judge(observation, [], rules), ISSUER);
    const long = text.split('\n').filter((line) => line.length > 100 && /\s/.test(line.trim().replace(/^\S+\s+/, '')));
    expect(long).toEqual([]);
    expect(text).toMatch(new RegExp(`^${code}: `, 'm'));
    expect(text.trimEnd().split('\n').at(-1)).toMatch(/^\d+ errors?, \d+ warnings?, \d+ notes? for https:/);
  });

  test('has errors first, each finding with its three parts', () => {
    const [expired = healthy] = fixtures['token-expired'];
    const text = report(judge(expired, [], rules), ISSUER);
    expect(text).toMatch(
      /^ERRORS\n\ntoken-expired: the token given\n {2}seen {2}it expired at .*\n {2}why {3}.*[\s\S]*\n {2}next {2}/,
    );
    expect(text.indexOf('NOTES')).toBeGreaterThan(text.indexOf('ERRORS'));
    expect(text).toMatch(/\n1 error, 0 warnings, 1 note for https:\/\/issuer\.example\.com\n$/);
  });
});
