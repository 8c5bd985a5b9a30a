/** docs/guides, command by command: everything but what needs Pods that run. */
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import type { KubeObject } from '../control-plane.ts';
import { testCa } from '../podpass.ts';
import { specOf } from '../pods.ts';
import { clusterBinaries, describeCluster } from '../suite.ts';
import { type Block, blocksOf, Guide } from './guide.ts';
import { kubeconfigOf, Site } from './site.ts';

const executable = fileURLToPath(new URL('../../../dist/podpass.js', import.meta.url));
/** Pictures are judged elsewhere; `console` shows what running Pods answer. */
const isRun = ({ language }: Block) => language !== 'mermaid' && language !== 'console';
const stepsOf = (name: string) => blocksOf(`guides/${name}`).filter(isRun);

describeCluster('the guides of whole ways', () => {
  const folder = mkdtempSync(join(tmpdir(), 'podpass-flows-'));
  let site: Site;
  let other: Site;

  beforeAll(async () => {
    site = await Site.start('rsa');
    // Verifiers that know RS256 alone would be found out.
    other = await Site.start('ec');
    mkdirSync(join(folder, 'bin'));
    chmodSync(executable, 0o755);
    const { kubectl, promtool } = clusterBinaries();
    for (const [name, path] of Object.entries({ podpass: executable, kubectl, promtool }))
      symlinkSync(path, join(folder, 'bin', name));
    writeFileSync(join(folder, 'ca.crt'), testCa().pem);
    const { cluster: a } = site;
    writeFileSync(join(folder, 'kubeconfig'), kubeconfigOf({ a, b: other.cluster, hub: a }), { mode: 0o600 });
  }, 240_000);
  afterAll(async () => {
    await site?.stop();
    await other?.stop();
    rmSync(folder, { recursive: true });
  });

  /** A guide in a folder of its own. */
  function guideOf(name: string, values: Record<string, string>): Guide {
    const own = mkdtempSync(join(folder, 'guide-'));
    writeFileSync(join(own, 'client-secret'), 'of-the-client');
    const files = stepsOf(name)
      .filter(({ language }) => language === 'yaml')
      .map(({ text }) => text.match(/^# (\S+)\n/)?.[1] ?? '');
    return new Guide(`guides/${name}`, {
      folder: own,
      env: {
        PATH: `${join(folder, 'bin')}:${process.execPath.replace(/\/node$/, '')}:${process.env.PATH ?? ''}`,
        HOME: folder,
        KUBECONFIG: join(folder, 'kubeconfig'),
        ...{ NODE_EXTRA_CA_CERTS: join(folder, 'ca.crt') },
      },
      values,
      files: Object.fromEntries(
        files.map((file) => [file, async (content: string) => writeFileSync(join(own, file), content)]),
      ),
      timeoutMs: 80_000,
    });
  }

  const inShop = async (name: string) => specOf(await site.cluster.expect<KubeObject>('GET', podPath('shop', name)));

  describe.each(['machine-to-machine.md', 'people-and-machines.md', 'ci-and-cluster.md'])('docs/guides/%s', (name) => {
    let guide: Guide;
    beforeAll(() => {
      guide = guideOf(name, { 'https://k8s.example.com': site.cluster.issuer });
    });
    afterAll(async () => {
      for (const namespace of ['shop', 'billing']) await site?.removePods(namespace);
    });

    // Each goes on from the one before it.
    it.each(stepsOf(name))('works: $heading, line $line', { retry: 0, timeout: 90_000 }, (block) => guide.run(block));

    if (name === 'ci-and-cluster.md') return;
    it('has led to an oauth2-proxy that knows the caller, and to a Service that leads there', {
      retry: 0,
    }, async () => {
      const { initContainers = [] } = await inShop('shop');
      const [proxy] = initContainers;
      expect(proxy?.ports).toEqual([expect.objectContaining({ name: 'http', containerPort: 4180 })]);
      expect(String(proxy?.args)).toContain(site.cluster.issuer);
      const service = await site.cluster.expect<KubeObject & { spec: { ports: { targetPort: string }[] } }>(
        'GET',
        '/api/v1/namespaces/shop/services/shop',
      );
      expect(service.spec.ports[0]?.targetPort).toBe('http');
    });
  });

  describe.each(['a', 'b'])('docs/guides/prometheus-from-many-clusters.md, for cluster %s', (name) => {
    const guideName = 'prometheus-from-many-clusters.md';
    const where = () => (name === 'a' ? site : other).cluster;
    let guide: Guide;
    beforeAll(() => {
      guide = guideOf(guideName, { 'CLUSTER=a': `CLUSTER=${name}`, 'https://a.example.com': where().issuer });
    });

    it.each(stepsOf(guideName))('works: $heading, line $line', { retry: 0, timeout: 90_000 }, (block) =>
      guide.run(block),
    );

    it('has Prometheus read the file that its Pod has, and the gate know this cluster alone', {
      retry: 0,
    }, async () => {
      const { global: settings, remote_write } = parse(readFileSync(join(guide.folder, 'prometheus.yml'), 'utf8'));
      expect(settings.external_labels).toEqual({ cluster: name });
      const pod = specOf(await where().expect<KubeObject>('GET', podPath('monitoring', 'prometheus')));
      const { mountPath } = pod.containers[0]?.volumeMounts?.find((mount) => mount.name === 'podpass-tokens') ?? {};
      expect(remote_write[0].authorization.credentials_file).toBe(`${mountPath}/metrics.example.com`);
      const gate = await site.cluster.expect<KubeObject & { data: Record<string, string> }>(
        'GET',
        `/api/v1/namespaces/metrics/configmaps/gate-${name}`,
      );
      expect(gate.data['oauth2-proxy.cfg']).toContain(`oidc_issuer_url = "${where().issuer}"`);
      expect(gate.data['gate.conf']).toMatch(
        new RegExp(`^    proxy_set_header .* proxy_set_header X-Scope-OrgID ${name};$`, 'm'),
      );
    });
  });
});

const podPath = (namespace: string, name: string) => `/api/v1/namespaces/${namespace}/pods/${name}`;
