import fc from 'fast-check';
import jsonPatch, { type Operation } from 'fast-json-patch';
import { expect, test } from 'vitest';
import { mutatePod } from '../../webhook/mutate-pod.ts';
import { type Pod, readPod } from '../../webhook/pod.ts';
import { mutationSettings } from '../mutation-settings.ts';
import { printedSeed } from './seed.ts';

const seed = printedSeed('property tests of oauth2-proxy');

const SETTINGS = mutationSettings({ oauth2ProxyIssuer: 'https://issuer.example.com' });
const PROXY = 'podpass-oauth2-proxy';

// ---- arbitraries -----------------------------------------------------------------------------------------------------

const oneOf = (...values: readonly string[]) => fc.constantFrom(...values);
const maybe = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined, freq: 3 });
const noise = fc.string({ unit: 'binary', maxLength: 8 });
const mostly = (good: fc.Arbitrary<string>) =>
  fc.oneof({ weight: 30, arbitrary: good }, { weight: 1, arbitrary: noise });

const CALLER = 'system:serviceaccount:billing:worker';
const annotations = fc
  .record({
    'oauth2-proxy': mostly(oneOf('http', 'http', 'grpc', '8080', '81')),
    'oauth2-proxy-audiences': mostly(oneOf('shop', 'shop, $(A)', 'https://shop.example.com vault')),
    'oauth2-proxy-callers': maybe(mostly(oneOf(CALLER, CALLER, `${CALLER} system:serviceaccount:a:b`, '*'))),
    'oauth2-proxy-callers-config-map': fc.option(mostly(oneOf('callers')), { nil: undefined, freq: 1 }),
    'oauth2-proxy-port': fc.option(mostly(oneOf('4180', '8180')), { nil: undefined, freq: 1 }),
    'oauth2-proxy-skip-paths': maybe(mostly(oneOf('/healthz', '/a, /b.c'))),
    'oauth2-proxy-ca-config-map': maybe(mostly(oneOf('ca'))),
    'oauth2-proxy-resources': maybe(mostly(oneOf('limits.cpu=1'))),
    audiences: maybe(oneOf('vault', 'vault, api')),
    'skip-containers': maybe(oneOf('web', 'side')),
  })
  .map((record) =>
    Object.fromEntries(
      Object.entries(record).flatMap(([key, value]) => (value === undefined ? [] : [[`podpass.dev/${key}`, value]])),
    ),
  );

const port = fc.record({
  name: maybe(oneOf('http', 'http', 'grpc', 'metrics')),
  containerPort: fc.constantFrom(8080, 81, 9090, 4181),
  protocol: fc.option(oneOf('TCP', 'UDP'), { nil: undefined, freq: 1 }),
});
const target = fc.oneof(oneOf('http', 'grpc', 'other'), fc.constant(8080));
const handler = fc.oneof(
  target.map((to) => ({ httpGet: { path: '/', port: to } })),
  target.map((to) => ({ tcpSocket: { port: to, host: 'h' } })),
  fc.constant({ exec: { command: ['true'] } }),
  fc.jsonValue({ maxDepth: 2 }),
);
const container = fc.record({
  image: maybe(fc.constant('a:1')),
  ports: maybe(fc.uniqueArray(port, { maxLength: 3, selector: ({ name }) => name })),
  livenessProbe: maybe(handler),
  readinessProbe: maybe(handler),
  startupProbe: maybe(handler),
  lifecycle: maybe(fc.record({ preStop: maybe(handler), postStart: maybe(handler) })),
  restartPolicy: maybe(fc.constant('Always')),
  futureField: maybe(fc.jsonValue({ maxDepth: 2 })),
});
const pod = fc
  .record({
    annotations,
    bodies: fc.array(container, { minLength: 3, maxLength: 3 }),
    inits: fc.nat({ max: 2 }),
    hostNetwork: fc.option(fc.boolean(), { nil: undefined, freq: 1 }),
  })
  .map(({ annotations: written, bodies, inits, hostNetwork }) => {
    const all = bodies.map((body, index) => ({ name: ['web', 'side', 'init'][index], ...body }));
    const spec = { hostNetwork, initContainers: all.slice(3 - inits), containers: all.slice(0, 3 - inits) };
    return JSON.parse(JSON.stringify({ metadata: { name: 'web', annotations: written }, spec })) as Pod;
  });

// ---- the rules -------------------------------------------------------------------------------------------------------

const account = { namespace: 'shop', name: 'app', object: 'ServiceAccount shop/app', annotations: {} };

function mutate(value: unknown) {
  const reading = readPod(value);
  if ('wrong' in reading) throw new TypeError(reading.wrong);
  return mutatePod(reading.pod, 'Pod shop/web', account, SETTINGS);
}
const apply = <T>(value: T, patch: readonly object[]): T =>
  jsonPatch.applyPatch(structuredClone(value), structuredClone(patch) as Operation[], true).newDocument as T;

interface Raw {
  metadata: { annotations: Record<string, string> };
  spec: { volumes?: { name: string }[]; initContainers: RawContainer[]; containers: RawContainer[] };
}
interface RawContainer {
  name: string;
  ports?: { name?: string; containerPort: number }[];
  args?: string[];
  [member: string]: unknown;
}

/** The Pod without what was added, and with the names that were taken over given back. */
function restored(after: Raw, before: Raw): Raw {
  const rest = structuredClone(after);
  for (const list of ['initContainers', 'containers'] as const) {
    rest.spec[list] = rest.spec[list].filter(({ name }) => name !== PROXY);
    for (const [index, each] of rest.spec[list].entries()) {
      const was = before.spec[list][index];
      // Tokens are the matter of other tests.
      if (was?.volumeMounts === undefined) delete each.volumeMounts;
    }
  }
  delete rest.spec.volumes;
  for (const key of ['podpass.dev/injected', 'podpass.dev/oauth2-proxy-allowed']) delete rest.metadata.annotations[key];
  const name = before.metadata.annotations['podpass.dev/oauth2-proxy']?.trim() ?? '';
  for (const list of ['initContainers', 'containers'] as const)
    for (const each of rest.spec[list]) {
      const taken = each.ports?.find((one) => one.name === 'unprotected');
      if (taken === undefined) continue;
      taken.name = name;
      const was = before.spec[list].find((one) => one.name === each.name);
      for (const path of HANDLERS) {
        const [now, then] = [holderOf(each, path), holderOf(was, path)];
        if (now?.port === taken.containerPort && then?.port === name) now.port = name;
      }
    }
  return rest;
}

const HANDLERS = [
  ...['startupProbe', 'livenessProbe', 'readinessProbe'].map((probe) => [probe]),
  ...['postStart', 'preStop'].map((hook) => ['lifecycle', hook]),
].flatMap((path) => ['httpGet', 'tcpSocket'].map((action) => [...path, action]));

function holderOf(value: unknown, path: readonly string[]): { port?: unknown } | undefined {
  let inner = value as Record<string, unknown> | undefined;
  for (const key of path) inner = inner?.[key] as Record<string, unknown> | undefined;
  return typeof inner === 'object' && inner !== null ? inner : undefined;
}

const outcomes = { byName: 0, byNumber: 0, denied: 0 };

test('any Pod: all but the name of a port and what goes to it stays, and a second round adds nothing', () => {
  fc.assert(
    fc.property(pod, (before) => {
      const { patch, problems, protects } = mutate(before);
      if (problems.length > 0) {
        outcomes.denied += 1;
        expect([patch, protects]).toEqual([[], undefined]);
        return;
      }
      if (protects === undefined) return;
      for (const { op } of patch) expect(op).toBe('add');
      const raw = before as unknown as Raw;
      const after = apply(raw, patch);
      expect(restored(after, raw)).toEqual(raw);
      expect(mutate(after)).toMatchObject({ patch: [], problems: [] });

      const all = [...after.spec.initContainers, ...after.spec.containers];
      const proxies = all.filter(({ name }) => name === PROXY);
      expect(proxies).toHaveLength(1);
      const [proxy] = proxies;
      const wanted = raw.metadata.annotations['podpass.dev/oauth2-proxy']?.trim() ?? '';
      const byName = !/^\d+$/.test(wanted);
      outcomes[byName ? 'byName' : 'byNumber'] += 1;
      expect(proxy?.args).toContain(`--upstream=http://127.0.0.1:${protects.port}`);
      // Who looks for the name finds oauth2-proxy, and nobody else.
      const names = all.flatMap(({ ports = [] }) => ports.map(({ name }) => name));
      const own = proxy?.ports?.[0]?.name;
      expect(own).toBe(byName ? wanted : 'oauth2-proxy');
      expect(names.filter((name) => name === own)).toHaveLength(1);
      expect(byName || !names.includes('unprotected')).toBe(true);
      // What goes to the port by its name would go nowhere.
      const renamed = all.find(({ ports = [] }) => ports.some(({ name }) => name === 'unprotected'));
      if (byName) for (const path of HANDLERS) expect(holderOf(renamed, path)?.port).not.toBe(wanted);
      // Tokens are not its matter.
      const mounts = (proxy?.volumeMounts ?? []) as { name: string }[];
      expect(mounts.every(({ name }) => name.startsWith(PROXY))).toBe(true);
    }),
    { seed, numRuns: 1000 },
  );
  console.log(outcomes);
  for (const count of Object.values(outcomes)) expect(count).toBeGreaterThan(15);
});
