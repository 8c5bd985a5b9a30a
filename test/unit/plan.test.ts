import { describe, expect, test } from 'vitest';
import type { Token } from '../../webhook/annotations.ts';
import { planInjections } from '../../webhook/plan.ts';
import type { Container, Pod, PodSpec } from '../../webhook/pod.ts';
import { tokenInjection } from '../../webhook/token-injection.ts';

const INJECTED = 'podpass.dev/injected';
const FOLDER = '/tokens';

const token = (name: string, containers: string[], more: Partial<Token> = {}): Token => ({
  name,
  audience: `https://${name}.example`,
  expirationSeconds: 3600,
  containers: new Set(containers),
  ...more,
});

const container = (name: string, more: Partial<Container> = {}): Container => ({ name, ...more });
const podOf = (containers: Container[], spec: Partial<PodSpec> = {}, annotations?: Record<string, string>): Pod => ({
  ...(annotations === undefined ? {} : { metadata: { annotations } }),
  spec: { containers, ...spec },
});

function plan(pod: Pod, tokens: Token[], path = FOLDER) {
  const mountPath = { path, object: 'Pod shop/web', key: 'podpass.dev/mount-path' };
  const injection = tokenInjection(pod, { tokens, mountPath });
  if (injection === undefined) throw new RangeError('too many tokens for a test');
  return planInjections(pod, 'Pod shop/web', [injection], INJECTED);
}

const source = (name: string, expirationSeconds = 3600) => ({
  serviceAccountToken: { audience: `https://${name}.example`, expirationSeconds, path: name },
});
const volume = (name: string, ...sources: object[]) => ({ name, projected: { sources } });
const mountOf = (name: string, mountPath = FOLDER) => ({ name, mountPath, readOnly: true });

/** The names of the volumes by the container that mounts them. */
const mounts = ({ containers }: ReturnType<typeof plan>) =>
  Object.fromEntries(containers.map(({ place, mounts: list }) => [place.container.name, list.map(({ name }) => name)]));

test('a Pod without tokens gets nothing', () => {
  expect(plan(podOf([container('web')]), [])).toEqual({
    volumes: [],
    containers: [],
    sidecars: [],
    annotations: {},
    labels: {},
    problems: [],
    warnings: [],
  });
  expect(plan(podOf([container('web')]), [token('a', [])]).volumes).toEqual([]);
  expect(plan(podOf([container('web')]), [token('a', [])]).annotations).toEqual({});
});

describe('volumes', () => {
  test('the one with all tokens is podpass-tokens, a projection of a source for each token', () => {
    const { volumes, containers, annotations } = plan(podOf([container('web')]), [
      token('a', ['web']),
      token('b', ['web'], { expirationSeconds: 600 }),
    ]);
    expect(volumes).toEqual([volume('podpass-tokens', source('a'), source('b', 600))]);
    expect(containers.map(({ mounts: list }) => list)).toEqual([[mountOf('podpass-tokens')]]);
    expect(annotations).toEqual({ [INJECTED]: 'a,b' });
  });

  test('containers with the same set share one, and each container has one mount', () => {
    const pod = podOf([container('web'), container('twin'), container('all'), container('none')], {
      initContainers: [container('init')],
    });
    const result = plan(pod, [token('a', ['web', 'twin', 'all']), token('b', ['all', 'init'])]);
    const seen = mounts(result);
    expect(seen.all).toEqual(['podpass-tokens']);
    expect(seen.web).toEqual([expect.stringMatching(/^podpass-tokens-[0-9a-f]{8}$/)]);
    expect(seen.twin).toEqual(seen.web);
    expect(seen.init).toEqual([expect.stringMatching(/^podpass-tokens-[0-9a-f]{8}$/)]);
    expect(seen.init).not.toEqual(seen.web);
    expect(seen.none).toBeUndefined();
    expect(result.volumes).toHaveLength(3);
  });

  test('the digest depends on names, audiences and lifetimes, and on nothing else', () => {
    const name = (one: Partial<Token>, containers = [container('web'), container('side')], path = FOLDER) =>
      mounts(plan(podOf(containers), [token('a', ['web'], one), token('b', ['side'])], path)).web?.[0];
    const base = name({});
    expect(name({ variable: 'A' })).toBe(base);
    expect(name({}, [container('side'), container('more'), container('web')])).toBe(base);
    expect(name({}, undefined, '/elsewhere')).toBe(base);
    expect(new Set([base, name({ name: 'c' }), name({ audience: 'x' }), name({ expirationSeconds: 601 })]).size).toBe(
      4,
    );
  });

  test('one that is there exactly is used, whatever the API server has filled in', () => {
    for (const extra of [{}, { defaultMode: 0o644 }]) {
      const present = { ...volume('podpass-tokens', source('a')), projected: { sources: [source('a')], ...extra } };
      const result = plan(podOf([container('web')], { volumes: [present] }), [token('a', ['web'])]);
      expect(result).toMatchObject({ volumes: [], problems: [] });
      expect(mounts(result)).toEqual({ web: ['podpass-tokens'] });
    }
  });

  test.each([
    ['another kind', { name: 'podpass-tokens', emptyDir: {} }],
    ['another audience', volume('podpass-tokens', source('b'))],
    ['another lifetime', volume('podpass-tokens', source('a', 600))],
    ['one token more', volume('podpass-tokens', source('a'), source('b'))],
    ['another mode', { name: 'podpass-tokens', projected: { sources: [source('a')], defaultMode: 0o600 } }],
    ['a second kind', { ...volume('podpass-tokens', source('a')), emptyDir: {} }],
    ['no content', { name: 'podpass-tokens' }],
    ['null', { name: 'podpass-tokens', projected: null }],
  ])('one of the same name with %s is a problem', (_, present) => {
    const { problems } = plan(podOf([container('web')], { volumes: [{ name: 'first' }, present] }), [
      token('a', ['web']),
    ]);
    expect(problems).toEqual([
      expect.objectContaining({
        object: 'Pod shop/web',
        key: expect.stringContaining('volumes[1]'),
        value: 'podpass-tokens',
      }),
    ]);
  });
});

describe('mounts', () => {
  const tokens = [token('a', ['web'])];
  const conflicts = (own: Partial<Container>, path?: string) =>
    plan(podOf([container('web', own), container('side', own)]), tokens, path).problems.map(({ wrong }) => wrong);

  test.each(['/tokens', '/tokens/', '//tokens/.', '/tokens/deep/er', 'tokens', '/x/../tokens'])(
    'one at %s would be hidden, which is a problem',
    (mountPath) => {
      expect(conflicts({ volumeMounts: [{ name: 'data', mountPath }] })).toHaveLength(1);
      expect(conflicts({ volumeDevices: [{ name: 'data', devicePath: mountPath }] })).toHaveLength(1);
    },
  );

  test.each(['/', '/token', '/tokens2', '/tokens.d', '/other/tokens'])('one at %s is fine', (mountPath) => {
    expect(conflicts({ volumeMounts: [{ name: 'data', mountPath }] })).toEqual([]);
  });

  test('the problem names the annotation, the container, the volume and both paths', () => {
    const { problems } = plan(
      podOf([container('web', { volumeMounts: [{ name: 'data', mountPath: '/tokens/x' }] })]),
      tokens,
    );
    expect(problems).toEqual([
      expect.objectContaining({ object: 'Pod shop/web', key: 'podpass.dev/mount-path', value: '/tokens' }),
    ]);
    for (const text of ['/tokens/x', '"web"', '"data"']) expect(problems[0]?.wrong).toContain(text);
  });

  test('every conflict of every container is a problem of its own', () => {
    const two = [
      { name: 'x', mountPath: '/tokens' },
      { name: 'y', mountPath: '/tokens/y' },
    ];
    const pod = podOf([container('web', { volumeMounts: two })], {
      initContainers: [container('init', { volumeMounts: two })],
    });
    expect(plan(pod, [token('a', ['web', 'init'])]).problems).toHaveLength(4);
  });

  const ours = volume('podpass-tokens', source('a'));
  test('ours that is there exactly stays the only one', () => {
    const pod = podOf(
      [container('web', { volumeMounts: [mountOf('podpass-tokens')] })],
      { volumes: [ours] },
      { [INJECTED]: 'a' },
    );
    expect(plan(pod, tokens)).toEqual({
      volumes: [],
      containers: [],
      sidecars: [],
      annotations: {},
      labels: {},
      problems: [],
      warnings: [],
    });
  });

  test.each([
    ['at another place', { name: 'podpass-tokens', mountPath: '/elsewhere', readOnly: true }],
    ['writable', { name: 'podpass-tokens', mountPath: FOLDER }],
    ['of a part of it', { ...mountOf('podpass-tokens'), subPath: 'a' }],
    ['with propagation', { ...mountOf('podpass-tokens'), mountPropagation: 'HostToContainer' }],
  ])('ours %s is a problem', (_, present) => {
    const { problems } = plan(podOf([container('web', { volumeMounts: [present] })], { volumes: [ours] }), tokens);
    expect(problems).toEqual([
      expect.objectContaining({
        object: 'Pod shop/web',
        key: expect.stringContaining('containers[0].volumeMounts[0]'),
      }),
    ]);
  });

  test('ours in a container that is to see other tokens or none is a problem', () => {
    const pod = podOf([container('web'), container('side', { volumeMounts: [mountOf('podpass-tokens')] })], {
      volumes: [ours],
    });
    expect(plan(pod, tokens).problems).toEqual([
      expect.objectContaining({ key: expect.stringContaining('containers[1].volumeMounts[0]') }),
    ]);
  });
});

describe('variables', () => {
  const env = (pod: Pod, path?: string) => plan(pod, [token('a', ['web'], { variable: 'A_FILE' })], path);
  const added = (pod: Pod, path?: string) => env(pod, path).containers.flatMap((each) => each.env);

  test('get the path of the file', () => {
    expect(added(podOf([container('web')]))).toEqual([{ name: 'A_FILE', value: '/tokens/a' }]);
  });

  test('of a Windows Pod are Windows paths', () => {
    const value = [{ name: 'A_FILE', value: 'C:\\var\\tokens\\a' }];
    expect(added(podOf([container('web')], { os: { name: 'windows' } }), '/var/tokens')).toEqual(value);
    expect(
      added(podOf([container('web')], { nodeSelector: { 'kubernetes.io/os': 'windows' } }), '/var/tokens'),
    ).toEqual(value);
    expect(
      added(podOf([container('web')], { os: { name: 'linux' }, nodeSelector: { 'kubernetes.io/os': 'linux' } })),
    ).toEqual([{ name: 'A_FILE', value: '/tokens/a' }]);
  });

  test('say the path after the kubelet has expanded $(…)', () => {
    expect(added(podOf([container('web')]), '/a$b/$(C)')).toEqual([{ name: 'A_FILE', value: '/a$$b/$$(C)/a' }]);
  });

  test.each([
    ['a value', { value: 'mine' }],
    ['no value', {}],
    ['a source', { valueFrom: { fieldRef: { fieldPath: 'spec.nodeName' } } }],
  ])('that exist with %s stay, with a warning', (_, rest) => {
    const pod = podOf([container('web', { env: [{ name: 'A_FILE', ...rest }] })]);
    expect(added(pod)).toEqual([]);
    expect(env(pod).warnings).toEqual([expect.stringMatching(/^Pod shop\/web: .*"web".*A_FILE/)]);
    expect(mounts(env(pod))).toEqual({ web: ['podpass-tokens'] });
  });

  test('that are right already are no warning', () => {
    const pod = podOf([container('web', { env: [{ name: 'A_FILE', value: '/tokens/a' }] })]);
    expect(env(pod)).toMatchObject({ warnings: [], problems: [] });
  });
});

test('in a second round only a container that was added meanwhile changes', () => {
  const tokens = [token('a', ['web', 'late'], { variable: 'A' }), token('b', ['late'])];
  const first = plan(podOf([container('web')]), tokens);
  const name = first.volumes[0]?.name ?? '';
  const pod = podOf(
    [container('web', { env: [{ name: 'A', value: '/tokens/a' }], volumeMounts: [mountOf(name)] }), container('late')],
    { volumes: [...first.volumes] },
    { [INJECTED]: 'a' },
  );
  const second = plan(pod, tokens);
  expect(second.problems).toEqual([]);
  expect(mounts(second)).toEqual({ late: ['podpass-tokens'] });
  expect(second.volumes.map((each) => each.name)).toEqual(['podpass-tokens']);
  expect(second.annotations).toEqual({ [INJECTED]: 'a,b' });
});

test('injected replaces what the user wrote, and is not written twice', () => {
  const injected = (written?: string) =>
    plan(podOf([container('web')], {}, written === undefined ? {} : { [INJECTED]: written }), [
      token('b', ['web']),
      token('a', []),
    ]).annotations[INJECTED];
  expect(injected()).toBe('b');
  expect(injected('mine')).toBe('b');
  expect(injected('b')).toBeUndefined();
});
