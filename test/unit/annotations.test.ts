import { describe, expect, test } from 'vitest';
import { describe as describeProblem } from '../../src/fault.ts';
import { type AnnotationSettings, isOptedOut, readAnnotations } from '../../webhook/annotations.ts';

type Annotations = Record<string, string>;

const SETTINGS: AnnotationSettings = {
  annotationPrefix: 'podpass.dev',
  mountPath: '/default',
  tokenExpiration: 3600,
  reservedAudiences: new Set(['apiserver']),
};

const keyed = (annotations: Annotations, prefix: string) =>
  Object.fromEntries(Object.entries(annotations).map(([key, value]) => [`${prefix}/${key}`, value]));

/** Reads short keys of a Pod with the containers web and side, and of its ServiceAccount. */
function read(pod: Annotations, account: Annotations = {}, settings: Partial<AnnotationSettings> = {}) {
  const all = { ...SETTINGS, ...settings };
  const reading = readAnnotations(
    { object: 'Pod shop/web', annotations: keyed(pod, all.annotationPrefix) },
    { object: 'ServiceAccount shop/app', annotations: keyed(account, all.annotationPrefix) },
    ['web', 'side'],
    all,
  );
  if (reading === undefined) return undefined;
  return {
    tokens: reading.tokens.map(({ containers, ...token }) => ({ ...token, containers: [...containers] })),
    path: reading.mountPath.path,
    problems: reading.problems.map(describeProblem),
    warnings: reading.warnings,
  };
}

/** `object key "value"` of each problem, in a stable order. */
const problemsOf = (pod: Annotations, account: Annotations = {}) =>
  (read(pod, account)?.problems ?? [])
    .map((text) => /^(.*?): podpass\.dev\/(\S+): ("(?:[^"\\]|\\.)*")/.exec(text)?.slice(1).join(' ') ?? text)
    .sort();

const token = (name: string, more: object = {}) => ({
  name,
  audience: name,
  expirationSeconds: 3600,
  containers: ['web', 'side'],
  ...more,
});

describe('merging', () => {
  test("key by key the Pod's wins, and an empty one removes the ServiceAccount's", () => {
    const account = {
      audiences: 'a b',
      'audience.c': 'c',
      expiration: '2h',
      'mount-path': '/account',
      containers: 'web',
    };
    expect(read({}, account)).toMatchObject({
      path: '/account',
      tokens: ['a', 'b', 'c'].map((name) => token(name, { expirationSeconds: 7200, containers: ['web'] })),
    });
    expect(read({ 'audience.c': 'x', expiration: ' ', 'mount-path': '/pod', containers: '' }, account)).toEqual({
      path: '/pod',
      tokens: [token('a'), token('b'), token('c', { audience: 'x' })],
      problems: [],
      warnings: [],
    });
    expect(read({ audiences: ',', 'audience.c': '' }, account)?.tokens).toEqual([]);
  });

  test('an empty value on the ServiceAccount is as good as absent', () => {
    expect(
      read({}, { audiences: ' ', 'audience.a': '', expiration: '', inject: '', 'env.a': '', 'containers.a': ',' }),
    ).toEqual({ tokens: [], path: '/default', problems: [], warnings: [] });
  });

  test('nothing depends on the order of the annotations', () => {
    const pod = {
      audiences: 'c,a b',
      'audience.d': 'x',
      'expiration.a': '1h',
      'env.d': 'D',
      expiration: '2h',
      unknown: 'x',
      containers: 'web',
    };
    const reversed = Object.fromEntries(Object.entries(pod).reverse());
    expect(read(reversed)).toEqual(read(pod));
  });

  test('without a ServiceAccount the Pod is read alone', () => {
    const reading = readAnnotations(
      { object: 'Pod a/b', annotations: { 'podpass.dev/audiences': 'x' } },
      undefined,
      ['web'],
      SETTINGS,
    );
    expect(reading?.tokens.map(({ name }) => name)).toEqual(['x']);
  });

  test('the prefix is configurable, and others are not read', () => {
    expect(read({ audiences: 'x' }, {}, { annotationPrefix: 'tokens.example.com' })?.tokens).toEqual([token('x')]);
    const reading = readAnnotations(
      { object: 'Pod a/b', annotations: { 'podpass.dev/audiences': 'x', 'podpass.dev': 'x' } },
      undefined,
      ['web'],
      { ...SETTINGS, annotationPrefix: 'example.com' },
    );
    expect(reading).toMatchObject({ tokens: [], problems: [], warnings: [] });
  });
});

describe('inject', () => {
  test('"false" stops all further reading', () => {
    expect(read({ inject: 'false', audiences: '???', nonsense: '' }, { expiration: 'x' })).toBeUndefined();
    expect(read({ audiences: 'a', expiration: 'x' }, { inject: 'false' })).toBeUndefined();
    expect(isOptedOut({ 'podpass.dev/inject': 'false' }, 'podpass.dev')).toBe(true);
    expect(isOptedOut({ 'podpass.dev/inject': 'true' }, 'podpass.dev')).toBe(false);
    expect(isOptedOut({ 'other.dev/inject': 'false' }, 'podpass.dev')).toBe(false);
  });

  test('"true" or absent is normal, and so is an empty one over "false"', () => {
    for (const inject of ['true', ''])
      expect(read({ inject, audiences: 'a' }, { inject: 'false' })?.tokens).toEqual([token('a')]);
  });

  test('anything else is a problem', () => {
    for (const inject of ['False', 'no', '0', 'TRUE', 'false,true'])
      expect(problemsOf({ inject })).toEqual([`Pod shop/web inject "${inject}"`]);
    expect(problemsOf({}, { inject: 'off' })).toEqual(['ServiceAccount shop/app inject "off"']);
  });
});

describe('tokens', () => {
  test('each has its name, audience, lifetime, variable and containers, sorted by name', () => {
    const pod = {
      audiences: 'https://b.example/x vault',
      'audience.api': 'urn:api',
      expiration: '2h',
      'expiration.vault': '600',
      'env.api': 'API',
      'containers.vault': 'side',
    };
    expect(read(pod)).toEqual({
      path: '/default',
      tokens: [
        token('api', { audience: 'urn:api', expirationSeconds: 7200, variable: 'API' }),
        token('b.example-x', { audience: 'https://b.example/x', expirationSeconds: 7200 }),
        token('vault', { expirationSeconds: 600, containers: ['side'] }),
      ],
      problems: [],
      warnings: [],
    });
  });

  test('a name may have dots, and an option belongs to the whole name', () => {
    expect(
      read({ 'audience.a.b': 'x', 'audience.a': 'y', 'expiration.a.b': '2h' })?.tokens.map(
        ({ name, expirationSeconds }) => [name, expirationSeconds],
      ),
    ).toEqual([
      ['a', 3600],
      ['a.b', 7200],
    ]);
  });

  test('two with one file name are a problem, wherever they come from', () => {
    expect(problemsOf({ audiences: 'a-b a/b' })).toEqual(['Pod shop/web audiences "a/b"']);
    expect(problemsOf({ audiences: 'a', 'audience.a': 'b' })).toHaveLength(1);
    expect(problemsOf({ audiences: 'a', 'audience.a': 'a' })).toHaveLength(1);
    expect(problemsOf({ audiences: 'a' }, { 'audience.a': 'b' })).toHaveLength(1);
    expect(problemsOf({ 'audience.a': '', audiences: 'a' }, { 'audience.a': 'b' })).toEqual([]);
  });

  test('file names are compared as they are written', () => {
    expect(read({ audiences: 'A a' })?.tokens.map(({ name }) => name)).toEqual(['A', 'a']);
  });

  test('an audience that is no audience, or one of the API server, is a problem', () => {
    expect(
      problemsOf(
        { 'audience.a': 'x y', 'audience.b': 'x\u0001y', audiences: 'apiserver' },
        { 'audience.c': ' apiserver ' },
      ),
    ).toEqual([
      'Pod shop/web audience.a "x y"',
      'Pod shop/web audience.b "x\\u0001y"',
      'Pod shop/web audiences "apiserver"',
      'ServiceAccount shop/app audience.c "apiserver"',
    ]);
  });

  test('a derived file name that is empty or over 63 characters is a problem', () => {
    expect(problemsOf({ audiences: `--- ${'x'.repeat(63)} ${'y'.repeat(64)}` })).toEqual([
      'Pod shop/web audiences "---"',
      `Pod shop/web audiences "${'y'.repeat(64)}"`,
    ]);
  });

  test('an option for a token that does not exist is a problem', () => {
    expect(
      problemsOf({ 'expiration.a': '1h', 'env.b': 'B', 'containers.c': 'web', audiences: 'd' }, { 'env.e': 'E' }),
    ).toEqual([
      'Pod shop/web containers.c "web"',
      'Pod shop/web env.b "B"',
      'Pod shop/web expiration.a "1h"',
      'ServiceAccount shop/app env.e "E"',
    ]);
  });

  test("when the Pod removes a token, the ServiceAccount's options for it are ignored, and its own are not", () => {
    const account = {
      audiences: 'a',
      'audience.b': 'b',
      'env.a': 'PATH',
      'expiration.b': 'x',
      'containers.b': 'worker',
    };
    expect(read({ audiences: '', 'audience.b': '' }, account)).toMatchObject({ tokens: [], problems: [] });
    expect(read({ audiences: 'c', 'audience.b': '' }, account)).toMatchObject({ tokens: [token('c')], problems: [] });
    expect(problemsOf({ 'audience.b': '', 'expiration.b': '1h' }, { 'audience.b': 'b' })).toEqual([
      'Pod shop/web expiration.b "1h"',
    ]);
  });

  test('two with one variable are a problem', () => {
    expect(problemsOf({ audiences: 'a b', 'env.a': 'X', 'env.b': ' X' })).toHaveLength(1);
    expect(problemsOf({ audiences: 'a b', 'env.a': 'X' }, { 'env.b': 'X' })).toHaveLength(1);
    expect(problemsOf({ audiences: 'a b', 'env.a': 'X' }, { 'env.a': 'Y', 'env.b': 'Y' })).toEqual([]);
  });

  test('what the Pod overrides is not judged', () => {
    expect(
      problemsOf(
        { expiration: '1h', audiences: 'a', 'env.a': 'A' },
        { expiration: 'x', audiences: 'apiserver', 'env.a': 'PATH' },
      ),
    ).toEqual([]);
  });
});

describe('containers', () => {
  const seen = (pod: Annotations, account: Annotations = {}) =>
    Object.fromEntries((read(pod, account)?.tokens ?? []).map(({ name, containers }) => [name, containers]));

  test('containers.<name> replaces containers, and skip-containers wins over both', () => {
    expect(seen({ audiences: 'a b', containers: 'web', 'containers.b': 'web side' })).toEqual({
      a: ['web'],
      b: ['web', 'side'],
    });
    expect(seen({ audiences: 'a b', containers: 'web', 'containers.b': 'web side', 'skip-containers': 'web' })).toEqual(
      { a: [], b: ['side'] },
    );
    expect(seen({ audiences: 'a', containers: ' ,', 'skip-containers': '' })).toEqual({ a: ['web', 'side'] });
    expect(seen({ audiences: 'a' }, { audiences: 'a', 'containers.a': 'side' })).toEqual({ a: ['side'] });
  });

  test('that the Pod names and does not have are a problem, in skip-containers a warning', () => {
    expect(problemsOf({ audiences: 'a', containers: 'web x', 'containers.a': 'y,side' })).toEqual([
      'Pod shop/web containers "x"',
      'Pod shop/web containers.a "y"',
    ]);
    const reading = read({ audiences: 'a', 'skip-containers': 'z' });
    expect(reading?.problems).toEqual([]);
    expect(reading?.warnings).toEqual([expect.stringContaining('"z"')]);
  });

  test('that only the ServiceAccount names are ignored, with a warning where none is left', () => {
    expect(read({}, { audiences: 'a', containers: 'web x', 'skip-containers': 'z' })).toMatchObject({
      tokens: [token('a', { containers: ['web'] })],
      problems: [],
      warnings: [],
    });
    expect(read({}, { audiences: 'a', containers: 'x' })).toMatchObject({
      tokens: [token('a', { containers: [] })],
      problems: [],
      warnings: [expect.stringContaining('"a"')],
    });
    expect(read({}, { audiences: 'a b', 'containers.a': 'x' })).toMatchObject({
      problems: [],
      warnings: [expect.stringContaining('"a"')],
    });
  });
});

describe('answers', () => {
  test('every problem names object, key, value and what is accepted', () => {
    const { problems = [] } =
      read(
        { audiences: '--- apiserver', expiration: '5m', inject: 'x', 'mount-path': 'x', 'env.a': 'A', containers: 'x' },
        { 'audience.c': 'x y' },
      ) ?? {};
    expect(problems).toHaveLength(8);
    for (const problem of problems)
      expect(problem).toMatch(/^(Pod shop\/web|ServiceAccount shop\/app): podpass\.dev\/\S+: ".*" .*; accepted: ./);
  });

  test.each([
    ['audiance', 'audiences'],
    ['Audiences', 'audiences'],
    ['expiry.api', 'expiration.api'],
    ['expiration-seconds', 'expiration'],
    ['envs.api', 'env.api'],
    ['skip-container', 'skip-containers'],
    ['mountpath', 'mount-path'],
    ['mount-path.api', 'mount-path'],
    ['injects', 'inject'],
    ['container', 'containers'],
    ['inject.api', 'inject'],
  ])('the unknown key %s is a warning, with the nearest known key', (key, nearest) => {
    for (const [pod, account, object] of [
      [{ [key]: 'x' }, {}, 'Pod shop/web'],
      [{}, { [key]: 'x' }, 'ServiceAccount shop/app'],
    ] as const) {
      const reading = read(pod, account);
      expect(reading?.problems).toEqual([]);
      expect(reading?.warnings).toHaveLength(1);
      expect(reading?.warnings[0]).toContain(object);
      expect(reading?.warnings[0]).toContain(`podpass.dev/${key}`);
      expect(reading?.warnings[0]).toContain(`"podpass.dev/${nearest}"`);
    }
  });

  test('a known key is no unknown one, whatever stands in it', () => {
    expect(read({ audiences: 'a', injected: 'a' })?.warnings).toEqual([]);
  });

  // Admission comes before the API server checks the size of annotations, so all of a request can be one annotation.
  test.each([
    ['one audience of dots', { audiences: `a${'.'.repeat(40_000)}b` }],
    [
      'audiences of one file name',
      {
        audiences: Array.from({ length: 25_000 }, (_, i) => `a${'/'.repeat(i % 120)}${':'.repeat(1 + i / 120)}`).join(),
      },
    ],
    ['an unknown key without end', { ['x'.repeat(2_500_000)]: 'x' }],
    [
      'containers that are not there',
      { audiences: 'a', containers: Array.from({ length: 100_000 }, (_, i) => `c${i}`).join() },
    ],
    [
      'options for tokens that are not there',
      {
        audiences: Array.from({ length: 4_000 }, (_, i) => `a${i}`).join(),
        ...Object.fromEntries(Array.from({ length: 4_000 }, (_, i) => [`env.b${i}`, 'B'])),
      },
    ],
  ])('%s: read while the API server waits', (_, annotations) => {
    const started = process.cpuUsage();
    try {
      read(annotations);
    } finally {
      expect(process.cpuUsage(started).user / 1e6).toBeLessThan(1.5);
    }
  });
});
