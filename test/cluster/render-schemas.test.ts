/**
 * What podpass render prints for Istio, Envoy Gateway, Gateway API and Traefik, created on a real API server that has
 * their own CRDs: schemas, and the rules in them.
 */
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import type { ConsumerName } from '../../src/catalog/consumers.ts';
import type { Facts } from '../../src/cli/render/facts.ts';
import { everyOutput, outputOf, sampleFacts } from '../render-facts.ts';
import { type ControlPlane, type KubeObject, startControlPlane } from './control-plane.ts';
import { downloadedModule } from './downloaded-module.ts';
import { until } from './podpass.ts';
import { clusterBinaries, describeCluster } from './suite.ts';

const NAMESPACE = 'shop';

/** The CRDs of what is printed, by plural: the file in a module of test/go/consumers. */
const EXPERIMENTAL = ['sigs.k8s.io/gateway-api', 'config/crd/experimental/gateway.networking.k8s.io_httproutes.yaml'];
const STANDARD = ['sigs.k8s.io/gateway-api', 'config/crd/standard/gateway.networking.k8s.io_httproutes.yaml'];
const ISTIO = ['istio.io/api', 'kubernetes/customresourcedefinitions.gen.yaml'];
const TRAEFIK = [
  'github.com/traefik/traefik/v3',
  'docs/content/reference/dynamic-configuration/kubernetes-crd-definition-v1.yml',
];
const ENVOY_GATEWAY = [
  'github.com/envoyproxy/gateway',
  'charts/gateway-helm/charts/crds/crds/generated/gateway.envoyproxy.io_securitypolicies.yaml',
];
const kinds: Readonly<Record<string, { plural: string; file: readonly string[] }>> = {
  RequestAuthentication: { plural: 'requestauthentications', file: ISTIO },
  AuthorizationPolicy: { plural: 'authorizationpolicies', file: ISTIO },
  SecurityPolicy: { plural: 'securitypolicies', file: ENVOY_GATEWAY },
  HTTPRoute: { plural: 'httproutes', file: EXPERIMENTAL },
  Middleware: { plural: 'middlewares', file: TRAEFIK },
};

async function definition([module = '', path = '']: readonly string[], plural: string): Promise<KubeObject> {
  const text = await readFile(join(await downloadedModule('consumers', module), path), 'utf8');
  const found = parseAllDocuments(text)
    .map((document) => document.toJS() as KubeObject | null)
    .find((object) => object?.kind === 'CustomResourceDefinition' && object.metadata.name?.startsWith(`${plural}.`));
  if (found === undefined || found === null) throw new Error(`${module} has no CRD ${plural} in ${path}`);
  return found;
}

const jwks = JSON.stringify({ keys: [{ kty: 'RSA', kid: 'a', use: 'sig', alg: 'RS256', n: 'AQAB', e: 'AQAB' }] });
/** Facts with which outputs have all of their fields, and none that can be left out. */
const variants: Readonly<Record<string, Facts>> = {
  'the sample': sampleFacts(),
  'all options': sampleFacts({
    options: {
      name: 'a.name',
      namespace: NAMESPACE,
      selector: { app: 'web', 'example.com/tier': 'front' },
      otherCaller: [
        { issuer: 'https://token.actions.githubusercontent.com', subject: 'repo:acme/app:ref:refs/heads/x' },
      ],
    },
  }),
  'the keys in it': sampleFacts({ inlineKeys: true, keys: { jwks, pem: [], algorithms: ['RS256'] } }),
};

/** What prints objects: the catalog says of each that it is checked here. */
const OUTPUTS = [
  ...['traefik -o kubernetes', 'istio -o jwt', 'istio -o ext-authz', 'istio -o authentik'],
  ...['envoy-gateway -o jwt', 'envoy-gateway -o ext-authz', 'gateway-api -o external-auth'],
];

interface Printed {
  /** Of the command. */
  readonly output: string;
  readonly name: string;
  readonly object: KubeObject;
}

/** What is printed as YAML; with the keys in it, only what takes them. */
const outputs = Object.entries(variants).flatMap(([variant, facts]) =>
  everyOutput(facts)
    .filter(({ row }) => row.syntax === 'yaml' && (!facts.inlineKeys || row.inline === true))
    .map((output) => ({ ...output, variant })),
);

/** Objects of Kubernetes among that; configuration files and values of charts are none. */
const printed: readonly Printed[] = outputs.flatMap(({ consumer, format, text, variant }) =>
  parseAllDocuments(text)
    .map((document) => document.toJS() as KubeObject | null)
    .filter((object) => object?.kind !== undefined)
    .map((object) => ({
      output: `${consumer} -o ${format}`,
      name: `${consumer} -o ${format}: ${object?.kind}, ${variant}`,
      object: object as KubeObject,
    })),
);

/** The same with a member that no object has, once for each object in it, a string where a map has strings. */
function* spoiled(value: unknown, path = ''): Generator<{ path: string; value: unknown }> {
  if (typeof value !== 'object' || value === null) return;
  if (Array.isArray(value)) {
    for (const [index, member] of value.entries())
      for (const each of spoiled(member, `${path}[${index}]`))
        yield { path: each.path, value: value.with(index, each.value) };
    return;
  }
  yield { path, value: { ...value, notAField: 1 } };
  for (const [key, member] of Object.entries(value))
    for (const each of spoiled(member, `${path}.${key}`))
      yield { path: each.path, value: { ...value, [key]: each.value } };
}

describeCluster('podpass render, against the CRDs of its consumers', () => {
  let cluster: ControlPlane;
  const crdPath = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';

  const create = ({ apiVersion, kind, metadata, ...rest }: KubeObject, query = '') =>
    cluster.request(
      'POST',
      `/apis/${apiVersion}/namespaces/${NAMESPACE}/${kinds[kind ?? '']?.plural ?? kind}?fieldValidation=Strict${query}`,
      { apiVersion, kind, metadata: { namespace: NAMESPACE, ...metadata }, ...rest },
    );
  const tried = (object: KubeObject) => create(object, '&dryRun=All');

  beforeAll(async () => {
    cluster = await startControlPlane({ binaries: clusterBinaries() });
    await cluster.createNamespace(NAMESPACE);
    for (const { plural, file } of Object.values(kinds))
      await cluster.expect('POST', crdPath, await definition(file, plural));
    for (const { object } of printed)
      await until(`the API of ${object.kind}`, async () => (await tried(object)).status !== 404);
  });
  afterAll(() => cluster?.stop());

  it('prints objects of each of these kinds, and of no other', () => {
    expect(outputs.filter(({ problems }) => problems.length > 0)).toEqual([]);
    expect(new Set(printed.map(({ output }) => output))).toEqual(new Set(OUTPUTS));
    expect(new Set(printed.map(({ object }) => object.kind))).toEqual(new Set(Object.keys(kinds)));
  });

  it.each(printed.map(({ name, object }) => [name, object] as const))('%s is taken, strictly', async (_, object) => {
    // One name for each, so that a second try is no conflict.
    const name = `${object.metadata.name}-${randomBytes(4).toString('hex')}`;
    const { status, warnings, body } = await create({ ...object, metadata: { ...object.metadata, name } });
    expect(status, JSON.stringify(body)).toBe(201);
    expect(warnings).toEqual([]);
    // Nothing is lost on the way, as it is with fields that a schema does not have.
    expect(body).toMatchObject({ spec: object.spec });
  });

  it.each(printed.map(({ name, object }) => [name, object] as const))(
    '%s is refused with one field more, wherever that is',
    async (_, object) => {
      const all = [...spoiled(object.spec)];
      expect(all.length).toBeGreaterThan(1);
      for (const { path, value } of all) {
        const { status, body } = await tried({ ...object, spec: value });
        expect([status, path, JSON.stringify(body)]).toEqual([
          expect.toSatisfy((code: number) => code === 400 || code === 422),
          path,
          expect.stringContaining('notAField'),
        ]);
      }
    },
  );

  /** The one object of a kind, with a text in its place replaced. */
  const changed = (consumer: ConsumerName, format: string, from: string, to: string): KubeObject => {
    const text = outputOf(consumer, format);
    expect(text).toContain(from);
    return parse(text.split('---\n')[0]?.replace(from, to) ?? '');
  };

  it.each([
    ['istio', 'jwt', 'jwksUri: https:', 'jwksUri: ftp:', 'spec.jwtRules[0].jwksUri'],
    ['istio', 'ext-authz', 'action: CUSTOM', 'action: ASK', 'spec.action: Unsupported value'],
    ['envoy-gateway', 'jwt', 'defaultAction: Deny', 'defaultAction: Refuse', 'spec.authorization.defaultAction'],
    ['envoy-gateway', 'ext-authz', 'kind: HTTPRoute', 'kind: Service', 'spec'],
    ['gateway-api', 'external-auth', 'protocol: HTTP', 'protocol: TCP', 'protocol: Unsupported value'],
    ['traefik', 'kubernetes', 'trustForwardHeader: false', 'trustForwardHeader: "no"', 'trustForwardHeader'],
  ] as const)('%s -o %s with %s changed to %s is refused', async (consumer, format, from, to, said) => {
    const { status, body } = await tried(changed(consumer, format, from, to));
    expect([status, JSON.stringify(body)]).toEqual([422, expect.stringContaining(said)]);
  });

  it('needs the experimental channel of Gateway API, as it says', async () => {
    const route = parse(outputOf('gateway-api', 'external-auth'));
    const standard = await definition(STANDARD, 'httproutes');
    const path = `${crdPath}/${standard.metadata.name}`;
    const replace = async (wanted: KubeObject) => {
      const { metadata } = await cluster.expect<KubeObject>('GET', path);
      const { resourceVersion } = metadata as { resourceVersion?: string };
      await cluster.expect('PUT', path, { ...wanted, metadata: { ...wanted.metadata, resourceVersion } });
    };
    await replace(standard);
    try {
      await until('the schema of the standard channel', async () => (await tried(route)).status !== 201);
      expect(JSON.stringify((await tried(route)).body)).toContain('spec.rules[0].filters[0].externalAuth');
    } finally {
      await replace(await definition(EXPERIMENTAL, 'httproutes'));
    }
  });
});

/** Nobody but ingress-nginx judges an annotation's value, and Traefik says which ones it reads. */
describeCluster('podpass render nginx -o ingress', () => {
  const { annotations } = parse(outputOf('nginx', 'ingress')).metadata as { annotations: Record<string, string> };
  let cluster: ControlPlane;
  beforeAll(async () => {
    cluster = await startControlPlane({ binaries: clusterBinaries() });
  });
  afterAll(() => cluster?.stop());

  it('has annotations that an Ingress may have', async () => {
    const create = (more: object) =>
      cluster.request('POST', '/apis/networking.k8s.io/v1/namespaces/default/ingresses?fieldValidation=Strict', {
        metadata: { generateName: 'web-', annotations: { ...annotations, ...more } },
        spec: { defaultBackend: { service: { name: 'web', port: { number: 8080 } } } },
      });
    expect((await create({})).status).toBe(201);
    expect((await create({ 'nginx.ingress.kubernetes.io/auth url': 'x' })).status).toBe(422);
  });

  it('has annotations that Traefik reads', async () => {
    const [module = ''] = TRAEFIK;
    const file = 'pkg/provider/kubernetes/ingress-nginx/annotations.go';
    const source = await readFile(join(await downloadedModule('consumers', module), file), 'utf8');
    const read = new Set([...source.matchAll(/`annotation:"([^"]+)"`/g)].map(([, name]) => name));
    expect(Object.keys(annotations).length).toBeGreaterThan(2);
    for (const name of Object.keys(annotations)) expect(read).toContain(name);
    expect(read).not.toContain('nginx.ingress.kubernetes.io/auth-urls');
  });
});
