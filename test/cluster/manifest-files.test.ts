import { mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isDeepStrictEqual } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { parseAllDocuments, stringify } from 'yaml';
import { presetNames } from '../../src/catalog/presets.ts';
import { allObjects, installationFiles } from '../../src/cli/manifests/installation.ts';
import { dashboardConfig, monitoring } from '../../src/cli/manifests/monitoring.ts';
import type { Installation, KubeObject } from '../../src/cli/manifests/object.ts';
import { idOf } from '../../src/cli/manifests/text.ts';
import { DEFAULT_IMAGE } from '../../src/cli/manifests.ts';
import { type ControlPlane, startControlPlane } from './control-plane.ts';
import { podpass, runProgram } from './podpass.ts';
import { clusterBinaries, describeCluster } from './suite.ts';

const folder = fileURLToPath(new URL('../../manifests/', import.meta.url));
const chart = join(folder, 'helm/podpass');
const BASE = { namespace: 'podpass', image: DEFAULT_IMAGE, tls: 'managed' } as const satisfies Installation;
const ISSUER = 'https://issuer.example.com/a';

/** What discovery can be switched to: the component, the installation; in the chart the values have its names. */
const SWITCHES = [
  ['key-state', { keyState: true }],
  ['publishing', { publishing: true }],
  ['dns', { dns: true }],
] as const;

type ById = Record<string, KubeObject>;

const byId = (objects: readonly KubeObject[]): ById =>
  Object.fromEntries(
    objects.map((object): [string, KubeObject] => [idOf(object), JSON.parse(JSON.stringify(object))]).sort(),
  );
const read = (text: string): ById =>
  byId(parseAllDocuments(text).flatMap((document) => (document.toJS() as KubeObject | null) ?? []));
const withoutNamespace = (objects: readonly KubeObject[]) => byId(objects.filter(({ kind }) => kind !== 'Namespace'));

async function kustomize(path: string): Promise<ById> {
  const ran = await runProgram(clusterBinaries().kustomize, ['build', resolve(folder, path)]);
  expect(ran).toMatchObject({ code: 0, stderr: '' });
  return read(ran.stdout);
}

/** Helm with a home of its own. */
async function helm(args: string[], home: string) {
  return runProgram(clusterBinaries().helm, args, { env: { HOME: home, XDG_CACHE_HOME: home } });
}

describeCluster('manifests, built by Kustomize', () => {
  let own: string;
  beforeAll(() => {
    own = realpathSync(mkdtempSync(join(tmpdir(), 'podpass-kustomize-')));
  });
  afterAll(() => rmSync(own, { recursive: true, force: true }));

  it('the base is what podpass prints', async () => {
    const printed = await podpass(['manifests']);
    expect(printed).toMatchObject({ code: 0, stderr: '' });
    const base = await kustomize('base');
    expect(base).toEqual(read(printed.stdout));
    expect(Object.keys(base).length).toBeGreaterThan(15);
  });

  it('the flags change what they say', async () => {
    const image = `registry.example.com/podpass@sha256:${'0'.repeat(64)}`;
    const { stdout } = await podpass(['manifests', '--namespace', 'identity', '--image', image, '--issuer', ISSUER]);
    expect(read(stdout)).toEqual(byId(allObjects({ namespace: 'identity', image, issuer: ISSUER, tls: 'managed' })));
    expect(stdout).not.toMatch(/namespace: podpass$|podpass:0/m);
    expect(stdout).toContain(`--issuer=${ISSUER}`);
    const wrong = await podpass(['manifests', '--namespace', 'A_b', '--image', 'podpass:latest', '--issuer', 'x']);
    expect([wrong.code, wrong.stdout, wrong.stderr.trim().split('\n').length]).toEqual([2, '', 4]);
  });

  it.each(['webhook', 'discovery'] as const)(
    'the overlay %s-only has that service and the namespace',
    async (service) => {
      const files = installationFiles(BASE);
      const objects = [files.namespace, files[service]].flatMap((contents) => Object.values(contents).flat());
      expect(await kustomize(`overlays/${service}-only`)).toEqual(byId(objects));
    },
  );

  it('the component monitoring adds to any of them what the Prometheus operator and Grafana take', async () => {
    const monitored = [...monitoring('podpass', 'webhook'), ...monitoring('podpass', 'discovery')];
    const page = dashboardConfig('podpass');
    const at = relative(own, folder);
    const build = async (resource: string, components: string[]) => {
      const kustomization = {
        resources: [join(at, resource)],
        components: components.map((component) => join(at, 'overlays', component)),
      };
      writeFileSync(join(own, 'kustomization.yaml'), stringify(kustomization));
      return kustomize(own);
    };
    expect(await build('base', ['monitoring'])).toEqual(byId([...allObjects(BASE), ...monitored, page]));
    const overlay = await build('overlays/cert-manager', ['monitoring']);
    expect(overlay).toEqual(byId([...allObjects({ ...BASE, tls: 'cert-manager' }), ...monitored, page]));
    expect(Object.keys(await build('overlays/webhook-only', ['monitoring/webhook']))).toEqual(
      expect.arrayContaining(monitoring('podpass', 'webhook').map(idOf)),
    );
    expect(JSON.stringify(await kustomize('base'))).not.toContain('monitoring.coreos.com');
  });

  it('a patch as the documents have it changes both halves, and nothing else', async () => {
    const target = { kind: 'Deployment', name: 'podpass-webhook-.' };
    const patch = '- {op: add, path: /spec/template/spec/containers/0/args/-, value: --token-expiration=2h}';
    const resources = [join(relative(own, folder), 'base')];
    writeFileSync(join(own, 'kustomization.yaml'), stringify({ resources, patches: [{ target, patch }] }));
    const built = await kustomize(own);
    const base = byId(allObjects(BASE));
    const changed = Object.keys(built).filter((id) => !isDeepStrictEqual(built[id], base[id]));
    expect(changed).toEqual(['Deployment/podpass/podpass-webhook-a', 'Deployment/podpass/podpass-webhook-b']);
    for (const id of changed) expect(JSON.stringify(built[id])).toContain('--token-expiration=2h');
  });

  it('the component debug-containers switches them on in any of them that has the webhook', async () => {
    const at = relative(own, folder);
    for (const [resource, installation] of [
      ['base', BASE],
      ['overlays/cert-manager', { ...BASE, tls: 'cert-manager' }],
    ] as const) {
      const components = [join(at, 'overlays/debug-containers')];
      writeFileSync(join(own, 'kustomization.yaml'), stringify({ resources: [join(at, resource)], components }));
      expect(await kustomize(own)).toEqual(byId(allObjects({ ...installation, ephemeralContainers: true })));
    }
    const { stdout } = await podpass(['manifests', '--ephemeral-containers']);
    expect(read(stdout)).toEqual(byId(allObjects({ ...BASE, ephemeralContainers: true })));
    expect(JSON.stringify(await kustomize('base'))).not.toContain('ephemeral');
  });

  it.each(SWITCHES)('the component %s switches that on in any of them that has discovery', async (component, more) => {
    const at = relative(own, folder);
    const { namespace, discovery } = installationFiles({ ...BASE, ...more });
    const alone = [namespace, discovery].flatMap((contents) => Object.values(contents).flat());
    for (const [resource, objects] of [
      ['base', allObjects({ ...BASE, ...more })],
      ['overlays/discovery-only', alone],
    ] as const) {
      const components = [join(at, 'overlays', component)];
      writeFileSync(join(own, 'kustomization.yaml'), stringify({ resources: [join(at, resource)], components }));
      expect(await kustomize(own)).toEqual(byId(objects));
    }
  });

  it('all of these components go together', async () => {
    const at = relative(own, folder);
    const components = SWITCHES.map(([component]) => join(at, 'overlays', component));
    writeFileSync(join(own, 'kustomization.yaml'), stringify({ resources: [join(at, 'base')], components }));
    expect(await kustomize(own)).toEqual(byId(allObjects({ ...BASE, keyState: true, publishing: true, dns: true })));
  });

  it('the overlay cert-manager takes the certificate from there, and gives back the rights for its own', async () => {
    const built = await kustomize('overlays/cert-manager');
    expect(built).toEqual(byId(allObjects({ ...BASE, tls: 'cert-manager' })));
    expect(Object.keys(built).filter((id) => /^(Secret|Role|RoleBinding)\//.test(id))).toEqual([]);
    expect(JSON.stringify(built['ClusterRole/podpass-webhook'])).not.toContain('patch');
  });
});

describeCluster('the overlay presets', () => {
  it('is the webhook alone, with every preset, for Pods in kube-system too', async () => {
    const built = await kustomize('overlays/presets');
    const { namespace, webhook } = installationFiles({ ...BASE, presets: presetNames });
    expect(built).toEqual(byId([namespace, webhook].flatMap((contents) => Object.values(contents).flat())));
    const text = JSON.stringify(built['MutatingWebhookConfiguration/podpass']);
    expect(text).not.toContain('kube-system');
    expect(text).toContain('azure.workload.identity/use');
    for (const half of ['a', 'b'])
      expect(JSON.stringify(built[`Deployment/podpass/podpass-webhook-${half}`])).toContain('--presets=aws,azure,gcp');
    expect(Object.keys(built).filter((id) => id.includes('discovery'))).toEqual([
      'ClusterRoleBinding/podpass-webhook-issuer-discovery',
    ]);
  });
});

describeCluster('the chart', () => {
  let home: string;
  let cluster: ControlPlane;

  beforeAll(async () => {
    home = mkdtempSync(join(tmpdir(), 'podpass-helm-'));
    cluster = await startControlPlane({ binaries: clusterBinaries() });
  });
  afterAll(async () => {
    await cluster?.stop();
    rmSync(home, { recursive: true, force: true });
  });

  async function template(...values: string[]): Promise<ById> {
    const set = values.flatMap((value) => ['--set', value]);
    const ran = await helm(['template', 'podpass', chart, '--namespace', 'podpass', ...set], home);
    expect(ran).toMatchObject({ code: 0, stderr: '' });
    return read(ran.stdout);
  }

  it('has no fault that Helm finds', async () => {
    const ran = await helm(['lint', '--strict', chart], home);
    expect([ran.code, ran.stdout + ran.stderr]).toEqual([0, expect.stringContaining('0 chart(s) failed')]);
  });

  it('is the base but for the namespace, which is Helm’s', async () => {
    expect(await template()).toEqual(withoutNamespace(allObjects(BASE)));
  });

  it('with cert-manager is the overlay', async () => {
    expect(await template('tls.mode=cert-manager')).toEqual(
      withoutNamespace(allObjects({ ...BASE, tls: 'cert-manager' })),
    );
  });

  it('switches debug containers on by a value', async () => {
    for (const tls of ['managed', 'cert-manager'] as const) {
      const built = await template('webhook.ephemeralContainers=true', `tls.mode=${tls}`);
      expect(built).toEqual(withoutNamespace(allObjects({ ...BASE, tls, ephemeralContainers: true })));
    }
  });

  it.each(SWITCHES)('switches %s on by a value', async (_, more) => {
    const [name] = Object.keys(more);
    const built = await template(`discovery.${name}=true`);
    expect(built).toEqual(withoutNamespace(allObjects({ ...BASE, ...more })));
    const { webhook } = installationFiles(BASE);
    expect(await template(`discovery.${name}=true`, 'discovery.enabled=false')).toEqual(
      byId(Object.values(webhook).flat()),
    );
  });

  it('switches all of them on together, flags of one’s own come last', async () => {
    const built = await template(
      'discovery.keyState=true,discovery.publishing=true,discovery.dns=true',
      'discovery.args={--publish-to=s3://bucket/a}',
    );
    const expected = allObjects({ ...BASE, keyState: true, publishing: true, dns: true });
    expect(Object.keys(built)).toEqual(Object.keys(withoutNamespace(expected)));
    expect(JSON.stringify(built['Deployment/podpass/podpass-discovery'])).toContain(
      '"args":["discovery","--key-source=cluster","--state=configmap/podpass-keys","--publish-to=s3://bucket/a"]',
    );
  });

  it('leaves out what is switched off', async () => {
    const { webhook, discovery } = installationFiles(BASE);
    expect(await template('discovery.enabled=false')).toEqual(byId(Object.values(webhook).flat()));
    expect(await template('webhook.enabled=false')).toEqual(byId(Object.values(discovery).flat()));
  });

  it('has the monitoring only where it is asked for, with the labels that are', async () => {
    const added = async (...values: string[]) => {
      const built = await template('monitoring.enabled=true', ...values);
      const [before, after] = [new Set(Object.keys(await template(...values))), Object.entries(built)];
      return Object.fromEntries(after.filter(([id]) => !before.has(id)));
    };
    const [webhook, discovery] = [monitoring('podpass', 'webhook'), monitoring('podpass', 'discovery')];
    const page = dashboardConfig('podpass');
    expect(await added()).toEqual(byId([...webhook, ...discovery, page]));
    expect(await added('discovery.enabled=false')).toEqual(byId([...webhook, page]));
    const labelled = Object.values(await added('monitoring.labels.release=prometheus'));
    expect(labelled).toHaveLength(5);
    for (const { metadata } of labelled) {
      expect(metadata.labels).toMatchObject({ release: 'prometheus', 'app.kubernetes.io/name': 'podpass' });
    }
  });

  it('sets what its values say', async () => {
    const image = 'registry.example.com/podpass:9.8.7';
    const built = await template(
      `issuer=${ISSUER}`,
      'image.repository=registry.example.com/podpass,image.tag=9.8.7',
      'webhook.args={--log-level=debug,--token-expiration=2h},webhook.replicas=3,webhook.port=10250',
      'image.pullPolicy=Never,image.pullSecrets[0].name=registry',
    );
    const expected = withoutNamespace(allObjects({ ...BASE, image, issuer: ISSUER }));
    const podOf = (objects: ById, name: string) => {
      const spec = objects[`Deployment/podpass/${name}`]?.spec as { replicas: number; template: { spec: object } };
      return {
        replicas: spec.replicas,
        pod: spec.template.spec as Record<string, unknown> & { containers: { args: string[] }[] },
      };
    };
    for (const half of ['podpass-webhook-a', 'podpass-webhook-b']) {
      const [webhook, wanted] = [podOf(built, half), podOf(expected, half)];
      expect(webhook.replicas).toBe(3);
      expect(webhook.pod.imagePullSecrets).toEqual([{ name: 'registry' }]);
      const [container] = wanted.pod.containers;
      expect(webhook.pod.containers).toEqual([
        {
          ...container,
          args: [...(container?.args ?? []), '--port=10250', '--log-level=debug', '--token-expiration=2h'],
          ports: [
            { name: 'https', containerPort: 10250, protocol: 'TCP' },
            { name: 'metrics', containerPort: 9090, protocol: 'TCP' },
          ],
          imagePullPolicy: 'Never',
        },
      ]);
    }
    expect(podOf(built, 'podpass-discovery').pod.containers[0]?.args).toEqual(
      podOf(expected, 'podpass-discovery').pod.containers[0]?.args,
    );
    const digest = `sha256:${'a'.repeat(64)}`;
    expect(JSON.stringify(await template(`image.digest=${digest}`))).toContain(`"image":"podpass@${digest}"`);
  });

  it.each([
    'image.tag=latest',
    'tls.mode=none',
    'webhok.enabled=false',
    'webhook.replicas=0',
    'webhook.args={--port=1}',
    'issuer=x y',
    'monitoring.enabled=yes',
    'monitoring.label.a=b',
    'discovery.keyState=podpass-keys',
  ])('refuses %s', async (value) => {
    const ran = await helm(['template', 'podpass', chart, '--set', value], home);
    expect([ran.code, ran.stderr]).toEqual([1, expect.stringContaining("don't meet the specifications of the schema")]);
  });

  it('is installed, upgraded and removed by Helm; an upgrade keeps what the webhook wrote', async () => {
    const on = ['--kubeconfig', cluster.kubeconfigPath, '--namespace', 'podpass'];
    const run = async (...args: string[]) => {
      const ran = await helm([...args, ...on], home);
      expect([ran.code, ran.stderr]).toEqual([0, expect.not.stringContaining('arning')]);
    };
    await run('install', 'podpass', chart, '--create-namespace', '--set', 'discovery.keyState=true');
    const keys = '/api/v1/namespaces/podpass/configmaps/podpass-keys';
    await cluster.expect(
      'PATCH',
      keys,
      { data: { 'state.json': 'x' } },
      { contentType: 'application/merge-patch+json' },
    );
    const secret = '/api/v1/namespaces/podpass/secrets/podpass-webhook-tls';
    const group = '/apis/admissionregistration.k8s.io/v1';
    const configuration = `${group}/mutatingwebhookconfigurations/podpass`;
    await cluster.expect(
      'PATCH',
      secret,
      { data: { 'tls.crt': 'eA==' } },
      { contentType: 'application/merge-patch+json' },
    );
    const caBundle = Buffer.from(cluster.caPem).toString('base64');
    const { webhooks: before } = await cluster.expect<{ webhooks: object[] }>('GET', configuration);
    const patch = before.map((_, at) => ({
      op: 'add',
      path: `/webhooks/${at}/clientConfig/caBundle`,
      value: caBundle,
    }));
    await cluster.expect('PATCH', configuration, patch, { contentType: 'application/json-patch+json' });

    await run('upgrade', 'podpass', chart, '--set', 'webhook.replicas=3,discovery.keyState=true');
    expect(await cluster.expect('GET', keys)).toMatchObject({ data: { 'state.json': 'x' } });
    expect(await cluster.expect('GET', secret)).toMatchObject({ data: { 'tls.crt': 'eA==' } });
    const { webhooks } = await cluster.expect<{ webhooks: { clientConfig: object }[] }>('GET', configuration);
    expect(webhooks.map(({ clientConfig }) => clientConfig)).toMatchObject(before.map(() => ({ caBundle })));
    const halves = ['a', 'b'].map((half) => `/apis/apps/v1/namespaces/podpass/deployments/podpass-webhook-${half}`);
    for (const half of halves) expect(await cluster.expect('GET', half)).toMatchObject({ spec: { replicas: 3 } });

    await run('uninstall', 'podpass', '--wait=false');
    for (const path of [configuration, `${group}/validatingadmissionpolicies/podpass`, secret, ...halves]) {
      expect([path, (await cluster.request('GET', path)).status]).toEqual([path, 404]);
    }
  });
});
