/** The list of ServiceAccounts as the real API server pages and encodes it. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type ControlPlane, startControlPlane } from './control-plane.ts';
import { type Podpass, register, startWebhook } from './podpass.ts';
import { clusterBinaries, describeCluster } from './suite.ts';

const ACCOUNTS = 1_600;

describeCluster('more ServiceAccounts than fit into two pages', () => {
  let controlPlane: ControlPlane;
  let webhook: Podpass;

  beforeAll(async () => {
    controlPlane = await startControlPlane({ binaries: clusterBinaries() });
    await controlPlane.createNamespace('shop');
    let next = 0;
    const create = async () => {
      while (next < ACCOUNTS) {
        const i = next++;
        const own = i % 20 === 0 ? { 'podpass.dev/audiences': `https://api-${i}.example.com` } : {};
        await controlPlane.createServiceAccount('shop', `sa-${i}`, { 'example.com/note': 'ünï', ...own });
      }
    };
    await Promise.all(Array.from({ length: 32 }, create));
    webhook = await startWebhook(controlPlane);
    await register(controlPlane, webhook);
  });
  afterAll(async () => {
    await webhook?.stop();
    await controlPlane?.stop();
  });

  test('are all known when it is ready, and answered from memory', async () => {
    const metrics = await webhook.metrics();
    // With the webhook's own.
    expect(metrics.value('podpass_service_account_cache_size')).toBe(ACCOUNTS + 1);
    for (const i of [0, 20, 500, 999, 1_580, 1_599]) {
      const pod = {
        metadata: { generateName: 'p-' },
        spec: { serviceAccountName: `sa-${i}`, containers: [{ name: 'app', image: 'app:1' }] },
      };
      const { status, body } = await controlPlane.createPod('shop', pod, { dryRun: true });
      expect(status).toBe(201);
      const injected = i % 20 === 0 ? `api-${i}.example.com` : undefined;
      expect(body.metadata.annotations?.['podpass.dev/injected']).toBe(injected);
    }
    const after = await webhook.metrics();
    expect(after.value('podpass_service_account_lookups_total', { source: 'cache' })).toBe(6);
    expect(after.value('podpass_service_account_lookups_total', { source: 'live' })).toBe(0);
  });
});
