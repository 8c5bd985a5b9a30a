import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Case, cases, gains } from '../hostile/cases.ts';
import type { ApiResponse } from './api-client.ts';
import { type ControlPlane, type KubeObject, startControlPlane } from './control-plane.ts';
import { type Podpass, register, startWebhook } from './podpass.ts';
import { specOf } from './pods.ts';
import { clusterBinaries, describeCluster } from './suite.ts';

const FLAGS = ['--presets', 'aws,azure,gcp', '--azure-tenant-id', 'tenant', '--reserved-audiences', 'apiserver'];
const podpassLabel = 'test.podpass.dev/admits';

describeCluster('what somebody may write to harm others, by a real API server', () => {
  let cluster: ControlPlane;
  let webhook: Podpass;
  let namespaces = 0;

  beforeAll(async () => {
    cluster = await startControlPlane({ binaries: clusterBinaries() });
    webhook = await startWebhook(cluster, FLAGS);
    const namespaceSelector = { matchExpressions: [{ key: podpassLabel, operator: 'Exists' }] };
    await register(cluster, webhook, { namespaceSelector, timeoutSeconds: 30 });
    await cluster.createNamespace('plain');
    await cluster.createServiceAccount('plain', 'app');
  });
  afterAll(async () => {
    await webhook?.stop();
    await cluster?.stop();
  });

  async function namespaceFor({ account }: Pick<Case, 'account'>): Promise<string> {
    namespaces += 1;
    const name = `case-${namespaces}`;
    await cluster.createNamespace(name, { labels: { [podpassLabel]: '' } });
    await cluster.createServiceAccount(name, 'app', account);
    return name;
  }

  function create(namespace: string, pod: object | string, dryRun = false): Promise<ApiResponse<KubeObject>> {
    return cluster.request('POST', `/api/v1/namespaces/${namespace}/pods${dryRun ? '?dryRun=All' : ''}`, pod, {
      timeoutMs: 60_000,
    });
  }

  const said = ({ status, body }: ApiResponse<KubeObject>) => `${status} ${JSON.stringify(body).slice(0, 2000)}`;

  for (const row of cases) {
    const { name, tries, pod, real, expect: expected } = row;
    if (pod === undefined || real === false) continue;
    it(`${name}, which tries ${tries}`, async () => {
      const namespace = await namespaceFor(row);
      const answer = await create(namespace, pod);
      if ('denied' in expected) {
        expect(answer.status, said(answer)).toBe(422);
        for (const part of expected.denied) expect(answer.body.message).toContain(part);
        return;
      }
      // Some of it is no Pod for the API server itself, whatever podpass says.
      const plain = await create('plain', pod, true);
      expect(answer.status, said(answer)).toBe(plain.status);
      if (answer.status !== 201 || !('gets' in expected)) return;
      const stored = await cluster.expect('GET', `/api/v1/namespaces/${namespace}/pods/web`);
      expect(gains({ spec: specOf(plain.body) }, { spec: specOf(stored as KubeObject) })).toEqual(expected.gets);
    });
  }

  it('answers everything that is written as text, and never with a fault', async () => {
    const namespace = await namespaceFor({});
    const answers: Record<string, number> = {};
    for (const { name, object } of cases) {
      const text = object?.();
      // What is larger the API server refuses itself.
      if (text === undefined || text.length > 3_000_000) continue;
      const answer = await create(namespace, text, true);
      const plain = await create('plain', text, true);
      answers[answer.status] = (answers[answer.status] ?? 0) + 1;
      expect(answer.status, `${name}: ${said(answer)}`).toBeLessThan(500);
      if (plain.status !== 201) continue;
      expect([201, 422], `${name}: ${said(answer)}`).toContain(answer.status);
    }
    console.log('statuses of what is written as text:', answers);
    expect(Object.values(answers).reduce((a, b) => a + b, 0)).toBeGreaterThan(12);
  });

  it('denies a Pod of 100,000 empty mounts, which is a small one for its sender', async () => {
    const volumeMounts = Array.from({ length: 100_000 }, () => ({}));
    const metadata = { name: 'web', annotations: { 'podpass.dev/audiences': 'vault' } };
    const spec = { serviceAccountName: 'app', containers: [{ name: 'web', image: 'a:1', volumeMounts }] };
    const answer = await create(await namespaceFor({}), { metadata, spec });
    expect(answer.status, said(answer)).toBe(422);
    expect(answer.body.message).toContain('volumes, containers, mounts, devices and variables are too many');
  });

  it('leaves a webhook that has reported no fault of its own', async () => {
    expect(await webhook.ready()).toBe(true);
    expect((await webhook.metrics()).value('podpass_admission_requests_total', { result: 'error' })).toBe(0);
    expect(webhook.logs().filter(({ level }) => level === 'error')).toEqual([]);
  });
});
