/** docs/migrate.md, command by command. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type ControlPlane, startControlPlane } from '../control-plane.ts';
import { clusterBinaries, describeCluster } from '../suite.ts';
import { blocksOf, Guide } from './guide.ts';
import { Installation } from './installation.ts';
import { kubeconfigOf } from './site.ts';

const steps = blocksOf('migrate.md');

describeCluster('the guide to move an issuer', () => {
  let installation: Installation;
  let green: ControlPlane;
  let guide: Guide;

  beforeAll(async () => {
    installation = await Installation.start((port) => `https://127.0.0.1:${port}/old`, []);
    const issuer = `https://127.0.0.1:${installation.port}/new`;
    green = await startControlPlane({ binaries: clusterBinaries(), issuer: `${issuer}/green`, keys: 'ec' });
    await green.createNamespace('shop');
    await green.createServiceAccount('shop', 'web');
    const kubeconfig = join(installation.folder, 'clusters.kubeconfig');
    writeFileSync(kubeconfig, kubeconfigOf({ blue: installation.cluster, green }), { mode: 0o600 });
    guide = new Guide('migrate.md', {
      folder: installation.folder,
      env: installation.env(),
      values: {
        'https://old.example.com': installation.cluster.issuer,
        'https://issuer.example.com': issuer,
        '/etc/podpass/clusters.kubeconfig': kubeconfig,
      },
      files: {
        '/etc/kubernetes/manifests/kube-apiserver.yaml': (content) => installation.apiServer(content),
        'discovery.yaml': (content) => installation.configure(content),
      },
      timeoutMs: 80_000,
    });
  }, 180_000);
  afterAll(async () => {
    await installation?.stop();
    await green?.stop();
  });

  it('has commands for every step', () => {
    expect(steps.filter(({ language }) => language === 'sh').length).toBeGreaterThan(7);
  });

  // Each goes on from the one before it.
  it.each(steps)('works: $heading, line $line', { retry: 0, timeout: 90_000 }, async (block) => {
    await guide.run(block);
  });
});
