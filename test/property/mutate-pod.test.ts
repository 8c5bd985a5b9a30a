import fc from 'fast-check';
import jsonPatch, { type Operation } from 'fast-json-patch';
import { expect, test } from 'vitest';
import { annotationRows } from '../../src/catalog/annotations.ts';
import { listItems } from '../../src/codec.ts';
import { describeAll } from '../../src/fault.ts';
import { mutatePod } from '../../webhook/mutate-pod.ts';
import { containerPlaces, type Pod, readPod } from '../../webhook/pod.ts';

/** Printed, so that a failure can be run again: `PODPASS_TEST_SEED=… npx vitest run test/property`. */
const seed = Number(process.env.PODPASS_TEST_SEED ?? Date.now() % 2 ** 31);
console.log(`property tests: seed ${seed}`);
const check = <Ts extends [unknown, ...unknown[]]>(property: fc.IProperty<Ts>, numRuns = 1000) =>
  fc.assert(property, { seed, numRuns });

const SETTINGS = {
  annotationPrefix: 'podpass.dev',
  mountPath: '/var/run/secrets/podpass.dev/tokens',
  tokenExpiration: 3600,
  reservedAudiences: new Set(['apiserver']),
};

// ---- arbitraries -----------------------------------------------------------------------------------------------------

const CONTAINERS = ['web', 'side', 'init', 'proxy', 'constructor'];
const TOKENS = ['api', 'vault', 'a.b', 'x-1', 'constructor', 'toString'];
const AUDIENCES = [...TOKENS, 'https://api.example/v1', 'urn:x', 'spiffe://d/w'];
const oneOf = (...values: readonly string[]) => fc.constantFrom(...values);
const mostly = (good: fc.Arbitrary<string>, near: fc.Arbitrary<string>) =>
  fc.oneof({ weight: 12, arbitrary: good }, { weight: 1, arbitrary: near });
const list = (item: fc.Arbitrary<string>) =>
  fc.tuple(fc.uniqueArray(item, { maxLength: 3 }), oneOf(',', ' ', ', ', ' ,\n')).map(([items, by]) => items.join(by));
const noise = fc.oneof(fc.string({ unit: 'binary', maxLength: 12 }), oneOf('', ' ', ',', '...', '/', '---'));

const value: Record<string, fc.Arbitrary<string>> = {
  audiences: mostly(list(oneOf(...AUDIENCES)), fc.oneof(noise, list(oneOf('apiserver', '---', 'x'.repeat(64))))),
  audience: mostly(oneOf(...AUDIENCES, ' padded '), fc.oneof(noise, oneOf('a b', 'apiserver'))),
  expiration: mostly(
    oneOf('600', '10m', ' 1h ', '24h', '4294967296'),
    fc.oneof(noise, oneOf('599', '1h30m', '-1h', '1e3')),
  ),
  env: mostly(oneOf('TOKEN_FILE', 'A', 'API_FILE', 'B_1'), fc.oneof(noise, oneOf('PATH', 'lower', 'LD_X'))),
  containers: mostly(list(oneOf('web')), list(oneOf(...CONTAINERS, 'nobody'))),
  'skip-containers': list(oneOf(...CONTAINERS, 'nobody')),
  'mount-path': mostly(
    oneOf('/srv/tokens', '/data/tokens', '/srv//./t/', '/a$(B)/c'),
    fc.oneof(noise, oneOf('/data', '/etc', 'srv', '/', '/a:b', '/var')),
  ),
  inject: mostly(oneOf('true', ''), oneOf('false', 'no')),
  injected: noise,
};

const annotation = fc.oneof(
  {
    weight: 20,
    arbitrary: fc
      .constantFrom(...annotationRows)
      .chain(({ key, named }) =>
        fc.tuple(
          named ? oneOf(...TOKENS).map((name) => `podpass.dev/${key}.${name}`) : fc.constant(`podpass.dev/${key}`),
          value[key] ?? noise,
        ),
      ),
  },
  // What asks for tokens, so that options have something to be about.
  {
    weight: 20,
    arbitrary: fc.tuple(
      oneOf(...TOKENS).map((name) => `podpass.dev/audience.${name}`),
      value.audience ?? noise,
    ),
  },
  {
    weight: 1,
    arbitrary: fc.tuple(
      oneOf(
        'podpass.dev/',
        'podpass.dev/x',
        'podpass.dev/audience.',
        'podpass.dev/expiry.api',
        '__proto__',
        'example.com/audiences',
      ),
      noise,
    ),
  },
);
const annotations = fc.array(annotation, { maxLength: 7 });
const manyAnnotations = fc.oneof(annotations, fc.constant([['podpass.dev/audiences', 'vault']] as [string, string][]));

const maybe = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });
const unknown = fc.oneof(
  { weight: 3, arbitrary: fc.constant({}) },
  { weight: 1, arbitrary: fc.record({ futureField: fc.jsonValue({ maxDepth: 2 }) }) },
);
const withUnknown = <T extends object>(arbitrary: fc.Arbitrary<T>) =>
  fc.tuple(arbitrary, unknown).map(([known, more]) => ({ ...known, ...more }));
/** Without the members that are undefined, as JSON has none. */
const asJson = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T;

const listOf = <T>(item: fc.Arbitrary<T>, by: (item: T) => unknown) =>
  fc.oneof(
    { weight: 1, arbitrary: fc.constant(null) },
    { weight: 3, arbitrary: fc.uniqueArray(item, { maxLength: 3, selector: by }) },
  );
const env = withUnknown(
  fc.record({ name: oneOf('TOKEN_FILE', 'HOME', 'X'), value: maybe(fc.string({ maxLength: 4 })) }),
);
const mount = withUnknown(
  fc.record({
    name: oneOf('data', 'podpass-tokens', 'other'),
    mountPath: oneOf('/data', '/data/in', '/other', '/srv', 'relative'),
    readOnly: maybe(fc.boolean()),
  }),
);
const container: fc.Arbitrary<object> = withUnknown(
  fc.record({
    image: maybe(fc.constant('a:1')),
    env: maybe(listOf(env, ({ name }) => name)),
    volumeMounts: maybe(listOf(mount, ({ mountPath }) => mountPath)),
    restartPolicy: maybe(fc.constant('Always')),
  }),
);
const volume = withUnknown(
  fc.oneof(
    { weight: 9, arbitrary: fc.record({ name: oneOf('data', 'other', 'tmp'), emptyDir: fc.constant({}) }) },
    { weight: 1, arbitrary: fc.record({ name: fc.constant('podpass-tokens'), emptyDir: fc.constant({}) }) },
  ),
);

const pod: fc.Arbitrary<Pod> = fc
  .record({
    metadata: withUnknown(
      fc.record({
        name: maybe(fc.constant('web')),
        annotations: manyAnnotations.map((entries) => Object.fromEntries(entries)),
      }),
    ),
    more: unknown,
    names: fc.shuffledSubarray(CONTAINERS, { minLength: 1 }),
    inits: fc.nat({ max: 2 }),
    bodies: fc.array(container, { minLength: 5, maxLength: 5 }),
    volumes: maybe(listOf(volume, ({ name }) => name)),
    nodeSelector: maybe(fc.constantFrom(null, { 'kubernetes.io/os': 'windows' }, {})),
    os: maybe(fc.constantFrom(null, { name: 'windows' }, { name: 'linux' })),
  })
  .map(({ metadata, more, names, inits, bodies, ...rest }) => {
    const all = names.map((name, index) => ({ name, ...bodies[index] }));
    return asJson({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata,
      spec: {
        ...rest,
        ...more,
        initContainers: all.slice(0, Math.min(inits, all.length - 1)),
        containers: all.slice(Math.min(inits, all.length - 1)),
      },
    }) as Pod;
  });
const account = fc.oneof(
  { weight: 2, arbitrary: fc.constant({}) },
  { weight: 1, arbitrary: annotations.map((entries) => Object.fromEntries(entries)) },
);

// ---- the rules -------------------------------------------------------------------------------------------------------

const mutate = (value: unknown, serviceAccount: Record<string, string>) => {
  const reading = readPod(value);
  if ('wrong' in reading) throw new TypeError(reading.wrong);
  return mutatePod(
    reading.pod,
    'Pod shop/web',
    { object: 'ServiceAccount shop/app', annotations: serviceAccount },
    SETTINGS,
  );
};
const apply = <T>(value: T, patch: readonly object[]): T =>
  jsonPatch.applyPatch(structuredClone(value), structuredClone(patch) as Operation[], true).newDocument as T;

/** A Pod without what podpass may add, so that what remains has to be the Pod before. */
function withoutAdditions(admitted: Pod, before: Pod): unknown {
  const rest = structuredClone(admitted) as { metadata: Record<string, unknown>; spec: Record<string, unknown> };
  const cut = (object: Record<string, unknown>, key: string, original: unknown) => {
    if (original === undefined) delete object[key];
    else object[key] = original === null ? null : (object[key] as unknown[]).slice(0, (original as unknown[]).length);
  };
  cut(rest.spec, 'volumes', before.spec.volumes);
  for (const [index, { list: where, index: at, container: original }] of containerPlaces(before.spec).entries()) {
    const place = containerPlaces(rest.spec as unknown as Pod['spec'])[index];
    expect([place?.list, place?.index]).toEqual([where, at]);
    for (const key of ['env', 'volumeMounts'] as const)
      cut(place?.container as unknown as Record<string, unknown>, key, original[key]);
  }
  const annotations = { ...(rest.metadata.annotations as object) } as Record<string, string>;
  const injected = before.metadata?.annotations?.['podpass.dev/injected'];
  if (injected === undefined) delete annotations['podpass.dev/injected'];
  else annotations['podpass.dev/injected'] = injected;
  if (before.metadata?.annotations === undefined) delete rest.metadata.annotations;
  else rest.metadata.annotations = annotations;
  return rest;
}

const outcomes = { injected: 0, unchanged: 0, denied: 0 };

test('any Pod: the patch applies, adds only, keeps the rest, and a second round adds nothing', () => {
  check(
    fc.property(pod, account, (before, serviceAccount) => {
      const frozen = JSON.stringify(before);
      const { patch, problems, tokens } = mutate(before, serviceAccount);
      expect(JSON.stringify(before)).toBe(frozen);
      outcomes[problems.length > 0 ? 'denied' : patch.length > 0 ? 'injected' : 'unchanged'] += 1;
      if (problems.length > 0) {
        expect([patch, tokens]).toEqual([[], []]);
        expect(describeAll(problems)).toContain('; accepted: ');
        return;
      }
      for (const { op } of patch) expect(op).toBe('add');
      const after = apply(before, patch);
      expect(withoutAdditions(after, before)).toEqual(before);
      expect(mutate(after, serviceAccount)).toMatchObject({ patch: [], problems: [] });
      expect(after.metadata?.annotations?.['podpass.dev/injected'] ?? '').toBe(
        tokens.length > 0
          ? tokens.map(({ name }) => name).join(',')
          : (before.metadata?.annotations?.['podpass.dev/injected'] ?? ''),
      );
    }),
  );
  // The arbitraries are of use only while they reach every outcome.
  console.log(outcomes);
  for (const count of Object.values(outcomes)) expect(count).toBeGreaterThan(30);
});

test('every container sees exactly its own tokens, in one mount', () => {
  check(
    fc.property(pod, account, (before, serviceAccount) => {
      const { patch, problems, tokens } = mutate(before, serviceAccount);
      if (problems.length > 0) return;
      const { spec } = apply(before, patch);
      const skipped = listItems(
        { ...serviceAccount, ...before.metadata?.annotations }['podpass.dev/skip-containers'] ?? '',
      );
      for (const { container: each } of containerPlaces(spec)) {
        const wanted = tokens.filter(({ containers }) => containers.has(each.name));
        const ours = (each.volumeMounts ?? []).filter(({ name }) => name.startsWith('podpass-tokens'));
        const mounted = ours.filter(({ name }) =>
          (spec.volumes ?? []).some((v) => v.name === name && 'projected' in v),
        );
        expect(mounted).toHaveLength(wanted.length > 0 ? 1 : 0);
        if (skipped.includes(each.name)) expect(wanted).toEqual([]);
        if (wanted.length === 0) continue;
        expect(mounted[0]).toMatchObject({ readOnly: true });
        const source = spec.volumes?.find(({ name }) => name === mounted[0]?.name) as unknown as {
          projected: { sources: { serviceAccountToken: object }[] };
        };
        expect(source.projected.sources.map(({ serviceAccountToken }) => serviceAccountToken)).toEqual(
          wanted.map(({ name, audience, expirationSeconds }) => ({ audience, expirationSeconds, path: name })),
        );
        for (const { variable, name } of wanted) {
          if (variable === undefined) continue;
          const before_ =
            containerPlaces(before.spec).find((place) => place.container.name === each.name)?.container.env ?? [];
          const set = (each.env ?? []).filter((entry) => entry.name === variable);
          expect(set.length).toBeGreaterThan(0);
          if (!before_.some((entry) => entry.name === variable)) expect(set[0]?.value?.endsWith(name)).toBe(true);
        }
      }
      const names = (spec.volumes ?? []).map(({ name }) => name);
      expect(new Set(names).size).toBe(names.length);
    }),
  );
});

test('the order of annotations does not matter', () => {
  check(
    fc.property(pod, account, fc.infiniteStream(fc.nat()), (before, serviceAccount, random) => {
      const shuffled = (map: object = {}) =>
        Object.fromEntries(
          Object.entries(map)
            .map((entry) => [random.next().value as number, entry] as const)
            .sort(([a], [b]) => a - b)
            .map(([, entry]) => entry),
        );
      const other = {
        ...before,
        metadata: { ...before.metadata, annotations: shuffled(before.metadata?.annotations ?? {}) },
      };
      const first = mutate(before, serviceAccount);
      const second = mutate(other, shuffled(serviceAccount));
      const texts = ({ problems, warnings }: typeof first) => [
        problems.map(({ object, key, value }) => `${object} ${key} ${value}`).sort(),
        [...warnings].sort(),
      ];
      expect([second.patch, second.tokens]).toEqual([first.patch, first.tokens]);
      expect(texts(second)).toEqual(texts(first));
    }),
  );
});

test('in a second round only containers added meanwhile change', () => {
  check(
    fc.property(pod, account, (before, serviceAccount) => {
      // A name of ours that only the late container needs is a conflict that was none before.
      fc.pre(!JSON.stringify(before.spec).includes('podpass-tokens'));
      const first = mutate(before, serviceAccount);
      if (first.problems.length > 0) return;
      const after = apply(before, first.patch);
      const more = {
        ...after,
        spec: { ...after.spec, containers: [...(after.spec.containers ?? []), { name: 'late' }] },
      } as Pod;
      const second = mutate(more, serviceAccount);
      const late = `/spec/containers/${after.spec.containers?.length ?? 0}/`;
      expect(second.problems).toEqual([]);
      for (const { path } of second.patch)
        expect(
          path.startsWith(late) ||
            path.startsWith('/spec/volumes') ||
            path === '/metadata/annotations/podpass.dev~1injected',
        ).toBe(true);
    }),
    500,
  );
});

test('anything that is JSON is a Pod, or is said not to be one', () => {
  check(
    fc.property(fc.jsonValue({ maxDepth: 5 }), fc.jsonValue(), (spec, metadata) => {
      const reading = readPod({ spec, metadata });
      if ('wrong' in reading) expect(reading.wrong).toMatch(/must be/);
      else mutatePod(reading.pod, 'Pod a/b', undefined, SETTINGS);
    }),
  );
});

test('a small request does not ask for an answer that no API server would take, or for seconds of work', () => {
  const annotations = Object.fromEntries(
    Array.from({ length: 250 }, (_, i) => [
      [`podpass.dev/audience.a${i}`, 'x'],
      [`podpass.dev/env.a${i}`, `A${i}`],
    ]).flat(),
  );
  const containers = Array.from({ length: 20_000 }, (_, i) => ({ name: `c${i}` }));
  const started = process.cpuUsage();
  const { patch } = mutate({ metadata: { annotations }, spec: { containers } }, {});
  expect(process.cpuUsage(started).user / 1e6).toBeLessThan(1.5);
  expect(JSON.stringify(patch).length).toBeLessThan(16 * 1024 * 1024);
});
