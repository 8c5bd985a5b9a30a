import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { until } from '../cluster/podpass.ts';
import { goOidc, jose } from '../cluster/verifiers.ts';
import { describeDoctor } from './doctor.ts';
import { describeFaults } from './faults.ts';
import { IMAGE, Installed, type Pod } from './installed.ts';
import { describePlacement } from './placement.ts';
import { describeNode, nodeParts } from './suite.ts';
import { describeRenewal, describeTokenFiles } from './token-files.ts';
import { describeUpgrade } from './upgrade.ts';

const NAMESPACE = 'shop';
const AUDIENCE = 'https://api.example.com';

/** One node for all of it, in the order of an operator's life: what takes its time goes on beside the rest. */
describeNode('an installation on a node', () => {
  let installed: Installed;
  const get = () => installed;

  beforeAll(async () => {
    installed = await Installed.prepare(nodeParts());
    const { cluster } = installed.node;
    await cluster.createNamespace(NAMESPACE, { labels: { 'pod-security.kubernetes.io/enforce': 'restricted' } });
    await cluster.createServiceAccount(NAMESPACE, 'web', {
      'podpass.dev/audiences': AUDIENCE,
      'podpass.dev/env.api.example.com': 'API_TOKEN_FILE',
    });
  });
  afterAll(() => installed?.stop());

  describe('from the manifests', () => {
    it('is applied as it is, and both services become ready', async () => {
      const { code, stderr } = await installed.kubectl('apply', 'base');
      expect([code, stderr]).toEqual([0, '']);
      for (const service of ['webhook', 'discovery'] as const) {
        await installed.rolledOut(service);
        const pods = await installed.podsOf(service);
        const containers = pods.flatMap(({ status }) => status.containerStatuses ?? []);
        expect(pods.map(({ status }) => status.phase)).toEqual(['Running', 'Running']);
        expect(containers.map(({ ready, restartCount }) => [ready, restartCount])).toEqual([
          [true, 0],
          [true, 0],
        ]);
      }
      await installed.openIssuer();
    });

    it('would change nothing when it is applied again', async () => {
      const { code, stdout, stderr } = await installed.kubectl('diff', 'base');
      expect([code, stdout, stderr]).toEqual([0, '', '']);
    });

    it.each([
      ['webhook', 9090, ['ping', 'shutdown', 'service-account-cache', 'certificate']],
      ['discovery', 9091, ['ping', 'shutdown', 'issuer', 'documents of ISSUER', 'tokens of https://10.96.0.1:443']],
    ] as const)('tells through the API server how %s is', async (service, port, checks) => {
      const [pod] = await installed.podsOf(service);
      const proxy = `/api/v1/namespaces/podpass/pods/${pod?.metadata.name}:${port}/proxy`;
      const said = await installed.node.kubectlOk(['get', '--raw', `${proxy}/readyz?verbose`]);
      const lines = checks.map((check) => `[+]${check.replace('ISSUER', installed.issuer)} ok`);
      expect(said.trimEnd().split('\n')).toEqual([...lines, 'readyz check passed']);
    });

    it.each(['webhook', 'discovery'] as const)('runs %s without any right in the system', async (service) => {
      const [pod] = await installed.podsOf(service);
      const { node } = installed;
      const pid = await node.pidOf(pod?.status.containerStatuses?.[0]?.containerID ?? '');
      const { stdout: status } = await node.enter('cat', `/proc/${pid}/status`);
      const field = (name: string) => new RegExp(`^${name}:\\s+(.*)$`, 'm').exec(status)?.[1]?.split(/\s+/);
      expect(field('Uid')).toEqual(['65532', '65532', '65532', '65532']);
      expect(field('Gid')).toEqual(['65532', '65532', '65532', '65532']);
      for (const capabilities of ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb']) {
        expect([capabilities, field(capabilities)]).toEqual([capabilities, ['0000000000000000']]);
      }
      expect(field('NoNewPrivs')).toEqual(['1']);
      expect(field('Seccomp')).toEqual(['2']);
      const { stdout: mounts } = await node.enter('cat', `/proc/${pid}/mounts`);
      expect(mounts.split('\n')[0]).toMatch(/^overlay \/ overlay ro,/);
    });
  });

  describeDoctor(get);
  describeTokenFiles(get);

  describe('a Job', () => {
    /** By its names, so that DNS and Services are part of it. */
    const script = `
      const { readFileSync } = require('node:fs');
      const fetched = fetch('http://podpass-discovery.podpass/openid/v1/jwks').then((answer) => answer.json());
      fetched.then(({ keys }) => {
        const file = process.env.API_TOKEN_FILE;
        console.log(JSON.stringify({ file, token: readFileSync(file, 'utf8'), kids: keys.map(({ kid }) => kid) }));
      });`;

    it('gets a token under restricted Pod Security that anyone can verify from the issuer alone', async () => {
      const { node, issuer, caFile } = installed;
      const securityContext = {
        allowPrivilegeEscalation: false,
        runAsNonRoot: true,
        runAsUser: 1000,
        capabilities: { drop: ['ALL'] },
        seccompProfile: { type: 'RuntimeDefault' },
      };
      const container = { name: 'app', image: IMAGE, command: ['/usr/local/bin/node', '-e', script], securityContext };
      await node.cluster.expect('POST', `/apis/batch/v1/namespaces/${NAMESPACE}/jobs`, {
        metadata: { name: 'reads-its-token' },
        spec: {
          backoffLimit: 0,
          template: {
            metadata: { labels: { app: 'reader', 'podpass.dev/inject': 'true' } },
            spec: { serviceAccountName: 'web', restartPolicy: 'Never', containers: [container] },
          },
        },
      });
      let pods: Pod[] = [];
      await until('the Pod of the Job', async () => {
        const path = `/api/v1/namespaces/${NAMESPACE}/pods?labelSelector=app%3Dreader`;
        pods = (await node.cluster.expect<{ items: Pod[] }>('GET', path)).items;
        return pods.length === 1;
      });
      const { name = '', uid } = pods[0]?.metadata ?? {};
      const output = await node.outputOf(NAMESPACE, name, 'app');
      const { file, token, kids } = JSON.parse(output) as { file: string; token: string; kids: string[] };
      expect(file).toBe('/var/run/secrets/podpass.dev/tokens/api.example.com');
      const subject = `system:serviceaccount:${NAMESPACE}:web`;
      for (const verifier of [jose, goOidc]) {
        const [verdict, other] = await verifier.judge({ url: issuer, caFile }, AUDIENCE, [token, `${token}x`]);
        expect([verifier.name, verdict]).toEqual([verifier.name, expect.objectContaining({ ok: true, subject })]);
        expect(other).toMatchObject({ ok: false });
      }
      const { code, stdout } = await installed.verify(token, AUDIENCE);
      expect(code).toBe(0);
      // The kubelet's tokens are good for as long as the Pod is, on its node.
      const bound = { namespace: NAMESPACE, pod: { name, uid }, node: { name: 'node1' } };
      expect(JSON.parse(stdout)).toMatchObject({ 'kubernetes.io': bound });
      const header = JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString()) as { kid: string };
      expect(kids).toEqual([header.kid]);
    });
  });

  describePlacement(get);
  describeFaults(get, NAMESPACE);
  describeRenewal(get);
  describeUpgrade(get, NAMESPACE);
});
