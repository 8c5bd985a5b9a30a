/** Another version over the one that is there, away with all of it, and the same with Helm. */
import { mkdtemp, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { podpass, runProgram, until } from '../cluster/podpass.ts';
import { ourVolumes } from '../cluster/pods.ts';
import { IMAGE, type Installed, OWN } from './installed.ts';
import { Load } from './load.ts';
import { nodeParts } from './suite.ts';

const manifests = fileURLToPath(new URL('../../manifests', import.meta.url));
const NEXT = '0.2.0';

/** `namespace` has a ServiceAccount `web` that asks for a token. */
export function describeUpgrade(installed: () => Installed, namespace: string): void {
  let load: Load | undefined;
  afterAll(() => load?.stop());

  const createsPod = async () => {
    const spec = { serviceAccountName: 'web', schedulerName: 'none', containers: [{ name: 'app', image: 'app:1' }] };
    const { cluster } = installed().node;
    await cluster.request('POST', '/api/v1/namespaces', { metadata: { name: 'after' } });
    await cluster.request('POST', '/api/v1/namespaces/after/serviceaccounts', {
      metadata: { name: 'web', annotations: { 'podpass.dev/audiences': 'vault' } },
    });
    const metadata = { generateName: 'after-', labels: { 'podpass.dev/inject': 'true' } };
    return cluster.createPod('after', { metadata, spec }, { dryRun: true });
  };

  /** Which objects of the installation are still there. */
  const remaining = async () => {
    const { code, stdout } = await podpass(['manifests']);
    expect(code).toBe(0);
    const args = ['get', '--ignore-not-found', '--output', 'name', '--filename', '-'];
    return (await installed().node.kubectlOk(args, stdout)).split('\n').filter((line) => line !== '');
  };

  describe('its manifests', () => {
    it('of another version are applied over these while Pods are created, and none fails', async () => {
      const { node } = installed();
      await node.tagImage(IMAGE, `podpass:${NEXT}`);
      const folder = await mkdtemp(join(node.cluster.folder, 'upgrade-'));
      await symlink(manifests, join(folder, 'manifests'));
      const kustomization = { resources: ['manifests/base'], images: [{ name: 'podpass', newTag: NEXT }] };
      await writeFile(join(folder, 'kustomization.yaml'), JSON.stringify(kustomization));
      load = new Load(node.cluster, namespace);
      const report = await load.during('upgrade', async () => {
        await node.kubectlOk(['apply', '--kustomize', folder]);
        await installed().rolledOut('webhook');
        await installed().rolledOut('discovery');
        const ended = async () => (await installed().podsOf('webhook', 'all')).length === 2;
        await until('the end of the old Pods', ended, 40_000);
      });
      await load.stop();
      expect(report.webhookFailures).toEqual([]);
      expect(report.created).toBeGreaterThan(20);
      for (const service of ['webhook', 'discovery'] as const) {
        const images = (await installed().podsOf(service)).map(({ spec }) => (spec as Spec).containers[0]?.image);
        expect(images).toEqual([`podpass:${NEXT}`, `podpass:${NEXT}`]);
      }
    });

    it('are removed by the two documented lines; Pods are created then as before', async () => {
      const { node } = installed();
      expect((await remaining()).length).toBeGreaterThan(15);
      const first = ['mutatingwebhookconfiguration/podpass', 'validatingadmissionpolicybinding/podpass'];
      await node.kubectlOk(['delete', ...first]);
      const { stdout } = await podpass(['manifests']);
      await node.kubectlOk(['delete', '--ignore-not-found', '--filename', '-'], stdout);
      expect(await remaining()).toEqual([]);
      const answer = await createsPod();
      expect([answer.status, ourVolumes(answer.body)]).toEqual([201, []]);
    });
  });

  describe('its Helm chart', () => {
    const helm = async (...args: string[]) => {
      const { node } = installed();
      const { code, stdout, stderr } = await runProgram(nodeParts().binaries.helm, args, {
        env: node.kubectlEnv,
        timeoutMs: 120_000,
      });
      if (code !== 0) throw new Error(`helm ${args.join(' ')}: ${stderr}`);
      return stdout;
    };
    const chart = ['podpass', `${manifests}/helm/podpass`, '--namespace', OWN, '--wait', '--timeout', '110s'];

    it('is installed, and both services become ready', async () => {
      const { node } = installed();
      await node.kubectlOk(['create', 'namespace', OWN]);
      await node.kubectlOk(['label', 'namespace', OWN, 'pod-security.kubernetes.io/enforce=restricted']);
      await helm('install', ...chart);
      await until('an injected Pod', async () => ourVolumes((await createsPod()).body).length === 1);
    });

    it('is upgraded and rolled back while Pods are created, and none fails', async () => {
      load = new Load(installed().node.cluster, namespace);
      const reports = [
        await load.during('helm upgrade', () => helm('upgrade', ...chart, '--set', `image.tag=${NEXT}`)),
        await load.during('helm rollback', () => helm('rollback', 'podpass', '--namespace', OWN, '--wait')),
      ];
      await load.stop();
      for (const { webhookFailures, created } of reports) {
        expect(webhookFailures).toEqual([]);
        expect(created).toBeGreaterThan(20);
      }
    }, 240_000);

    it('is uninstalled, and leaves nothing but its namespace', async () => {
      await helm('uninstall', 'podpass', '--namespace', OWN, '--wait');
      expect(await remaining()).toEqual([`namespace/${OWN}`]);
      expect((await createsPod()).status).toBe(201);
    });
  });
}

interface Spec {
  containers: { image: string }[];
}
