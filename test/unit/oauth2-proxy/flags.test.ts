import { describe, expect, test } from 'vitest';
import { oauth2ProxyFlags } from '../../../src/oauth2-proxy/flags.ts';
import { brokenRules, callerName, oauth2ProxyImage, openPath } from '../../../src/oauth2-proxy/rules.ts';
import type { ProxyWishes } from '../../../src/oauth2-proxy/wishes.ts';

const machines: ProxyWishes = {
  issuer: 'https://issuer.example.com',
  audiences: ['shop'],
  callers: { file: '/callers', hasPeople: false },
  upstream: 'http://127.0.0.1:8080',
  port: 4180,
  skipPaths: [],
};
const people: ProxyWishes = {
  ...machines,
  people: {
    issuer: 'https://login.example.com',
    emailDomains: ['example.com'],
    redirectUrl: 'https://shop.example.com/oauth2/callback',
  },
};
const withPeople = (more: Partial<NonNullable<ProxyWishes['people']>>, callers = people.callers): ProxyWishes => ({
  ...people,
  callers,
  people: { ...(people.people as NonNullable<ProxyWishes['people']>), ...more },
});

describe('flags', () => {
  test('nothing that weakens verification is ever among them', () => {
    const all = [machines, people, { ...machines, callers: '*' as const, caFile: '/ca.crt', skipPaths: ['/a'] }];
    for (const wishes of all) {
      const flags = oauth2ProxyFlags({ ...wishes, audiences: ['a', 'b'] });
      expect(flags.join('\n')).not.toMatch(
        /insecure|skip-verify|skip-oidc|trusted-ip|reverse-proxy|skip-auth-regex|preflight|allowed-group/,
      );
      expect(new Set(flags).size).toBe(flags.length);
      for (const flag of flags) expect(flag).toMatch(/^--[a-z-]+=/);
    }
  });

  test('machines alone: the issuer is the main one, all audiences are its own, and no session counts', () => {
    const flags = oauth2ProxyFlags({ ...machines, audiences: ['a', 'b,c', 'd"e'] });
    expect(flags).toEqual(
      expect.arrayContaining([
        '--oidc-issuer-url=https://issuer.example.com',
        '--client-id=a',
        '--oidc-extra-audience="b,c"',
        '--oidc-extra-audience="d""e"',
        '--cookie-expire=-1h',
        '--cookie-refresh=-2h',
      ]),
    );
    expect(flags.join('\n')).not.toContain('extra-jwt-issuers');
  });

  test('people: their issuer is the main one, and no audience of machines counts there', () => {
    const flags = oauth2ProxyFlags({ ...people, audiences: ['a', 'b,c'], caFile: '/ca.crt' });
    expect(flags).toEqual(
      expect.arrayContaining([
        '--oidc-issuer-url=https://login.example.com',
        '--extra-jwt-issuers=https://issuer.example.com=a',
        '--extra-jwt-issuers="https://issuer.example.com=b,c"',
        '--email-domain=example.com',
        '--use-system-trust-store=true',
      ]),
    );
    // A session is wanted here, and secrets come from elsewhere.
    expect(flags.join('\n')).not.toMatch(/extra-audience|cookie|client-/);
  });

  test('a path is one expression for itself alone', () => {
    const [flag = ''] = oauth2ProxyFlags({ ...machines, skipPaths: ['/v1.0/a-b_c~d'] }).filter((each) =>
      each.startsWith('--skip-auth-route='),
    );
    const expression = new RegExp(flag.replace('--skip-auth-route=GET=', ''));
    expect(expression.test('/v1.0/a-b_c~d')).toBe(true);
    for (const other of ['/v1x0/a-b_c~d', '/v1.0/a-b_c~d/', 'x/v1.0/a-b_c~d'])
      expect(expression.test(other)).toBe(false);
  });
});

describe('rules', () => {
  test('wishes that are good break none', () => {
    for (const wishes of [
      machines,
      people,
      { ...machines, callers: '*' as const },
      withPeople({ emailDomains: ['*'] }, '*'),
      withPeople({ emailDomains: [] }, { file: '/callers', hasPeople: true }),
      withPeople({ emailDomains: ['.example.com', '*.example.org'] }),
      { ...machines, issuer: 'http://127.0.0.1:8080' },
      { ...machines, issuer: 'https://a.example/x=y' },
    ])
      expect([wishes, brokenRules(wishes)]).toEqual([wishes, []]);
  });

  test.each<[string, ProxyWishes, string]>([
    ['an issuer that is no URL', { ...machines, issuer: 'kubernetes/serviceaccount' }, 'issuer'],
    ['an http issuer', { ...machines, issuer: 'http://issuer.example.com' }, 'issuer'],
    ['no audience', { ...machines, audiences: [] }, 'audiences'],
    ['a port of chance', { ...machines, port: 0 }, 'port'],
    ['a pattern', { ...machines, skipPaths: ['/a/*'] }, 'skipPaths'],
    ['an issuer that would be cut', { ...people, issuer: 'https://a.example/x=y' }, 'issuer'],
    ['all people by all domains', withPeople({ emailDomains: ['*'] }), 'people.emailDomains'],
    ['all people by all callers', withPeople({}, '*'), 'callers'],
    ['nobody', withPeople({ emailDomains: [] }), 'people.emailDomains'],
    ['a domain with more in it', withPeople({ emailDomains: ['a@b'] }), 'people.emailDomains'],
    ['the same issuer twice', withPeople({ issuer: machines.issuer }), 'people.issuer'],
    ['an http login', withPeople({ issuer: 'http://login.example.com' }), 'people.issuer'],
    [
      'a way back that is not https',
      withPeople({ redirectUrl: 'http://a.example/oauth2/callback' }),
      'people.redirectUrl',
    ],
    ['a way back to elsewhere', withPeople({ redirectUrl: 'https://a.example/back' }), 'people.redirectUrl'],
    ['a way back that is none', withPeople({ redirectUrl: 'javascript:alert(1)' }), 'people.redirectUrl'],
  ])('%s is refused', (_, wishes, of) => {
    expect(brokenRules(wishes).map((broken) => broken.of)).toEqual([of]);
  });
});

test('images: a version that is not too old, in the tag', () => {
  const digest = `@sha256:${'a'.repeat(64)}`;
  const good = ['v7.15.3', '7.15.3', 'v7.15.3-alpine', 'v7.16.0', 'v8.0.0', `v7.15.3${digest}`];
  for (const tag of good) expect([tag, oauth2ProxyImage.parse(`localhost:5000/a/b:${tag}`).ok]).toEqual([tag, true]);
  const bad = [
    'v7.15.2',
    'v7.9.99',
    'v6.99.99',
    'latest',
    'v7',
    'v7.15',
    'nightly',
    `v7.15.2${digest}`,
    'v7.15.3@sha256:0',
  ];
  for (const tag of bad) expect([tag, oauth2ProxyImage.parse(`localhost:5000/a/b:${tag}`).ok]).toEqual([tag, false]);
  for (const name of ['a/b', `a/b${digest}`, '', ' a:v7.15.3', 'a:v7.15.3 --x'])
    expect([name, oauth2ProxyImage.parse(name).ok]).toEqual([name, false]);
});

test('paths that are open: whole ones, and none of the proxy itself', () => {
  for (const path of ['/', '/healthz', '/a/b/', '/v1.0/info', '/.well-known/x', '/oauth2x'])
    expect([path, openPath.parse(path).ok]).toEqual([path, true]);
  const bad = [
    '',
    'healthz',
    '/a*',
    '/a?b',
    '/a#b',
    '/%61',
    '/a//b',
    '/./a',
    '/a/..',
    '/a/../b',
    '/a/.',
    '/oauth2/x',
    '/oauth2',
    '/a b',
    '/ä',
    '/a\n',
  ];
  for (const path of bad) expect([path, openPath.parse(path).ok]).toEqual([path, false]);
});

test('callers: whole subjects', () => {
  const long = `system:serviceaccount:${'n'.repeat(63)}:${'a'.repeat(253)}`;
  for (const name of ['system:serviceaccount:a:b', 'system:serviceaccount:a-1:b.c-d', long])
    expect([name, callerName.parse(name).ok]).toEqual([name, true]);
  for (const name of [
    'a',
    'a/b',
    'system:serviceaccount:a',
    'system:serviceaccount:a:',
    'system:serviceaccount:a:b:c',
    'system:serviceaccount:A:b',
    'system:serviceaccount:a.b:c',
    '#system:serviceaccount:a:b',
    'system:serviceaccount:a:b\nc',
    `${long}a`,
    `system:serviceaccount:${'n'.repeat(64)}:a`,
    'system:serviceaccount:a:b-.c',
    'system:serviceaccount:a:b..c',
  ])
    expect([name, callerName.parse(name).ok]).toEqual([name, false]);
});
