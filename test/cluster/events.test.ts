import { afterAll, beforeAll, expect, it } from 'vitest';
import { type AuditLog, createAuditLog } from './audit.ts';
import { type ControlPlane, type KubeObject, startControlPlane } from './control-plane.ts';
import { type Podpass, register, startWebhook, until, userOf } from './podpass.ts';
import { clusterBinaries, describeCluster } from './suite.ts';

const NAMESPACE = 'shop';
const EVENTS = `/apis/events.k8s.io/v1/namespaces/${NAMESPACE}/events`;
const DENIED = { 'podpass.dev/audiences': 'vault', 'podpass.dev/expiration': '5m' };

interface Event {
  type: string;
  reason: string;
  note: string;
  action: string;
  reportingController: string;
  regarding: Record<string, string>;
}

describeCluster('events, on a real API server', () => {
  let audit: AuditLog;
  let cluster: ControlPlane;
  let webhook: Podpass;

  beforeAll(async () => {
    audit = await createAuditLog();
    cluster = await startControlPlane({ binaries: clusterBinaries(), extraArgs: audit.args });
    await cluster.createNamespace(NAMESPACE);
    await cluster.createServiceAccount(NAMESPACE, 'app');
    const account = { 'podpass.dev/audiences': 'vault', 'podpass.dev/containers': 'sidecar' };
    await cluster.createServiceAccount(NAMESPACE, 'for-sidecars', account);
    webhook = await startWebhook(cluster);
    await register(cluster, webhook);
  });
  afterAll(async () => {
    await webhook?.stop();
    await cluster?.stop();
    audit?.remove();
  });

  /** A ReplicaSet without Pods: no controller runs here, so the test makes them. */
  async function replicaSet(name: string): Promise<KubeObject> {
    const labels = { app: name };
    const template = { metadata: { labels }, spec: { containers: [{ name: 'app', image: 'app:1' }] } };
    return cluster.expect<KubeObject>('POST', `/apis/apps/v1/namespaces/${NAMESPACE}/replicasets`, {
      metadata: { name },
      spec: { replicas: 0, selector: { matchLabels: labels }, template },
    });
  }

  function create(
    owner: KubeObject | undefined,
    annotations: Record<string, string>,
    { dryRun = false, serviceAccountName = 'app' } = {},
  ) {
    const reference = owner && {
      ...{ apiVersion: 'apps/v1', kind: 'ReplicaSet', controller: true, blockOwnerDeletion: true },
      ...{ name: owner.metadata.name, uid: owner.metadata.uid },
    };
    const metadata = {
      generateName: `${owner?.metadata.name ?? 'bare'}-`,
      annotations,
      ...(reference === undefined ? {} : { ownerReferences: [reference] }),
    };
    const spec = { serviceAccountName, containers: [{ name: 'app', image: 'app:1' }] };
    return cluster.createPod(NAMESPACE, { metadata, spec }, { dryRun });
  }

  async function eventsOf(name: string): Promise<Event[]> {
    const { items } = await cluster.expect<{ items: Event[] }>('GET', EVENTS);
    return items.filter(({ regarding }) => regarding.name === name);
  }

  const counted = async (result: string) => (await webhook.metrics()).value('podpass_events_total', { result });

  it('a ReplicaSet is told of its denied Pod, where kubectl describe looks', async () => {
    const owner = await replicaSet('web');
    const secret = `eyJ${'x'.repeat(70)}`;
    const { status } = await create(owner, { ...DENIED, 'podpass.dev/audience.b': `${secret} ${secret}` });
    expect(status).toBe(422);
    await until('the event', async () => (await eventsOf('web')).length > 0);
    const { name, uid } = owner.metadata;
    const [event] = await eventsOf('web');
    expect(event).toMatchObject({
      type: 'Warning',
      reason: 'PodDenied',
      action: 'Admit',
      reportingController: 'podpass.dev/webhook',
      note: expect.stringMatching(/^2 problems:\n- Pod shop\/web-: podpass\.dev\//),
      regarding: { apiVersion: 'apps/v1', kind: 'ReplicaSet', namespace: NAMESPACE, name, uid },
    });
    expect(event?.note).not.toContain('eyJ');
    const selector = new URLSearchParams({
      fieldSelector: `involvedObject.kind=ReplicaSet,involvedObject.name=web,involvedObject.uid=${uid}`,
    });
    const described = await cluster.expect<{ items: { message: string }[] }>(
      'GET',
      `/api/v1/namespaces/${NAMESPACE}/events?${selector}`,
    );
    expect(described.items.map(({ message }) => message)).toEqual([event?.note]);
  });

  it('a dry run, a Pod without an owner and one that gets its tokens tell nobody', async () => {
    const before = await Promise.all(['written', 'suppressed', 'dropped', 'failed'].map(counted));
    const owner = await replicaSet('quiet');
    expect((await create(owner, DENIED, { dryRun: true })).status).toBe(422);
    expect((await create(undefined, DENIED)).status).toBe(422);
    expect((await create(owner, { 'podpass.dev/audiences': 'vault' })).status).toBe(201);
    expect(await Promise.all(['written', 'suppressed', 'dropped', 'failed'].map(counted))).toEqual(before);
    expect(await eventsOf('quiet')).toEqual([]);
  });

  it('a Pod that no container of sees its token: its ReplicaSet is told, else its ServiceAccount', async () => {
    const owner = await replicaSet('blind');
    const options = { serviceAccountName: 'for-sidecars' };
    expect((await create(owner, {}, options)).status).toBe(201);
    expect((await create(undefined, {}, options)).status).toBe(201);
    await until(
      'both events',
      async () => (await eventsOf('blind')).length + (await eventsOf('for-sidecars')).length > 1,
    );
    const account = `/api/v1/namespaces/${NAMESPACE}/serviceaccounts/for-sidecars`;
    const { metadata } = await cluster.expect<KubeObject>('GET', account);
    expect(await eventsOf('blind')).toMatchObject([{ reason: 'PodWithoutToken', regarding: { kind: 'ReplicaSet' } }]);
    expect(await eventsOf('for-sidecars')).toMatchObject([
      {
        reason: 'PodWithoutToken',
        note: expect.stringContaining('no container is left for a token'),
        regarding: { kind: 'ServiceAccount', uid: metadata.uid },
      },
    ]);
  });

  it('a thousand denials of one owner are one request', async () => {
    const owner = await replicaSet('busy');
    const requests = () => audit.events().filter(({ user }) => user.username === userOf('webhook')).length;
    const before = { requests: requests(), suppressed: await counted('suppressed') };
    const one = () => create(owner, DENIED);
    for (let batch = 0; batch < 20; batch++) {
      const answers = await Promise.all(Array.from({ length: 50 }, one));
      expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([422]));
    }
    await until('the event', async () => (await eventsOf('busy')).length > 0);
    expect((await counted('suppressed')) - before.suppressed).toBe(999);
    expect(await eventsOf('busy')).toHaveLength(1);
    expect(requests() - before.requests).toBeLessThanOrEqual(5);
  });

  it('without the right to, Pods are admitted as before, and the log says so once', async () => {
    await cluster.createServiceAccount('default', 'without-events');
    await cluster.grant('default', 'without-events', [
      { verbs: ['get', 'list', 'watch'], apiGroups: [''], resources: ['serviceaccounts'] },
    ]);
    const kubeconfig = await cluster.kubeconfigFor({ namespace: 'default', serviceAccount: 'without-events' });
    const other = await startWebhook(cluster, [], { kubeconfig });
    try {
      await cluster.expect('DELETE', '/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/podpass');
      await register(cluster, other, { name: 'podpass-other' });
      const owner = await replicaSet('unheard');
      for (let index = 0; index < 20; index++) {
        expect((await create(owner, { ...DENIED, 'podpass.dev/expiration': `${index}s` })).status).toBe(422);
      }
      expect((await create(owner, { 'podpass.dev/audiences': 'vault' })).status).toBe(201);
      const of = async (result: string) => (await other.metrics()).value('podpass_events_total', { result });
      await until('all are dealt with', async () => (await of('failed')) + (await of('dropped')) === 20);
      expect([await of('failed'), await of('written')]).toEqual([1, 0]);
      const told = other.logs().filter(({ msg }) => msg.startsWith('events may not be written'));
      expect(told).toMatchObject([{ level: 'warn', namespace: NAMESPACE, status: 403 }]);
      expect(await eventsOf('unheard')).toEqual([]);
    } finally {
      const { how, ms } = await other.stop('SIGTERM');
      expect([how, ms < 15_000]).toEqual(['exit code 0', true]);
    }
  });
});
