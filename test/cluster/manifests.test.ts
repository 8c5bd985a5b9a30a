import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { alertRows } from '../../src/catalog/alerts.ts';
import { presetNames } from '../../src/catalog/presets.ts';
import { allObjects, installationFiles } from '../../src/cli/manifests/installation.ts';
import { dashboardConfig, monitoring } from '../../src/cli/manifests/monitoring.ts';
import type { KubeObject } from '../../src/cli/manifests/object.ts';
import { idOf } from '../../src/cli/manifests/text.ts';
import type { ApiResponse } from './api-client.ts';
import { apply as applyTo, type Registration, registeredAt as registrationAt } from './apply.ts';
import { type ControlPlane, type KubeObject as Stored, startControlPlane } from './control-plane.ts';
import { type Podpass, startDiscovery, startWebhook, until } from './podpass.ts';
import { type Container, ourVolumes, specOf } from './pods.ts';
import { clusterBinaries, describeCluster } from './suite.ts';

const OWN = 'podpass';
const NAMESPACE = 'shop';
const INSTALLATION = { namespace: OWN, image: 'registry.example.com/podpass:1.2.3', tls: 'managed' } as const;
/** Nobody listens there. */
const DEAD = { url: 'https://127.0.0.1:1/mutate' };

interface Vector {
  readonly name: string;
  readonly serviceAccount?: { annotations: Record<string, string> };
  readonly pod: { metadata: object; spec: object };
  readonly settings?: object;
  readonly expect: { pod: Stored } | { unchanged: true } | { denied: string[] };
}

const vectorFolder = new URL('../vectors/', import.meta.url);
const vectors = readdirSync(vectorFolder)
  .filter((name) => name.endsWith('.json'))
  .map((name): Vector => ({ name, ...JSON.parse(readFileSync(new URL(name, vectorFolder), 'utf8')) }))
  .filter(({ settings }) => settings === undefined);

describeCluster('the installation, on a real API server', () => {
  const objects = allObjects(INSTALLATION);
  const registration = objects.find(({ kind }) => kind === 'MutatingWebhookConfiguration') as Registration;
  let cluster: ControlPlane;
  let webhook: Podpass;

  beforeAll(async () => {
    cluster = await startControlPlane({ binaries: clusterBinaries() });
    webhook = await startWebhook(cluster);
    await cluster.createNamespace(NAMESPACE);
    await cluster.createServiceAccount(NAMESPACE, 'bare');
    await cluster.createServiceAccount(NAMESPACE, 'asks', { 'podpass.dev/audiences': 'vault' });
    await cluster.createServiceAccount('kube-system', 'bare');
  });
  afterAll(async () => {
    await webhook?.stop();
    await cluster?.stop();
  });

  const apply = (object: KubeObject, query = '') => applyTo(cluster, object, query);

  /** What is registered with another address, as no Service leads anywhere here. */
  const registeredAt = (at: Record<'both' | 'a' | 'b', object>, of = registration) => registrationAt(at, of);
  const everywhere = (at: object) => ({ both: at, a: at, b: at });
  const alive = () => ({
    url: `${webhook.url}/mutate`,
    caBundle: Buffer.from(webhook.files.ca.pem).toString('base64'),
  });

  it.each(objects.map((object) => [idOf(object), object] as const))('accepts %s, strictly', async (_, object) => {
    const answer = await apply(object);
    expect(answer.status, JSON.stringify(answer.body)).toBe(201);
    expect(answer.warnings).toEqual([]);
  });

  it('keeps the certificate and the caBundle when everything is applied again', async () => {
    const merge = { contentType: 'application/merge-patch+json' };
    const json = { contentType: 'application/json-patch+json' };
    const secret = `/api/v1/namespaces/${OWN}/secrets/podpass-webhook-tls`;
    const configuration = '/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/podpass';
    const caBundle = Buffer.from(webhook.files.ca.pem).toString('base64');
    await cluster.expect('PATCH', secret, { data: { 'tls.crt': 'eA==' } }, merge);
    const patch = registration.webhooks.map((_, index) => ({
      op: 'add',
      path: `/webhooks/${index}/clientConfig/caBundle`,
      value: caBundle,
    }));
    await cluster.expect('PATCH', configuration, patch, json);
    for (const object of objects) expect((await apply(object)).status, idOf(object)).toBe(200);
    expect(await cluster.expect('GET', secret)).toMatchObject({ data: { 'tls.crt': 'eA==' } });
    const { webhooks } = await cluster.expect<Registration>('GET', configuration);
    expect(webhooks.map(({ clientConfig }) => clientConfig)).toEqual(
      registration.webhooks.map(() => expect.objectContaining({ caBundle })),
    );
  });

  it('takes what is there for the Prometheus operator, by its own CRDs', async () => {
    const { operatorCrds } = clusterBinaries();
    const path = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
    for (const plural of ['podmonitors', 'prometheusrules']) {
      const text = readFileSync(join(operatorCrds, `monitoring.coreos.com_${plural}.yaml`), 'utf8');
      await cluster.expect('POST', path, parse(text));
    }
    const monitored = [...monitoring(OWN, 'webhook'), ...monitoring(OWN, 'discovery'), dashboardConfig(OWN)];
    for (const object of monitored) {
      const created = async () => {
        const answer = await apply(object);
        if (answer.status !== 404)
          expect([idOf(object), answer.status, answer.body]).toMatchObject([idOf(object), 201, {}]);
        return answer.status === 201 && answer.warnings.length === 0;
      };
      // A new kind is served a moment after its definition.
      await until(idOf(object), created);
    }
    const [monitor] = monitored as (KubeObject & { spec: object })[];
    const wrong = { ...monitor, spec: { ...monitor?.spec, podMetricEndpoints: [] } } as unknown as KubeObject;
    const refused = await apply(wrong);
    expect([refused.status >= 400, JSON.stringify(refused.body)]).toEqual([
      true,
      expect.stringContaining('podMetricEndpoints'),
    ]);
  });

  describe.each(['podpass-webhook-a', 'podpass-webhook-b', 'podpass-discovery'])('Pods of %s', (name) => {
    const [deployment] = objects.filter((object) => object.kind === 'Deployment' && object.metadata.name === name);
    const { template } = (deployment?.spec ?? {}) as { template: { metadata: object; spec: { containers: object[] } } };
    const { metadata, spec } = template;

    it('are accepted under enforced restricted Pod Security', async () => {
      const { status, warnings, body } = await cluster.createPod(OWN, { metadata: { name, ...metadata }, spec });
      expect([status, warnings, body.message]).toEqual([201, [], undefined]);
      await cluster.expect('DELETE', `/api/v1/namespaces/${OWN}/pods/${name}?gracePeriodSeconds=0`);
    });

    it('would not be without their security context', async () => {
      const containers = spec.containers.map((container) => ({ ...container, securityContext: {} }));
      const { status, body } = await cluster.createPod(OWN, {
        metadata: { name, ...metadata },
        spec: { ...spec, containers },
      });
      expect([status, body.message]).toEqual([403, expect.stringContaining('violates PodSecurity')]);
    });
  });

  // ---- rights --------------------------------------------------------------------------------------------------------

  it('lets the services do what they need, and nothing beside it', async () => {
    const allowed = async (account: string, spec: object) => {
      const user = `system:serviceaccount:${OWN}:${account}`;
      const groups = ['system:serviceaccounts', `system:serviceaccounts:${OWN}`, 'system:authenticated'];
      const path = '/apis/authorization.k8s.io/v1/subjectaccessreviews';
      return (await cluster.expect<{ status: { allowed: boolean } }>('POST', path, { spec: { user, groups, ...spec } }))
        .status.allowed;
    };
    const on = (verb: string, resource: string, rest: object = {}) => ({
      resourceAttributes: { verb, resource, ...rest },
    });
    const group = 'admissionregistration.k8s.io';
    const mine = { namespace: OWN, name: 'podpass-webhook-tls' };
    const configuration = { group, name: 'podpass' };
    const cases: [boolean, string, object][] = [
      ...['get', 'list', 'watch'].map((verb): [boolean, string, object] => [
        true,
        'webhook',
        on(verb, 'serviceaccounts'),
      ]),
      ...['get', 'list', 'watch', 'update'].map((verb): [boolean, string, object] => [
        true,
        'webhook',
        on(verb, 'secrets', mine),
      ]),
      ...['get', 'list', 'watch', 'patch'].map((verb): [boolean, string, object] => [
        true,
        'webhook',
        on(verb, 'mutatingwebhookconfigurations', configuration),
      ]),
      [true, 'webhook', on('create', 'events', { group: 'events.k8s.io', namespace: NAMESPACE })],
      [false, 'webhook', on('patch', 'events', { group: 'events.k8s.io', namespace: NAMESPACE })],
      [false, 'webhook', on('list', 'events', { group: 'events.k8s.io', namespace: NAMESPACE })],
      [false, 'discovery', on('create', 'events', { group: 'events.k8s.io', namespace: OWN })],
      [false, 'webhook', on('get', 'secrets', { namespace: OWN, name: 'another' })],
      [false, 'webhook', on('list', 'secrets', { namespace: OWN })],
      [false, 'webhook', on('get', 'secrets', { ...mine, namespace: NAMESPACE })],
      [false, 'webhook', on('create', 'secrets', { namespace: OWN })],
      [false, 'webhook', on('delete', 'secrets', mine)],
      [false, 'webhook', on('update', 'mutatingwebhookconfigurations', configuration)],
      [false, 'webhook', on('delete', 'mutatingwebhookconfigurations', configuration)],
      [false, 'webhook', on('patch', 'mutatingwebhookconfigurations', { group, name: 'another' })],
      [false, 'webhook', on('patch', 'validatingadmissionpolicies', configuration)],
      [false, 'webhook', on('create', 'serviceaccounts', { subresource: 'token', namespace: NAMESPACE })],
      [false, 'webhook', on('get', 'pods', { namespace: NAMESPACE })],
      [false, 'discovery', on('get', 'serviceaccounts', { namespace: OWN })],
      [false, 'discovery', on('get', 'secrets', mine)],
    ];
    for (const account of ['webhook', 'discovery']) {
      for (const path of ['/openid/v1/jwks', '/.well-known/openid-configuration']) {
        cases.push([true, account, { nonResourceAttributes: { verb: 'get', path } }]);
      }
    }
    for (const [expected, account, spec] of cases) {
      // Rights come a moment after their objects.
      const as = async () => (await allowed(`podpass-${account}`, spec)) === expected;
      await until(`${expected} for ${account}: ${JSON.stringify(spec)}`, as, 5_000);
    }
  });

  // ---- admission -----------------------------------------------------------------------------------------------------

  interface Wanted {
    labels?: Record<string, string>;
    annotations?: Record<string, string>;
    serviceAccountName?: string;
    namespace?: string;
    spec?: object;
  }

  function create({ labels, annotations, serviceAccountName = 'bare', namespace = NAMESPACE, spec }: Wanted) {
    const containers = ['web', 'db'].map((name) => ({ name, image: 'app:1' }));
    return cluster.createPod(
      namespace,
      { metadata: { generateName: 'web-', labels, annotations }, spec: { serviceAccountName, containers, ...spec } },
      { dryRun: true },
    );
  }

  const asks = { 'podpass.dev/audiences': 'vault' };
  const label = { 'podpass.dev/inject': 'true' };
  const source = { serviceAccountToken: { audience: 'vault', expirationSeconds: 3600, path: 'vault' } };
  const volume = (name: string) => ({ volumes: [{ name, projected: { sources: [source] } }] });

  const expectPolicy = ({ status, body }: ApiResponse<Stored>) => {
    expect(status).toBe(403);
    expect(body.message).toContain("ValidatingAdmissionPolicy 'podpass' with binding 'podpass' denied request");
    expect(body.message).toContain('ask for tokens, and it has none: the webhook of podpass did not answer');
    expect(body.message).toContain(
      'kubectl -n podpass get deployment podpass-webhook-a podpass-webhook-b" says one is',
    );
  };
  const expectWebhook = ({ status, body }: ApiResponse<Stored>) => {
    expect([status, body.message]).toEqual([
      500,
      expect.stringContaining('failed calling webhook "labelled.podpass.dev"'),
    ]);
  };
  const expectCreated = ({ status, body }: ApiResponse<Stored>) =>
    expect([status, body.message]).toEqual([201, undefined]);

  describe('while the webhook is down', () => {
    beforeAll(async () => {
      expect((await apply(registeredAt(everywhere(DEAD)))).status).toBe(200);
      await until('the policy', async () => (await create({ annotations: asks })).status === 403);
      await until('the registration', async () => (await create({ labels: label })).status === 500);
    });

    it('the API server counts the calls that failed by the names that the alert goes by', async () => {
      expectWebhook(await create({ labels: label }));
      expectPolicy(await create({ annotations: asks }));
      expectCreated(await create({}));
      const text = await cluster.expect<string>('GET', '/metrics');
      const expr = alertRows.PodpassWebhookNotReached.expr();
      const selected = [...expr.matchAll(/(apiserver_\w+)\{name=~"([^"]+)"/g)];
      expect(selected).toHaveLength(2);
      for (const [, metric = '', name = ''] of selected) {
        const lines = text.split('\n').filter((line) => line.startsWith(`${metric}{`));
        const counted = lines.filter((line) => new RegExp(`^${name}$`).test(/\bname="([^"]*)"/.exec(line)?.[1] ?? ''));
        // The entry for Pods of the label rejects; the others let pass.
        const [error, entries] = metric.includes('rejection')
          ? ['error_type="calling_webhook_error"', 1]
          : ['type="admit"', 3];
        expect([metric, counted.filter((line) => line.includes(error)).length]).toEqual([metric, entries]);
      }
    });

    it('a Pod that asks for oauth2-proxy is refused, as its port would be open', async () => {
      const key = 'podpass.dev/oauth2-proxy';
      await until('its policy', async () => (await create({ annotations: { [key]: 'http' } })).status === 403);
      const { body } = await create({ annotations: { [key]: '8080' } });
      expect(body.message).toContain("ValidatingAdmissionPolicy 'podpass-oauth2-proxy'");
      expect(body.message).toContain('ask for oauth2-proxy, and it has none');
      const proxy = { name: 'podpass-oauth2-proxy', image: 'proxy:1' };
      expectCreated(await create({ annotations: { [key]: 'http' }, spec: { initContainers: [proxy] } }));
      expectCreated(await create({ annotations: { [key]: ' ' } }));
      expectCreated(await create({ annotations: { [key]: 'http', 'podpass.dev/inject': 'false' } }));
    });

    it('a Pod with the label waits, whatever it asks for', async () => {
      expectWebhook(await create({ labels: label }));
      expectWebhook(await create({ labels: label, annotations: asks }));
      expectWebhook(await create({ labels: label, serviceAccountName: 'asks' }));
    });

    it.each([
      ['audiences', asks],
      ['audience.<name>', { 'podpass.dev/audience.api': 'vault' }],
      ['no container skipped that it has', { ...asks, 'podpass.dev/skip-containers': 'webb, d' }],
      ['one of two containers skipped', { ...asks, 'podpass.dev/skip-containers': 'db,' }],
      ['one container only', { ...asks, 'podpass.dev/containers': 'web' }],
      ['one container only for one token', { ...asks, 'podpass.dev/containers.vault': 'web' }],
      ['inject "true"', { ...asks, 'podpass.dev/inject': 'true' }],
    ])('a Pod that asks by its annotations is refused: %s', async (_, annotations) => {
      expectPolicy(await create({ annotations }));
      expectPolicy(await create({ annotations, spec: { volumes: [{ name: 'podpass-tokens', emptyDir: {} }] } }));
      expectPolicy(await create({ annotations, spec: volume('podpass-tokens2') }));
    });

    it.each([
      ['asks for nothing', {}],
      ['has the volume', { annotations: asks, spec: volume('podpass-tokens') }],
      ['has the volume of some tokens', { annotations: asks, spec: volume('podpass-tokens-0123abcd') }],
      ['is left alone', { annotations: { ...asks, 'podpass.dev/inject': 'false' } }],
      ['is left alone, and says so with spaces', { annotations: { ...asks, 'podpass.dev/inject': ' false ' } }],
      ['is left alone, label or not', { labels: label, annotations: { ...asks, 'podpass.dev/inject': 'false' } }],
      ['has another value in the label', { labels: { 'podpass.dev/inject': 'no' } }],
      ['asks for an empty list', { annotations: { 'podpass.dev/audiences': ' ,\u00a0' } }],
      ['asks for an empty audience', { annotations: { 'podpass.dev/audience.api': ' ' } }],
      ['has another annotation', { annotations: { 'podpass.dev/audience': 'x', 'podpass.dev/expiration': '1h' } }],
      ['skips all containers', { annotations: { ...asks, 'podpass.dev/skip-containers': 'db,web' } }],
      [
        'skips the only one',
        { annotations: { ...asks, 'podpass.dev/containers': 'db', 'podpass.dev/skip-containers': 'db' } },
      ],
      ['asks by its ServiceAccount', { serviceAccountName: 'asks' }],
      ['is in kube-system', { labels: label, annotations: asks, namespace: 'kube-system' }],
    ] satisfies [string, Wanted][])('a Pod is created that %s', async (_, wanted) => {
      expectCreated(await create(wanted));
    });

    it('a mirror Pod is created', async () => {
      const mirror = { 'kubernetes.io/config.mirror': 'x', ...asks };
      const pod = { metadata: { name: 'static', labels: label, annotations: mirror } };
      const spec = { nodeName: 'n', containers: [{ name: 'web', image: 'app:1' }] };
      expectCreated(await cluster.createPod(NAMESPACE, { ...pod, spec }, { dryRun: true }));
    });

    it('a Pod that only its ServiceAccount keeps without tokens is refused, and told what to write', async () => {
      const reasons = {
        'left-alone': { 'podpass.dev/inject': 'false' },
        skips: { 'podpass.dev/skip-containers': 'web db' },
      };
      const attempt = (serviceAccountName: string, more: Record<string, string> = {}) =>
        create({ serviceAccountName, annotations: { ...asks, ...more } });
      for (const [account, annotations] of Object.entries(reasons)) {
        await cluster.createServiceAccount(NAMESPACE, account, annotations);
        const refused = await attempt(account);
        expectPolicy(refused);
        expect(refused.body.message).toContain(
          'or the annotations of its ServiceAccount (podpass.dev/inject: "false", lists of containers) leave it none',
        );
        expect(refused.body.message).toContain(
          'with the annotation podpass.dev/inject: "false" on itself the Pod runs',
        );
        expectCreated(await attempt(account, { 'podpass.dev/inject': 'false' }));
      }
    });
  });

  describe('while the webhook runs', () => {
    const answers = async () => {
      const metrics = await webhook.metrics();
      const of = (result: string) => metrics.value('podpass_admission_requests_total', { result });
      return of('injected') + of('unchanged') + of('denied') + of('error');
    };

    beforeAll(async () => {
      expect((await apply(registeredAt(everywhere(alive())))).status).toBe(200);
      await until('the registration', async () => (await create({ labels: label })).status === 201);
    });

    it.each([
      ['with the label', 1, 1, { labels: label, annotations: asks }],
      ['with the label that asks for nothing', 1, 0, { labels: label }],
      ['with annotations only', 1, 1, { annotations: asks }],
      [
        'with annotations only, and keeps its tokens from all of its containers',
        3,
        0,
        { annotations: { ...asks, 'podpass.dev/skip-containers': 'web, db' } },
      ],
      ['of a ServiceAccount that asks', 1, 1, { serviceAccountName: 'asks' }],
      ['that asks for nothing', 1, 0, {}],
      ['that is left alone', 0, 0, { labels: label, annotations: { ...asks, 'podpass.dev/inject': 'false' } }],
      ['in kube-system', 0, 0, { labels: label, annotations: asks, namespace: 'kube-system' }],
    ] satisfies [string, number, number, Wanted][])(
      'it is asked for a Pod %s: %i times',
      async (_, asked, volumes, wanted) => {
        const before = await answers();
        const answer = await create(wanted);
        expectCreated(answer);
        expect(ourVolumes(answer.body)).toHaveLength(volumes);
        expect((await answers()) - before).toBe(asked);
      },
    );

    it('marks a Pod with the label that it has nothing for, and leaves every other one as it is', async () => {
      const marks = async (wanted: Wanted) => (await create(wanted)).body.metadata.annotations;
      expect(await marks({ labels: label })).toEqual({ 'podpass.dev/injected': '' });
      expect(await marks({})).toBeUndefined();
      expect(await marks({ labels: { 'podpass.dev/inject': 'no' } })).toBeUndefined();
    });

    // The first try may meet the dead half, whichever it is: here it always does, by way of what is in no half.
    describe.each(['a', 'b'] as const)('and half %s of it is dead', (dead) => {
      beforeAll(async () => {
        const at = { both: DEAD, a: alive(), b: alive(), [dead]: DEAD };
        expect((await apply(registeredAt(at))).status).toBe(200);
        const plain = async () => ourVolumes((await create({ serviceAccountName: 'asks' })).body);
        await until('the registration', async () => (await plain()).length === 0);
      });
      afterAll(async () => {
        expect((await apply(registeredAt(everywhere(alive())))).status).toBe(200);
        const plain = async () => ourVolumes((await create({ serviceAccountName: 'asks' })).body);
        await until('the registration', async () => (await plain()).length === 1);
      });

      it.each([
        ['with the label, by its annotations', 1, { labels: label, annotations: asks }],
        ['with the label, by its ServiceAccount', 1, { labels: label, serviceAccountName: 'asks' }],
        ['with the label that asks for nothing', 0, { labels: label }],
        ['by its annotations: a list', 1, { annotations: asks }],
        ['by its annotations: a name', 1, { annotations: { 'podpass.dev/audience.api': 'vault' } }],
        [
          'that keeps its tokens from all of its containers',
          0,
          { annotations: { ...asks, 'podpass.dev/skip-containers': 'web, db' } },
        ],
        ['that asks for nothing', 0, {}],
      ] satisfies [string, number, Wanted][])('a Pod is created %s: %i volumes', async (_, volumes, wanted) => {
        const answer = await create(wanted);
        expectCreated(answer);
        expect(ourVolumes(answer.body)).toHaveLength(volumes);
      });

      it('a Pod of which only the ServiceAccount asks is created without', async () => {
        const answer = await create({ serviceAccountName: 'asks' });
        expectCreated(answer);
        expect(ourVolumes(answer.body)).toEqual([]);
      });

      it('a mistake is still refused', async () => {
        const wrong = { ...asks, 'podpass.dev/expiration': 'soon' };
        for (const labels of [undefined, label]) {
          const { status, body } = await create({ ...(labels && { labels }), annotations: wrong });
          expect([status, body.message]).toEqual([422, expect.stringContaining('podpass.dev/expiration')]);
        }
      });
    });

    const keptByServiceAccount = ['inject-false-on-service-account.json'];

    // Each in a namespace of its own, for its ServiceAccount.
    it.each(vectors.map((vector) => [vector.name, vector] as const))(
      'the policy lets pass what it admits, unless only the ServiceAccount keeps it without tokens: %s',
      async (name, vector) => {
        const namespace = `vector-${name.replace(/\.json$/, '')}`.slice(0, 63).replace(/-$/, '');
        await cluster.createNamespace(namespace);
        await cluster.createServiceAccount(namespace, 'app', vector.serviceAccount?.annotations);
        await cluster.createServiceAccount(namespace, 'default');
        const answer = await cluster.createPod(namespace, vector.pod, { dryRun: true });
        if (keptByServiceAccount.includes(name)) return expectPolicy(answer);
        const { status, body } = answer;
        expect(JSON.stringify(body)).not.toContain('ValidatingAdmissionPolicy');
        if (!('denied' in vector.expect)) expect([status, body.message]).toEqual([201, undefined]);
      },
    );
  });

  describe('with every preset, as in the overlay', () => {
    const withPresets = Object.values(installationFiles({ ...INSTALLATION, presets: presetNames }).webhook).flat();
    const entries = withPresets.find(({ kind }) => kind === 'MutatingWebhookConfiguration') as Registration;

    it.each(withPresets.map((object) => [idOf(object), object] as const))('accepts %s, strictly', async (_, object) => {
      const answer = await apply(object, '&dryRun=All');
      expect([answer.status, answer.warnings, answer.body.message]).toEqual([200, [], undefined]);
    });

    it('a Pod with the label of Azure waits for the webhook, wherever it is; others do not', async () => {
      const webhooks = entries.webhooks.map((entry) => ({ ...entry, clientConfig: DEAD }));
      expect((await apply({ ...entries, webhooks })).status).toBe(200);
      const azure = { 'azure.workload.identity/use': 'true' };
      await until('the registration', async () => (await create({ labels: azure })).status === 500);
      for (const namespace of [NAMESPACE, 'kube-system']) {
        const { body } = await create({ labels: azure, namespace });
        expect(body.message).toContain('failed calling webhook "azure.podpass.dev"');
        for (const labels of [{}, { 'azure.workload.identity/use': 'false' }])
          expect((await create({ labels, namespace })).status).toBe(201);
      }
    });

    it.each(['a', 'b'] as const)('a Pod with the label of Azure is created while half %s is dead', async (dead) => {
      const presets = await startWebhook(cluster, ['--presets=aws,azure,gcp', '--azure-tenant-id=tenant']);
      try {
        const caBundle = Buffer.from(presets.files.ca.pem).toString('base64');
        const up = { url: `${presets.url}/mutate`, caBundle };
        const labels = { 'azure.workload.identity/use': 'true' };
        const skipped = { 'azure.workload.identity/skip-containers': 'web;db' };
        expect((await apply(registeredAt({ both: DEAD, a: up, b: up, [dead]: DEAD }, entries))).status).toBe(200);
        const injected = async (annotations = {}) => {
          const { status, body } = await create({ labels, annotations });
          return [status, body.metadata.annotations?.['podpass.dev/injected']];
        };
        await until('the registration', async () => (await injected())[0] === 201);
        expect([await injected(), await injected(skipped)]).toEqual([
          [201, 'azure'],
          [201, ''],
        ]);
      } finally {
        await presets.stop();
      }
    });
  });

  describe('with a state and copies of discovery', () => {
    const switched = allObjects({ ...INSTALLATION, keyState: true, publishing: true, dns: true });
    const before = new Map(objects.map((object) => [idOf(object), JSON.stringify(object)]));
    const changed = switched.filter((object) => before.get(idOf(object)) !== JSON.stringify(object));
    const configMap = `/api/v1/namespaces/${OWN}/configmaps/podpass-keys`;
    let folder: string;
    beforeAll(() => {
      folder = mkdtempSync(join(tmpdir(), 'podpass-copies-'));
    });
    afterAll(() => rmSync(folder, { recursive: true, force: true }));

    const discoveryMay = (verb: string, resource: string, rest: object) =>
      cluster
        .expect<{ status: { allowed: boolean } }>('POST', '/apis/authorization.k8s.io/v1/subjectaccessreviews', {
          spec: {
            user: `system:serviceaccount:${OWN}:podpass-discovery`,
            groups: ['system:serviceaccounts', `system:serviceaccounts:${OWN}`, 'system:authenticated'],
            resourceAttributes: { verb, resource, ...rest },
          },
        })
        .then(({ status }) => status.allowed);
    const keys = { namespace: OWN, name: 'podpass-keys' };
    const rights: [string, string, object][] = [
      ['get', 'configmaps', keys],
      ['update', 'configmaps', keys],
      ['get', 'namespaces', { namespace: 'kube-system', name: 'kube-system' }],
    ];

    it('discovery may do nothing of it where it is not switched on', async () => {
      for (const right of rights) expect([...right, await discoveryMay(...right)]).toEqual([...right, false]);
    });

    it.each(changed.map((object) => [idOf(object), object] as const))('accepts %s, strictly', async (_, object) => {
      const answer = await apply(object);
      expect([[200, 201].includes(answer.status), answer.warnings, answer.body.message]).toEqual([true, [], undefined]);
    });

    it('gives discovery these rights and no more', async () => {
      for (const right of rights) await until(JSON.stringify(right), () => discoveryMay(...right));
      for (const right of [
        ['create', 'configmaps', { namespace: OWN }],
        ['list', 'configmaps', { namespace: OWN }],
        ['delete', 'configmaps', keys],
        ['get', 'configmaps', { ...keys, name: 'another' }],
        ['update', 'configmaps', { ...keys, namespace: NAMESPACE }],
        ['get', 'namespaces', { namespace: NAMESPACE, name: NAMESPACE }],
        ['list', 'namespaces', {}],
        ['get', 'secrets', { namespace: OWN, name: 'podpass-webhook-tls' }],
      ] as [string, string, object][]) {
        expect([...right, await discoveryMay(...right)]).toEqual([...right, false]);
      }
    });

    it('discovery keeps its state and its copies with them, and applying all again takes nothing away', async () => {
      const kubeconfig = await cluster.kubeconfigFor({ namespace: OWN, serviceAccount: 'podpass-discovery' });
      const discovery = await startDiscovery(
        cluster,
        ['--state', 'configmap/podpass-keys', '--publish-to', join(folder, 'out')],
        { kubeconfig },
      );
      try {
        const mark = join(folder, 'out', '.podpass-owner.json');
        await until('the copy', () => existsSync(join(folder, 'out/.well-known/openid-configuration')));
        const { metadata } = await cluster.expect('GET', '/api/v1/namespaces/kube-system');
        expect(JSON.parse(readFileSync(mark, 'utf8'))).toEqual({ issuer: cluster.issuer, owner: metadata.uid });
        const stateOf = async () => (await cluster.expect<{ data?: Record<string, string> }>('GET', configMap)).data;
        await until('the state', async () => (await stateOf())?.['state.json'] !== undefined);
        const before = await stateOf();
        expect(before?.['state.json']).toContain(cluster.issuer);
        for (const object of changed) expect((await apply(object)).status, idOf(object)).toBe(200);
        expect(await stateOf()).toEqual(before);
        expect(discovery.logs().filter(({ level }) => level === 'warn')).toEqual([]);
      } finally {
        await discovery.stop();
      }
    });
  });

  describe('with debug containers', () => {
    const files = installationFiles({ ...INSTALLATION, ephemeralContainers: true }).webhook;
    const entries = Object.values(files)
      .flat()
      .find(({ kind }) => kind === 'MutatingWebhookConfiguration') as Registration;

    it('gives them tokens, and nobody waits for it', async () => {
      const answer = await apply(entries, '&dryRun=All');
      expect([answer.status, answer.warnings, answer.body.message]).toEqual([200, [], undefined]);
      const caBundle = Buffer.from(webhook.files.ca.pem).toString('base64');
      const debugged = await startWebhook(cluster, ['--ephemeral-containers']);
      const registered = async (clientConfig: object) =>
        expect(
          (await apply({ ...entries, webhooks: entries.webhooks.map((entry) => ({ ...entry, clientConfig })) })).status,
        ).toBe(200);
      await registered({ url: `${debugged.url}/mutate`, caBundle });
      const body = {
        metadata: { name: 'debugged' },
        spec: { serviceAccountName: 'asks', containers: [{ name: 'app', image: 'app:1' }] },
      };
      await until('a Pod with tokens', async () => {
        const { body: tried } = await cluster.createPod(NAMESPACE, body, { dryRun: true });
        return ourVolumes(tried).length > 0;
      });
      expect((await cluster.createPod(NAMESPACE, body)).status).toBe(201);
      const debug = (name: string, dryRun: boolean) =>
        cluster.request<Stored>(
          'PATCH',
          `/api/v1/namespaces/${NAMESPACE}/pods/debugged/ephemeralcontainers${dryRun ? '?dryRun=All' : ''}`,
          { spec: { ephemeralContainers: [{ name, image: 'busybox:1' }] } },
          { contentType: 'application/strategic-merge-patch+json' },
        );
      const mountsOf = (stored: Stored, name: string) =>
        (specOf(stored).ephemeralContainers as Container[]).find((each) => each.name === name)?.volumeMounts;
      const first = await debug('first', false);
      expect([first.status, mountsOf(first.body, 'first')?.map(({ name }) => name)]).toEqual([200, ['podpass-tokens']]);
      await debugged.stop();
      await registered(DEAD);
      const away = async () => {
        const { status, body: stored } = await debug('second', true);
        expect(status).toBe(200);
        return mountsOf(stored, 'second') === undefined && mountsOf(stored, 'first')?.length === 1;
      };
      await until('a debug container without tokens', away);
    });
  });
});
