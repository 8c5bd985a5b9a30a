import { describe, expect, test } from 'vitest';
import { TRY_SECONDS } from '../../src/catalog/admission.ts';
import { type CommandName, type CommandRow, commandRows } from '../../src/catalog/commands.ts';
import { presetNames } from '../../src/catalog/presets.ts';
import { flagOf, type SettingRow, settingRows } from '../../src/catalog/settings.ts';
import { USER } from '../../src/cli/manifests/deployment.ts';
import { allObjects } from '../../src/cli/manifests/installation.ts';
import type { Installation, KubeObject } from '../../src/cli/manifests/object.ts';
import { idOf } from '../../src/cli/manifests/text.ts';
import { DEFAULT_IMAGE } from '../../src/cli/manifests.ts';
import { dnsLabel, image } from '../../src/codec.ts';
import { leafNames } from '../../src/managed-tls/leaf.ts';
import { parseSettings } from '../../src/settings.ts';

interface Container {
  name: string;
  image: string;
  args: string[];
  ports: { name: string; containerPort: number }[];
  [field: string]: unknown;
}
interface PodSpec {
  containers: Container[];
  volumes?: Record<string, unknown>[];
  [field: string]: unknown;
}
type Labels = Record<string, string>;

const installation = (tls: Installation['tls'], more: Partial<Installation> = {}) =>
  allObjects({ namespace: 'own', image: 'registry.example.com/podpass:1.2.3', tls, ...more });
const ofKind = (objects: readonly KubeObject[], kind: string) => objects.filter((object) => object.kind === kind);
const specOf = <T>(object: KubeObject | undefined) => object?.spec as T;
const templateOf = (object: KubeObject) =>
  specOf<{ template: { metadata: { labels: Labels; annotations: Labels }; spec: PodSpec } }>(object).template;

describe.each(['managed', 'cert-manager'] as const)('manifests with a certificate that is %s', (tls) => {
  const objects = installation(tls, { issuer: 'https://issuer.example.com' });
  const deployments = ofKind(objects, 'Deployment');
  const containers = deployments.flatMap((deployment) => templateOf(deployment).spec.containers);

  test('each object is there once, and in its namespace', () => {
    const ids = objects.map(idOf);
    expect(new Set(ids).size).toBe(ids.length);
    const clusterWide = /^(Namespace|Cluster|Mutating|Validating)/;
    for (const { kind, metadata } of objects) {
      expect([kind, metadata.namespace]).toEqual([kind, clusterWide.test(kind) ? undefined : 'own']);
    }
    expect(JSON.stringify(objects)).not.toMatch(/"namespace":"podpass"|caBundle/);
  });

  test.each(containers.map((container) => [container.name, container] as const))(
    'the flags of %s are its flags, its defaults are not repeated, and nothing it needs is missing',
    (name, { args: [command, ...flags], ports }) => {
      expect(command).toBe(name);
      const row: CommandRow = commandRows[command as CommandName];
      const known = new Map(row.settings.map((key) => [flagOf(key), key]));
      for (const flag of flags) {
        const [left = '', value] = flag.split('=');
        const key = known.get(left);
        expect([flag, key]).not.toEqual([flag, undefined]);
        const { defaults, default: common }: SettingRow = settingRows[key ?? 'help'];
        // What decides over everything else is said even where it is the default.
        if (key !== 'tlsMode') expect(defaults?.[name] ?? common).not.toBe(value);
      }
      const parsed = parseSettings(command as CommandName, { argv: flags, env: {}, readFile: () => '' });
      const problems = parsed.ok ? [] : parsed.problems.map(({ key }) => key);
      expect(problems).toEqual([]);
      const port = (key: 'port' | 'metricsPort') => Number((settingRows[key] as SettingRow).defaults?.[name]);
      expect(ports.map(({ containerPort }) => containerPort)).toEqual([port('port'), port('metricsPort')]);
    },
  );

  test.each(deployments.map((deployment) => [idOf(deployment), deployment] as const))(
    '%s keeps the rules of restricted Pod Security',
    (_, deployment) => {
      // https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted
      const { spec } = templateOf(deployment);
      expect(spec.securityContext).toMatchObject({
        runAsNonRoot: true,
        runAsUser: USER,
        seccompProfile: { type: 'RuntimeDefault' },
      });
      for (const field of ['hostNetwork', 'hostPID', 'hostIPC', 'initContainers', 'ephemeralContainers'])
        expect(spec).not.toHaveProperty(field);
      for (const volume of spec.volumes ?? []) expect(Object.keys(volume).sort()).toEqual(['name', 'secret']);
      expect(spec.containers).toHaveLength(1);
      const [container] = spec.containers;
      expect(container?.securityContext).toEqual({
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ['ALL'] },
      });
      expect(container?.ports.filter((port) => 'hostPort' in port)).toEqual([]);
    },
  );

  test.each(deployments.map((deployment) => [idOf(deployment), deployment] as const))(
    '%s stays up',
    (id, deployment) => {
      const half = /-([ab])$/.exec(deployment.metadata.name)?.[1];
      const name = deployment.metadata.name.replace(/-[ab]$/, '');
      const { metadata, spec } = templateOf(deployment);
      const { 'podpass.dev/half': ownHalf, ...ofBoth } = metadata.labels;
      expect(ownHalf).toBe(half);
      const selector = specOf<{ selector: { matchLabels: Labels }; replicas: number }>(deployment);
      expect([selector.replicas, selector.selector.matchLabels]).toEqual([half ? 1 : 2, metadata.labels]);
      expect(metadata.annotations).toEqual({ 'podpass.dev/inject': 'false' });
      expect(spec).toMatchObject({
        priorityClassName: 'system-cluster-critical',
        enableServiceLinks: false,
        terminationGracePeriodSeconds: 30,
        serviceAccountName: name,
        automountServiceAccountToken: true,
      });
      const [container] = spec.containers;
      const resources = container?.resources as { requests: Labels; limits: Labels };
      expect(Object.keys(resources.requests)).toEqual(['cpu', 'memory']);
      expect(resources.limits).toEqual({ memory: resources.requests.memory });
      for (const probe of ['startupProbe', 'livenessProbe', 'readinessProbe'])
        expect(container?.[probe]).toMatchObject({ httpGet: { port: 'metrics' } });
      expect(container).not.toHaveProperty('lifecycle');
      // What stands around it selects it, by the names of its ports.
      const around = objects.filter((object) => object.metadata.name === name);
      const [budget] = ofKind(around, 'PodDisruptionBudget');
      expect(specOf(budget)).toEqual({
        maxUnavailable: 1,
        unhealthyPodEvictionPolicy: 'AlwaysAllow',
        selector: { matchLabels: ofBoth },
      });
      const [first, second] = container?.ports.map((port) => port.name) ?? [];
      const services = ofKind(objects, 'Service').filter((each) => each.metadata.name.startsWith(name));
      const selectors = services.map((each) => [
        each.metadata.name,
        specOf<{ selector: Labels; ports: object[] }>(each).selector,
      ]);
      expect(selectors).toEqual(
        half === undefined
          ? [[name, ofBoth]]
          : [[name, ofBoth], ...['a', 'b'].map((each) => [`${name}-${each}`, { ...ofBoth, 'podpass.dev/half': each }])],
      );
      for (const each of services) expect(specOf(each)).toMatchObject({ ports: [{ targetPort: first }] });
      const [policy] = ofKind(around, 'NetworkPolicy');
      expect(specOf(policy)).toMatchObject({
        podSelector: { matchLabels: ofBoth },
        ingress: [{ ports: [{ port: first }, { port: second }] }],
      });
      expect(ofKind(around, 'ServiceAccount'), id).toMatchObject([{ automountServiceAccountToken: false }]);
    },
  );

  test('the halves of the webhook are counted together over nodes, stay apart where they can, and run on one node too', () => {
    const halves = deployments.filter(({ metadata }) => metadata.name.startsWith('podpass-webhook'));
    expect(halves).toHaveLength(2);
    for (const half of halves) {
      const { metadata, spec } = templateOf(half);
      const { 'podpass.dev/half': own, ...both } = metadata.labels;
      const spread = { whenUnsatisfiable: 'ScheduleAnyway', labelSelector: { matchLabels: both } };
      expect(spec.topologySpreadConstraints).toMatchObject([
        { topologyKey: 'kubernetes.io/hostname', ...spread },
        { topologyKey: 'topology.kubernetes.io/zone', ...spread },
      ]);
      // Else a half would be counted alone, as its Pods have a hash of their own.
      expect(JSON.stringify(spec.topologySpreadConstraints)).not.toContain('matchLabelKeys');
      const { podAntiAffinity, ...rest } = spec.affinity as { podAntiAffinity: Record<string, unknown> };
      expect([Object.keys(rest), Object.keys(podAntiAffinity)]).toEqual([
        [],
        ['preferredDuringSchedulingIgnoredDuringExecution'],
      ]);
      const other = { key: 'podpass.dev/half', operator: 'In', values: [own === 'a' ? 'b' : 'a'] };
      const labelSelector = { matchLabels: both, matchExpressions: [other] };
      expect(podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution).toEqual([
        { weight: 100, podAffinityTerm: { topologyKey: 'kubernetes.io/hostname', labelSelector } },
        { weight: 50, podAffinityTerm: { topologyKey: 'topology.kubernetes.io/zone', labelSelector } },
      ]);
    }
  });

  test('in a rollout the old Pod of half a has ended long before that of half b, which begins to end later than it', () => {
    const readyFor = (half: string) =>
      specOf<{ minReadySeconds: number }>(
        deployments.find(({ metadata }) => metadata.name === `podpass-webhook-${half}`),
      ).minReadySeconds;
    const quiet = Number(settingRows.shutdownDelay.default.replace('s', ''));
    expect(readyFor('b')).toBeGreaterThan(readyFor('a') + quiet);
  });

  test('the certificate has the names of every Service that the registration leads to', () => {
    const [configuration] = ofKind(objects, 'MutatingWebhookConfiguration');
    const { webhooks } = configuration as unknown as { webhooks: { clientConfig: { service: { name: string } } }[] };
    const called = new Set(webhooks.map(({ clientConfig }) => clientConfig.service.name));
    const services = new Set(ofKind(objects, 'Service').map(({ metadata }) => metadata.name));
    expect([...called].filter((name) => !services.has(name))).toEqual([]);
    const byDefault = settingRows.tlsService.default.split(',');
    const names =
      tls === 'managed'
        ? leafNames(byDefault, 'own', []).dnsNames
        : ofKind(objects, 'Certificate').flatMap((each) => specOf<{ dnsNames?: string[] }>(each).dnsNames ?? []);
    for (const name of called) expect(names).toContain(`${name}.own.svc`);
    expect(called.size).toBe(3);
  });

  test('bindings are of roles and ServiceAccounts that are there', () => {
    const ids = new Set(objects.map(idOf));
    for (const binding of objects.filter(
      ({ kind }) => kind.endsWith('Binding') && kind !== 'ValidatingAdmissionPolicyBinding',
    )) {
      const { roleRef, subjects } = binding as unknown as {
        roleRef: { kind: string; name: string };
        subjects: { namespace: string; name: string }[];
      };
      const role = roleRef.kind === 'Role' ? `Role/own/${roleRef.name}` : `ClusterRole/${roleRef.name}`;
      expect([role, ids.has(role) || roleRef.name === 'system:service-account-issuer-discovery']).toEqual([role, true]);
      expect(subjects.map(({ namespace: in_, name }) => ids.has(`ServiceAccount/${in_}/${name}`))).toEqual([true]);
    }
  });

  test('rights are these and no others', () => {
    const rules = objects.flatMap((object) => {
      const { rules: all = [] } = object as {
        rules?: { resources: string[]; resourceNames?: string[]; verbs: string[] }[];
      };
      return all.map(
        ({ resources, resourceNames = ['*'], verbs }) => `${object.kind}: ${verbs} ${resources} ${resourceNames}`,
      );
    });
    const always = ['ClusterRole: get,list,watch serviceaccounts *', 'ClusterRole: create events *'];
    const managed = [
      'ClusterRole: get,list,watch,patch mutatingwebhookconfigurations podpass',
      'Role: get,list,watch,update secrets podpass-webhook-tls',
    ];
    expect(rules).toEqual(tls === 'managed' ? [...always, ...managed] : always);
    expect(ofKind(objects, 'Secret').map(({ metadata, data }) => [metadata.name, data])).toEqual(
      tls === 'managed' ? [['podpass-webhook-tls', undefined]] : [],
    );
  });

  test('the policies read the Pod alone, so that their cost does not grow with the ServiceAccounts', () => {
    const policies = objects.filter(({ kind }) => kind.startsWith('ValidatingAdmissionPolicy'));
    // Each with its binding: for tokens, and for oauth2-proxy.
    expect(policies).toHaveLength(4);
    for (const policy of policies) expect(JSON.stringify(policy)).not.toMatch(/param/);
  });

  test('there are a first try for all Pods, and one at each half for those that must not be without their tokens', () => {
    const [configuration] = ofKind(objects, 'MutatingWebhookConfiguration');
    const { webhooks } = configuration as unknown as { webhooks: Entry[] };
    const always = ['not-a-mirror-pod', 'not-opted-out'];
    const once = [...always, 'not-injected-yet'];
    expect(webhooks.map(summaryOf)).toEqual([
      ['all', 'podpass-webhook', 'Ignore', undefined, always],
      ['again', 'podpass-webhook-a', 'Ignore', undefined, [...once, 'waits-or-asks']],
      ['annotated', 'podpass-webhook-b', 'Ignore', undefined, [...once, 'asks-and-does-not-wait']],
      ['labelled', 'podpass-webhook-b', 'Fail', { matchLabels: { 'podpass.dev/inject': 'true' } }, once],
    ]);
    for (const entry of webhooks) {
      expect(entry).toMatchObject({
        reinvocationPolicy: 'IfNeeded',
        matchPolicy: 'Equivalent',
        sideEffects: 'None',
        timeoutSeconds: TRY_SECONDS,
        clientConfig: { service: { namespace: 'own', path: '/mutate', port: 443 } },
        rules: [{ operations: ['CREATE'], resources: ['pods'] }],
        namespaceSelector: {
          matchExpressions: [{ key: 'kubernetes.io/metadata.name', operator: 'NotIn', values: ['kube-system', 'own'] }],
        },
      });
    }
    for (const service of ofKind(objects, 'Service').filter(({ metadata }) => metadata.name.includes('webhook')))
      expect(specOf(service)).toMatchObject({ ports: [{ port: 443 }] });
    const lookup = Number(settingRows.serviceAccountLookupTimeout.default.replace('s', ''));
    expect(lookup).toBeLessThan(TRY_SECONDS);
  });

  test('the registration and the policies mean the same by a Pod that asks', () => {
    const [configuration] = ofKind(objects, 'MutatingWebhookConfiguration');
    const asks = ofKind(objects, 'ValidatingAdmissionPolicy').flatMap((policy) =>
      specOf<{ matchConditions: { name: string; expression: string }[] }>(policy)
        .matchConditions.filter(({ name }) => name.startsWith('asks-for-'))
        .map(({ expression }) => expression),
    );
    expect(asks).toHaveLength(2);
    const { webhooks } = configuration as unknown as { webhooks: Entry[] };
    for (const each of asks) {
      const with_ = webhooks.filter(({ matchConditions: own }) =>
        own.some(({ expression }) => expression.includes(each)),
      );
      expect(with_.map(({ name }) => name)).toEqual(['again.podpass.dev', 'annotated.podpass.dev']);
    }
  });
});

interface Entry {
  name: string;
  clientConfig: { service: { name: string } };
  failurePolicy: string;
  objectSelector?: object;
  matchConditions: { name: string; expression: string }[];
}

const summaryOf = ({ name, clientConfig, failurePolicy, objectSelector, matchConditions }: Entry) => [
  name.replace('.podpass.dev', ''),
  clientConfig.service.name,
  failurePolicy,
  objectSelector,
  matchConditions.map((condition) => condition.name),
];

test('Pods with the label of Azure have a try at each half, too, where podpass is in the place of its webhook', () => {
  const [configuration] = ofKind(installation('managed', { presets: presetNames }), 'MutatingWebhookConfiguration');
  const { webhooks } = configuration as unknown as { webhooks: Entry[] };
  const [azure] = webhooks.filter(({ name }) => name === 'azure.podpass.dev');
  expect(azure && summaryOf(azure)).toEqual([
    'azure',
    'podpass-webhook-b',
    'Fail',
    { matchLabels: { 'azure.workload.identity/use': 'true' } },
    ['not-a-mirror-pod', 'not-opted-out', 'not-injected-yet'],
  ]);
  const expressions = webhooks.map(({ matchConditions }) => matchConditions.at(-1)?.expression ?? '');
  expect(expressions.map((each) => each.includes('azure'))).toEqual([false, true, true, false, false]);
});

test('debug containers have an entry of their own, which nobody waits for', () => {
  const [configuration] = ofKind(
    installation('managed', { ephemeralContainers: true }),
    'MutatingWebhookConfiguration',
  );
  const { webhooks } = configuration as unknown as { webhooks: Record<string, unknown>[] };
  const entries = webhooks.filter(({ rules }) => JSON.stringify(rules).includes('ephemeralcontainers'));
  expect(entries).toHaveLength(1);
  expect(entries[0]).toMatchObject({
    name: 'debug.podpass.dev',
    failurePolicy: 'Ignore',
    reinvocationPolicy: 'IfNeeded',
    sideEffects: 'None',
    rules: [{ operations: ['UPDATE'], resources: ['pods/ephemeralcontainers'] }],
  });
  const args = (more: Partial<Installation>) =>
    ofKind(installation('cert-manager', more), 'Deployment').map(
      (deployment) => templateOf(deployment).spec.containers[0]?.args,
    );
  const [webhook = [], , discovery] = args({});
  const [switched = [], otherHalf, other] = args({ ephemeralContainers: true });
  expect(switched).toEqual([...webhook, '--ephemeral-containers=true']);
  expect([otherHalf, other]).toEqual([switched, discovery]);
  const parsed = parseSettings('webhook', { argv: switched.slice(1), env: {}, readFile: () => '' });
  expect(parsed).toMatchObject({ ok: true, settings: { ephemeralContainers: true } });
});

test('each switch of discovery adds what it needs, and nothing else', () => {
  const base = installation('managed');
  const added = (more: Partial<Installation>) => {
    const before = new Map(base.map((object) => [idOf(object), JSON.stringify(object)]));
    return installation('managed', more)
      .filter((object) => before.get(idOf(object)) !== JSON.stringify(object))
      .map(idOf);
  };
  expect(added({ keyState: true })).toEqual([
    'Deployment/own/podpass-discovery',
    'ConfigMap/own/podpass-keys',
    'Role/own/podpass-keys',
    'RoleBinding/own/podpass-keys',
  ]);
  expect(added({ publishing: true })).toEqual([
    'ClusterRole/podpass-discovery-publishing',
    'ClusterRoleBinding/podpass-discovery-publishing',
  ]);
  expect(added({ dns: true })).toEqual(['NetworkPolicy/own/podpass-discovery']);

  const all = installation('managed', { keyState: true, publishing: true, dns: true });
  const deployment = all.find((object) => idOf(object) === 'Deployment/own/podpass-discovery') as KubeObject;
  const [, ...flags] = templateOf(deployment).spec.containers[0]?.args ?? [];
  expect(parseSettings('discovery', { argv: flags, env: {}, readFile: () => '' })).toMatchObject({
    ok: true,
    settings: { state: { configMap: 'podpass-keys' } },
  });
  // Applied again, it must take away nothing.
  expect(ofKind(all, 'ConfigMap').map((object) => 'data' in object)).toEqual([false]);
});

test('images are pinned', () => {
  expect(image.parse(DEFAULT_IMAGE).ok).toBe(true);
  const digest = `sha256:${'0'.repeat(64)}`;
  const taken = [
    'podpass:1',
    'registry.example.com:5000/a/podpass:1.2.3',
    `podpass@${digest}`,
    `podpass:latest@${digest}`,
  ];
  for (const name of taken) expect([name, image.parse(name).ok]).toEqual([name, true]);
  for (const name of [
    'podpass',
    'podpass:latest',
    'registry.example.com:5000/podpass',
    'a b:1',
    '',
    'podpass@sha256:0',
    ':1',
  ])
    expect([name, image.parse(name).ok]).toEqual([name, false]);
});

test('namespaces are DNS labels', () => {
  for (const name of ['podpass', 'a', '0-a', 'a'.repeat(63)])
    expect([name, dnsLabel.parse(name).ok]).toEqual([name, true]);
  for (const name of ['', '-a', 'a-', 'A', 'a.b', 'a'.repeat(64)])
    expect([name, dnsLabel.parse(name).ok]).toEqual([name, false]);
});
