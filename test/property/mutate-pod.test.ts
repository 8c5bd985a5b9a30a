import fc from 'fast-check';
import jsonPatch, { type Operation } from 'fast-json-patch';
import { expect, test } from 'vitest';
import { annotationRows } from '../../src/catalog/annotations.ts';
import { type PresetName, presetRows } from '../../src/catalog/presets.ts';
import { listItems } from '../../src/codec.ts';
import { describeAll } from '../../src/fault.ts';
import { mutateDebugContainers } from '../../webhook/debug-containers.ts';
import { mutatePod } from '../../webhook/mutate-pod.ts';
import { type Container, containerPlaces, type Pod, readPod } from '../../webhook/pod.ts';
import { mutationSettings } from '../mutation-settings.ts';
import { printedSeed } from './seed.ts';

const seed = printedSeed('property tests of Pods');
const check = <Ts extends [unknown, ...unknown[]]>(property: fc.IProperty<Ts>, numRuns = 1000) =>
  fc.assert(property, { seed, numRuns });

const SETTINGS = mutationSettings(
  {
    presets: 'aws,azure,gcp',
    awsDefaultRegion: 'eu-central-1',
    azureTenantId: 'tenant',
    reservedAudiences: 'apiserver',
  },
  (_, name) => name === 'credentials',
);

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
  env: mostly(
    oneOf('TOKEN_FILE', 'A', 'API_FILE', 'B_1'),
    fc.oneof(noise, oneOf('PATH', 'lower', 'LD_X', 'AWS_REGION')),
  ),
  containers: mostly(list(oneOf('web')), list(oneOf(...CONTAINERS, 'nobody'))),
  'skip-containers': list(oneOf(...CONTAINERS, 'nobody')),
  'mount-path': mostly(
    oneOf('/srv/tokens', '/data/tokens', '/srv//./t/', '/a$(B)/c'),
    fc.oneof(noise, oneOf('/data', '/etc', 'srv', '/', '/a:b', '/var', '/var/run/secrets/azure')),
  ),
  inject: mostly(oneOf('true', ''), oneOf('false', 'no')),
  injected: noise,
};

const annotation = fc.oneof(
  {
    weight: 20,
    arbitrary: fc
      .constantFrom(...annotationRows.filter(({ key }) => !key.startsWith('oauth2-proxy')))
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

const lifetime = mostly(oneOf('3600', '2h', '86400', ''), fc.oneof(noise, oneOf('0', '-1', '5000000000', 'soon')));
const skipped = fc
  .tuple(fc.uniqueArray(oneOf(...CONTAINERS, 'nobody'), { maxLength: 3 }), oneOf(',', ', ', ';', ' ; '))
  .map(([names, by]) => names.join(by));
const PROVIDER = 'projects/1/locations/global/workloadIdentityPools/p/providers/c';
/** What presets read, mostly as it should be. */
const presetValue: Record<string, fc.Arbitrary<string>> = {
  'role-arn': mostly(fc.constant('arn:aws:iam::111122223333:role/r'), noise),
  audience: mostly(oneOf('sts.amazonaws.com', 'x'), oneOf('', 'apiserver', 'a b')),
  'token-expiration': lifetime,
  'service-account-token-expiration': mostly(oneOf('3600', '2h', ''), lifetime),
  'sts-regional-endpoints': oneOf('true', '0', 'no'),
  'skip-containers': skipped,
  'workload-identity-provider': mostly(fc.constant(PROVIDER), noise),
  'service-account-email': mostly(fc.constant('r@p.iam.gserviceaccount.com'), noise),
  'injection-mode': mostly(oneOf('direct', 'gcloud'), noise),
  'external-credentials-json': noise,
};
const PREFIXES = { aws: 'eks.amazonaws.com', azure: 'azure.workload.identity', gcp: 'cloud.google.com' };
const presetAnnotations = (on: 'Pod' | 'ServiceAccount') =>
  fc.array(
    fc
      .constantFrom(...presetRows.filter((row) => row.kind === 'annotation' && row.on.split(', ').includes(on)))
      .chain(({ preset, key }) => fc.tuple(fc.constant(`${PREFIXES[preset]}/${key}`), presetValue[key] ?? noise)),
    { maxLength: 2 },
  );
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
  fc.record({
    name: oneOf('TOKEN_FILE', 'HOME', 'X', 'AWS_ROLE_ARN', 'AWS_REGION', 'AWS_STS_REGIONAL_ENDPOINTS'),
    value: maybe(fc.string({ maxLength: 4 })),
  }),
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
        generateName: maybe(fc.constant('web-')),
        labels: maybe(
          fc.constantFrom<object>(
            {},
            { 'azure.workload.identity/use': 'true' },
            { 'eks.amazonaws.com/skip-pod-identity-webhook': '' },
          ),
        ),
        annotations: fc
          .tuple(manyAnnotations, presetAnnotations('Pod'))
          .map((entries) => Object.fromEntries(entries.flat())),
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
const accountOfPresets = fc
  .tuple(
    fc.subarray([
      ['eks.amazonaws.com/role-arn', 'arn:aws:iam::111122223333:role/r'],
      ['azure.workload.identity/client-id', 'client'],
      ['example.com/container-credentials', 'true'],
    ]),
    fc.constantFrom<[string, string][]>(
      [],
      [
        ['cloud.google.com/workload-identity-provider', PROVIDER],
        ['cloud.google.com/service-account-email', 'r@p.iam.gserviceaccount.com'],
      ],
    ),
    presetAnnotations('ServiceAccount'),
  )
  .map((entries) => Object.fromEntries(entries.flat()) as Record<string, string>);
const account: fc.Arbitrary<Record<string, string>> = fc.oneof(
  { weight: 2, arbitrary: fc.constant({}) },
  { weight: 1, arbitrary: annotations.map((entries) => Object.fromEntries(entries)) },
  { weight: 2, arbitrary: accountOfPresets },
);

// ---- the rules -------------------------------------------------------------------------------------------------------

const read = (value: unknown): Pod => {
  const reading = readPod(value);
  if ('wrong' in reading) throw new TypeError(reading.wrong);
  return reading.pod;
};
const accountOf = (annotations: Record<string, string>) => {
  const name = 'example.com/container-credentials' in annotations ? 'credentials' : 'app';
  return { namespace: 'shop', name, object: 'ServiceAccount shop/app', annotations };
};
const mutate = (value: unknown, serviceAccount: Record<string, string>) =>
  mutatePod(read(value), 'Pod shop/web', accountOf(serviceAccount), SETTINGS);
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
  const credentials = 'cloud.google.com/external-credentials-json';
  if (before.metadata?.annotations?.[credentials] === undefined) delete annotations[credentials];
  const labels = { ...(rest.metadata.labels as object) } as Record<string, string>;
  delete labels['eks.amazonaws.com/pod-identity'];
  if (before.metadata?.labels === undefined) delete rest.metadata.labels;
  else rest.metadata.labels = labels;
  const injected = before.metadata?.annotations?.['podpass.dev/injected'];
  if (injected === undefined) delete annotations['podpass.dev/injected'];
  else annotations['podpass.dev/injected'] = injected;
  if (before.metadata?.annotations === undefined) delete rest.metadata.annotations;
  else rest.metadata.annotations = annotations;
  return rest;
}

const outcomes = { injected: 0, unchanged: 0, denied: 0 };
const acted: Record<PresetName, number> = { aws: 0, azure: 0, gcp: 0 };

test('any Pod: the patch applies, adds only, keeps the rest, and a second round adds nothing', () => {
  check(
    fc.property(pod, account, (before, serviceAccount) => {
      const frozen = JSON.stringify(before);
      const { patch, problems, tokens, presets } = mutate(before, serviceAccount);
      expect(JSON.stringify(before)).toBe(frozen);
      for (const { name } of presets) acted[name as PresetName] += 1;
      outcomes[problems.length > 0 ? 'denied' : patch.length > 0 ? 'injected' : 'unchanged'] += 1;
      if (problems.length > 0) {
        expect([patch, tokens, presets]).toEqual([[], [], []]);
        expect(describeAll(problems)).toContain('; accepted: ');
        return;
      }
      for (const { op } of patch) expect(op).toBe('add');
      const after = apply(before, patch);
      expect(withoutAdditions(after, before)).toEqual(before);
      expect(mutate(after, serviceAccount)).toMatchObject({ patch: [], problems: [] });
      expect(after.metadata?.annotations?.['podpass.dev/injected'] ?? '').toBe(
        tokens.length + presets.length > 0
          ? [...tokens, ...presets].map(({ name }) => name).join(',')
          : (before.metadata?.annotations?.['podpass.dev/injected'] ?? ''),
      );
    }),
  );
  // The arbitraries are of use only while they reach every outcome.
  console.log(outcomes, acted);
  for (const count of [...Object.values(outcomes), ...Object.values(acted)]) expect(count).toBeGreaterThan(15);
});

test('debug containers of any Pod that was admitted get mounts of volumes that are there, or nothing, and are never refused', () => {
  const seen = { given: 0, nothing: 0, warned: 0 };
  check(
    fc.property(pod, account, fc.option(account), (before, serviceAccount, later) => {
      const { patch, problems } = mutate(before, serviceAccount);
      if (problems.length > 0) return;
      const there = [{ name: 'there' }];
      const admitted = apply(before, patch);
      const stored = { ...admitted, spec: { ...admitted.spec, ephemeralContainers: there } };
      const debug = (requested: NonNullable<Pod['spec']['ephemeralContainers']>) =>
        mutateDebugContainers(
          { stored: read(stored), requested },
          'Pod shop/web',
          // What a ServiceAccount asks for may have changed meanwhile.
          accountOf(later ?? serviceAccount),
          SETTINGS,
        );
      const requested = [{ name: 'debugger' }, ...there];
      const answer = debug(requested);
      expect(answer.problems).toEqual([]);
      const object = { spec: { ephemeralContainers: requested } };
      const after = apply(object, answer.patch).spec.ephemeralContainers as Container[];
      expect(
        answer.patch.every(({ op, path }) => op === 'add' && path.startsWith('/spec/ephemeralContainers/0/')),
      ).toBe(true);
      const mounts = after[0]?.volumeMounts ?? [];
      const volumes = new Set((stored.spec.volumes ?? []).map(({ name }) => name));
      for (const mount of mounts) expect([mount.name, volumes.has(mount.name)]).toEqual([mount.name, true]);
      expect(new Set(mounts.map(({ mountPath }) => mountPath)).size).toBe(mounts.length);
      expect(debug(after)).toMatchObject({ patch: [], problems: [] });
      expect(answer.tokens.length + answer.presets.length > 0).toBe(mounts.length > 0);
      seen[mounts.length > 0 ? 'given' : answer.warnings.length > 0 ? 'warned' : 'nothing'] += 1;
    }),
  );
  console.log(seen);
  for (const count of Object.values(seen)) expect(count).toBeGreaterThan(15);
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

const PRESET_VOLUMES: Record<PresetName, RegExp> = {
  aws: /^(aws-iam-token|eks-pod-identity-token)$/,
  azure: /^azure-workload-identity-reserved-[0-9a-f]{30}$/,
  gcp: /^(gcp-iam-token|external-credential-config)$/,
};

test("a preset's volumes are there exactly where it acts, each in a container that does not skip it", () => {
  check(
    fc.property(pod, account, (before, serviceAccount) => {
      const { patch, problems, presets } = mutate(before, serviceAccount);
      if (problems.length > 0) return;
      const { spec } = apply(before, patch);
      for (const [name, pattern] of Object.entries(PRESET_VOLUMES) as [PresetName, RegExp][]) {
        const acts = presets.some((preset) => preset.name === name);
        const volumes = (spec.volumes ?? []).filter((volume) => pattern.test(volume.name)).map((volume) => volume.name);
        expect(volumes).toHaveLength(acts ? (name === 'gcp' ? 2 : 1) : 0);
        const written = before.metadata?.annotations?.[`${PREFIXES[name]}/skip-containers`] ?? '';
        const skips = written.split(name === 'azure' ? ';' : ',').map((each) => each.trim());
        for (const { container: each } of containerPlaces(spec)) {
          const mounted = (each.volumeMounts ?? []).filter((one) => pattern.test(one.name)).map((one) => one.name);
          if (mounted.length > 0) expect(mounted.sort()).toEqual(volumes.sort());
          if (skips.includes(each.name)) expect(mounted).toEqual([]);
          // An aws container may be left alone because it has everything itself.
          else if (acts && name !== 'aws') expect(mounted).toHaveLength(volumes.length);
        }
      }
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
      expect([second.patch, second.tokens, second.presets]).toEqual([first.patch, first.tokens, first.presets]);
      expect(texts(second)).toEqual(texts(first));
    }),
  );
});

test('in a second round only containers added meanwhile change', () => {
  check(
    fc.property(pod, account, (before, serviceAccount) => {
      // What only the late container wants can be a conflict that was none before.
      fc.pre(!/podpass-tokens|external-credentials-json/.test(JSON.stringify(before)));
      fc.pre(!/"(AWS_REGION|.var.run.secrets.azure)"/.test(JSON.stringify([before.metadata, serviceAccount])));
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
        expect(path.startsWith(late) || path.startsWith('/spec/volumes') || path.startsWith('/metadata/')).toBe(true);
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

test('nor do presets', () => {
  const serviceAccount = {
    'eks.amazonaws.com/role-arn': 'arn:aws:iam::111122223333:role/r',
    'cloud.google.com/workload-identity-provider': PROVIDER,
    'cloud.google.com/service-account-email': 'r@p.iam.gserviceaccount.com',
  };
  const labels = { 'azure.workload.identity/use': 'true' };
  const skip = Array.from({ length: 20_000 }, (_, i) => `x${i}`).join(',');
  // As long as the longest key, so that each is compared with it.
  const misspelt = Array.from({ length: 1_500 }, (_, i) => [
    `azure.workload.identity/${String(i).padStart(32, 'x')}`,
    '',
  ]);
  const annotations = { 'cloud.google.com/skip-containers': skip, ...Object.fromEntries(misspelt) };
  for (const count of [1_000, 20_000]) {
    const containers = Array.from({ length: count }, (_, i) => ({ name: `c${i}` }));
    const started = process.cpuUsage();
    const { patch, problems, presets } = mutate(
      { metadata: { labels, annotations }, spec: { containers } },
      serviceAccount,
    );
    expect(process.cpuUsage(started).user / 1e6).toBeLessThan(1.5);
    expect(JSON.stringify(patch).length).toBeLessThan(16 * 1024 * 1024);
    expect([presets.length, problems.length]).toEqual(count === 1_000 ? [3, 0] : [0, 1]);
  }
});
