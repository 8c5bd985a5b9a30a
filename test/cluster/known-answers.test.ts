import { afterAll, beforeAll, expect, it } from 'vitest';
import { silentLog } from '../../src/log.ts';
import { type Listener, listen } from '../../src/runtime/listener.ts';
import { createWebhookApp } from '../../webhook/app.ts';
import { createReviewer } from '../../webhook/reviewer.ts';
import type { ServiceAccountSource } from '../../webhook/service-accounts.ts';
import { countedAnswers } from '../counted-answers.ts';
import { mutationSettings } from '../mutation-settings.ts';
import { type ControlPlane, startControlPlane } from './control-plane.ts';
import { testCa } from './podpass.ts';
import { ourVolumes, specOf } from './pods.ts';
import { clusterBinaries, describeCluster } from './suite.ts';

const NAMESPACE = 'shop';
/** The same object each time, as in the cache. */
const ANNOTATIONS = Object.freeze({ 'podpass.dev/audiences': 'https://api.example.com' });

// Which reviews are alike is told without parsing them, so the API server that writes it has to judge.
describeCluster('Pods of one template, on a real API server', () => {
  let cluster: ControlPlane;
  let listener: Listener;
  let hits = 0;

  beforeAll(async () => {
    cluster = await startControlPlane({ binaries: clusterBinaries() });
    await cluster.createNamespace(NAMESPACE);
    await cluster.createServiceAccount(NAMESPACE, 'web', ANNOTATIONS);
    const serviceAccounts: ServiceAccountSource = {
      get: async (namespace, name) => ({
        found: true,
        source: 'cache',
        serviceAccount: { namespace, name, annotations: ANNOTATIONS },
      }),
    };
    const settings = mutationSettings({});
    const known = countedAnswers(() => {
      hits += 1;
    });
    const review = createReviewer({ serviceAccounts, settings: () => settings, known });
    const handler = createWebhookApp({ review, onAdmission() {}, log: silentLog });
    const pair = { ...testCa().issue(), notBefore: Date.now(), notAfter: Date.now() + 3_600_000 };
    listener = await listen({ handler, address: '127.0.0.1', port: 0, tls: pair });
    const url = `https://127.0.0.1:${listener.port}/mutate`;
    await cluster.registerWebhook({ name: 'podpass', url, caPem: testCa().pem, failurePolicy: 'Fail' });
  });
  afterAll(async () => {
    await listener?.close(0);
    await cluster?.stop();
  });

  const template = (hash: string) => ({
    generateName: `web-${hash}-`,
    labels: { app: 'web', 'pod-template-hash': hash },
  });

  async function create(metadata: object, more: object = {}) {
    const spec = {
      serviceAccountName: 'web',
      initContainers: [{ name: 'migrate', image: 'web:1' }],
      containers: [{ name: 'web', image: 'web:1', ports: [{ containerPort: 8080 }] }],
      ...more,
    };
    const { status, body } = await cluster.createPod(NAMESPACE, { metadata, spec });
    expect([status, ourVolumes(body)]).toEqual([201, [expect.objectContaining({ name: 'podpass-tokens' })]]);
    return body;
  }

  it('they are known from the third one on, and get the same', async () => {
    hits = 0;
    const pods = [];
    for (let i = 0; i < 5; i++) pods.push(await create(template('7d9c6b5f4')));
    expect(hits).toBe(3);
    const ofDefault = pods.map((pod) => specOf(pod).volumes?.find(({ name }) => name.startsWith('kube-api-access-')));
    expect(new Set(ofDefault.map((volume) => volume?.name)).size).toBe(5);
    const ours = pods.map((pod) => JSON.stringify(ourVolumes(pod)));
    expect(new Set(ours).size).toBe(1);
    expect(new Set(pods.map(({ metadata }) => metadata.name)).size).toBe(5);
  });

  it('those of other templates and with names of their own are known too, where nothing is different that is read', async () => {
    for (let i = 0; i < 2; i++) await create(template('5c8f7d6b9'));
    hits = 0;
    await create(template('6b7f8c9d5'));
    for (const [index, name] of ['db-0', 'db-1', 'db-2'].entries()) {
      const labels = { app: 'web', 'statefulset.kubernetes.io/pod-name': name };
      const claim = { name: 'state', persistentVolumeClaim: { claimName: `state-${name}` } };
      await create({ name, labels }, { hostname: name, volumes: [claim] });
      // One hit was before; the first two of a kind are worked out.
      expect(hits).toBe(Math.max(1, index));
    }
  });

  it('one with an annotation of its own is not', async () => {
    for (let i = 0; i < 3; i++) await create(template('5c8f7d6b9'));
    hits = 0;
    const annotations = { 'podpass.dev/audience.db': 'https://db.example.com' };
    const pod = await create({ ...template('5c8f7d6b9'), annotations });
    expect(JSON.stringify(ourVolumes(pod))).toContain('https://db.example.com');
    expect(hits).toBe(0);
  });
});
