/** docs/rotate.md, command by command. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeCluster } from '../suite.ts';
import { blocksOf, Guide } from './guide.ts';
import { Installation } from './installation.ts';

const steps = blocksOf('rotate.md');
/** Instead of a quarter of an hour: no token lives shorter. */
const rotated = new Date(Date.now() - 16 * 60_000).toISOString().replace(/\.\d+Z$/, 'Z');
const times = { PODPASS_POLL_INTERVAL: '1s', PODPASS_CACHE_MAX_AGE: '1s' };

describeCluster('the guide to rotate the signing key', () => {
  let installation: Installation;
  let guide: Guide;

  beforeAll(async () => {
    const args = ['--state', 'configmap/podpass-keys', '--hold-down', '2s'];
    const flags = ['--poll-interval', times.PODPASS_POLL_INTERVAL, '--cache-max-age', times.PODPASS_CACHE_MAX_AGE];
    installation = await Installation.start((port) => `https://127.0.0.1:${port}`, [...args, ...flags]);
    guide = new Guide('rotate.md', {
      folder: installation.folder,
      // The waits of the guide, short.
      env: installation.env({ ...times, PODPASS_VERIFIER_CACHE: '3s', PODPASS_TOKEN_LIFETIME: '600s' }),
      values: {
        'https://issuer.example.com': installation.cluster.issuer,
        '$HOME/.kube/config': installation.cluster.kubeconfigPath,
        '/etc/kubernetes/pki': installation.pki,
        '$(date -u +%Y-%m-%dT%H:%M:%SZ)': rotated,
      },
      files: {
        '/etc/kubernetes/manifests/kube-apiserver.yaml': (content) => installation.apiServer(content),
      },
      timeoutMs: 80_000,
    });
  }, 120_000);
  afterAll(() => installation?.stop());

  it('has commands for every step', () => {
    expect(steps.filter(({ language }) => language === 'sh').length).toBeGreaterThan(7);
  });

  // Each goes on from the one before it.
  it.each(steps)('works: $heading, line $line', { retry: 0, timeout: 90_000 }, async (block) => {
    await guide.run(block);
  });
});
