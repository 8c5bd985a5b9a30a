import { X509Certificate } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { KubeObject } from '../cluster/control-plane.ts';
import { podpass, until } from '../cluster/podpass.ts';
import { freePort } from '../cluster/servers.ts';
import { goOidc, jose } from '../cluster/verifiers.ts';
import { IssuerFront } from './issuer-front.ts';
import { Load, type LoadReport } from './load.ts';
import { describeNode, nodeParts } from './suite.ts';
import { type PodStatus, TestNode } from './test-node.ts';

const manifests = fileURLToPath(new URL('../../manifests/', import.meta.url));
const OWN = 'podpass';
const NAMESPACE = 'shop';
const AUDIENCE = 'https://api.example.com';
const IMAGE = 'podpass:0.1.0';
const merge = { contentType: 'application/merge-patch+json' };
const jsonPatch = { contentType: 'application/json-patch+json' };
const restricted = {
  allowPrivilegeEscalation: false,
  runAsNonRoot: true,
  runAsUser: 1000,
  capabilities: { drop: ['ALL'] },
  seccompProfile: { type: 'RuntimeDefault' },
};

interface Pod extends KubeObject {
  status: PodStatus;
}

describeNode('an installation on a node', () => {
  let node: TestNode;
  let issuer: string;
  let front: IssuerFront | undefined;

  beforeAll(async () => {
    const { binaries, nodeBinaries, image } = nodeParts();
    const port = await freePort();
    issuer = `https://localhost:${port}`;
    node = await TestNode.start({ binaries, nodeBinaries, issuer });
    await node.importImage(image);
    await node.cluster.createNamespace(NAMESPACE, {
      labels: { 'pod-security.kubernetes.io/enforce': 'restricted' },
    });
    await node.cluster.createServiceAccount(NAMESPACE, 'web', {
      'podpass.dev/audiences': AUDIENCE,
      'podpass.dev/env.api.example.com': 'API_TOKEN_FILE',
    });
  });
  afterAll(async () => {
    front?.stop();
    await node?.stop();
  });

  const allPodsOf = async (component: string): Promise<Pod[]> => {
    const selector = encodeURIComponent(`app.kubernetes.io/component=${component}`);
    const path = `/api/v1/namespaces/${OWN}/pods?labelSelector=${selector}`;
    return (await node.cluster.expect<{ items: Pod[] }>('GET', path)).items;
  };
  const podsOf = async (component: string) =>
    (await allPodsOf(component)).filter(({ metadata }) => metadata.deletionTimestamp === undefined);
  const rolledOut = (name: string) =>
    node.kubectlOk(['--namespace', OWN, 'rollout', 'status', `deployment/${name}`, '--timeout=50s']);

  it('is applied as it is, and both services become ready', async () => {
    const { code, stderr } = await node.kubectl(['apply', '--kustomize', `${manifests}base`]);
    expect([code, stderr]).toEqual([0, '']);
    await rolledOut('podpass-webhook');
    await rolledOut('podpass-discovery');
    for (const component of ['webhook', 'discovery']) {
      const pods = await podsOf(component);
      expect(pods.map(({ status }) => status.phase)).toEqual(['Running', 'Running']);
      const containers = pods.flatMap(({ status }) => status.containerStatuses ?? []);
      expect(containers.map(({ ready, restartCount }) => [ready, restartCount])).toEqual([
        [true, 0],
        [true, 0],
      ]);
    }
    const service = await node.cluster.expect<{ spec: { clusterIP: string } }>(
      'GET',
      `/api/v1/namespaces/${OWN}/services/podpass-discovery`,
    );
    front = await IssuerFront.start(node, Number(new URL(issuer).port), { host: service.spec.clusterIP, port: 80 });
  });

  it('would change nothing when it is applied again', async () => {
    const { code, stdout, stderr } = await node.kubectl(['diff', '--kustomize', `${manifests}base`]);
    expect([code, stdout, stderr]).toEqual([0, '', '']);
  });

  it.each(['webhook', 'discovery'])('runs %s without any right in the system', async (component) => {
    const [pod] = await podsOf(component);
    const id = pod?.status.containerStatuses?.[0]?.containerID ?? '';
    const pid = await node.pidOf(id);
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

  it('gives the Pods of a Job tokens that anyone can verify from the issuer alone', async () => {
    const script = `
      const { readFileSync } = require('node:fs');
      const fetched = fetch('http://podpass-discovery.podpass/openid/v1/jwks').then((answer) => answer.json());
      fetched.then(({ keys }) => {
        const file = process.env.API_TOKEN_FILE;
        console.log(JSON.stringify({ file, token: readFileSync(file, 'utf8'), kids: keys.map(({ kid }) => kid) }));
      });`;
    await node.cluster.expect('POST', `/apis/batch/v1/namespaces/${NAMESPACE}/jobs`, {
      metadata: { name: 'reads-its-token' },
      spec: {
        backoffLimit: 0,
        template: {
          metadata: { labels: { app: 'reader', 'podpass.dev/inject': 'true' } },
          spec: {
            serviceAccountName: 'web',
            restartPolicy: 'Never',
            containers: [
              {
                name: 'app',
                image: IMAGE,
                command: ['/usr/local/bin/node', '-e', script],
                securityContext: restricted,
              },
            ],
          },
        },
      },
    });
    let pods: Pod[] = [];
    await until('the Pod of the Job', async () => {
      const path = `/api/v1/namespaces/${NAMESPACE}/pods?labelSelector=app%3Dreader`;
      pods = (await node.cluster.expect<{ items: Pod[] }>('GET', path)).items;
      return pods.length === 1;
    });
    const output = await node.outputOf(NAMESPACE, pods[0]?.metadata.name ?? '');
    const { file, token, kids } = JSON.parse(output) as { file: string; token: string; kids: string[] };
    expect(file).toBe('/var/run/secrets/podpass.dev/tokens/api.example.com');
    const subject = `system:serviceaccount:${NAMESPACE}:web`;
    const caFile = front?.caFile ?? '';
    for (const verifier of [jose, goOidc]) {
      const [verdict, other] = await verifier.judge({ url: issuer, caFile }, AUDIENCE, [token, `${token}x`]);
      expect([verifier.name, verdict]).toEqual([verifier.name, expect.objectContaining({ ok: true, subject })]);
      expect(other).toMatchObject({ ok: false });
    }
    const { code, stdout } = await podpass(
      ['verify', '-', '--issuer', issuer, '--audience', AUDIENCE, '--ca', caFile],
      token,
    );
    expect(code).toBe(0);
    const claims = JSON.parse(stdout) as { 'kubernetes.io': object };
    // A token of the kubelet is good for as long as its Pod is, on its node.
    expect(claims['kubernetes.io']).toMatchObject({
      namespace: NAMESPACE,
      pod: { name: pods[0]?.metadata.name, uid: pods[0]?.metadata.uid },
      node: { name: 'node1' },
    });
    const header = JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString()) as { kid: string };
    expect(kids).toEqual([header.kid]);
  });

  // ---- faults --------------------------------------------------------------------------------------------------------

  describe('while Pods are created that must have their tokens', () => {
    let load: Load;
    const totals = { created: 0, seconds: 0, events: 0 };
    const began = performance.now();

    /** What happens, then a moment for the consequences, then the figures. */
    async function during(what: string, event: () => Promise<unknown>): Promise<LoadReport> {
      load.take();
      const start = performance.now();
      await event();
      await sleep(3_000);
      const report = load.take();
      totals.created += report.created;
      totals.events += 1;
      const seconds = ((performance.now() - start) / 1000).toFixed(1);
      const others = Object.entries(report.otherFailures).map(([reason, count]) => `${count}x ${reason}`);
      console.info(
        `${what}: ${report.created} Pods created in ${seconds} s (median ${report.medianMs} ms, slowest ${report.slowestMs} ms), ` +
          `${report.webhookFailures.length} failed by the webhook${others.length === 0 ? '' : `; not by it: ${others.join('; ')}`}`,
      );
      return report;
    }

    const expectNoFailure = ({ created, webhookFailures }: LoadReport) => {
      expect(webhookFailures).toEqual([]);
      expect(created).toBeGreaterThan(20);
    };

    const CONFIGURATION = '/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/podpass';
    /** The CAs that the API server trusts, the newest first. */
    const trusted = async (): Promise<X509Certificate[]> => {
      const { webhooks } = await node.cluster.expect<{ webhooks: { clientConfig: { caBundle?: string } }[] }>(
        'GET',
        CONFIGURATION,
      );
      const bundle = Buffer.from(webhooks[0]?.clientConfig.caBundle ?? '', 'base64').toString();
      const pems = bundle.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
      return pems.map((pem) => new X509Certificate(pem));
    };
    /** What each replica shows to a new connection. */
    const served = async (): Promise<X509Certificate[]> => {
      const ports = (await podsOf('webhook')).map(({ status }) => node.expose(status.podIP ?? '', 8443));
      return Promise.all(ports.map(async (port) => certificateAt(await port)));
    };
    let firstShort: X509Certificate | undefined;
    let shortSince = 0;

    beforeAll(async () => {
      const spec = {
        serviceAccountName: 'web',
        // Nobody schedules it.
        schedulerName: 'none',
        containers: [{ name: 'app', image: IMAGE, securityContext: restricted }],
      };
      load = new Load(node.cluster, NAMESPACE, {
        metadata: { generateName: 'load-', labels: { 'podpass.dev/inject': 'true' } },
        spec,
      });
    });
    afterAll(async () => {
      await load?.stop();
      totals.seconds = Math.round((performance.now() - began) / 1000);
      console.info(`in all: ${totals.created} Pods created, ${totals.events} events`);
    });

    it('nothing happens', async () => {
      expectNoFailure(await during('nothing', () => sleep(5_000)));
    });

    it('its certificates become short-lived, by new arguments and an empty Secret', async () => {
      const before = await trusted();
      const report = await during('certificates of 60 s', async () => {
        await node.cluster.expect(
          'PATCH',
          `/apis/apps/v1/namespaces/${OWN}/deployments/podpass-webhook`,
          ['--tls-cert-lifetime=60s', '--tls-ca-lifetime=180s'].map((value) => ({
            op: 'add',
            path: '/spec/template/spec/containers/0/args/-',
            value,
          })),
          jsonPatch,
        );
        await rolledOut('podpass-webhook');
        // One that still ends would make a CA with the old lifetime.
        await until('the end of the old Pods', async () => (await allPodsOf('webhook')).length === 2, 40_000);
        await node.cluster.expect(
          'PATCH',
          `/api/v1/namespaces/${OWN}/secrets/podpass-webhook-tls`,
          { data: null },
          merge,
        );
        await until('a new CA', async () => (await trusted()).length > before.length, 30_000);
      });
      firstShort = (await trusted())[0];
      shortSince = performance.now();
      expect(Date.parse(firstShort?.validTo ?? '')).toBeLessThan(Date.now() + 180_000);
      expectNoFailure(report);
    });

    it('it is restarted, replica by replica', async () => {
      const report = await during('rolling restart', async () => {
        await node.kubectlOk(['--namespace', OWN, 'rollout', 'restart', 'deployment/podpass-webhook']);
        await rolledOut('podpass-webhook');
      });
      expectNoFailure(report);
    });

    it.each([
      ['deleted', []],
      ['deleted by force', ['--grace-period=0', '--force']],
    ])('each of its Pods is %s', async (how, flags) => {
      for (const { metadata } of await podsOf('webhook')) {
        const report = await during(how, async () => {
          await node.kubectlOk(['--namespace', OWN, 'delete', 'pod', metadata.name, ...flags]);
          await rolledOut('podpass-webhook');
        });
        expectNoFailure(report);
      }
    });

    it('each of its processes is killed', async () => {
      for (const { metadata, status } of await podsOf('webhook')) {
        const report = await during('kill -9', async () => {
          await node.killContainer(status.containerStatuses?.[0]?.containerID ?? '');
          await until(
            'the restart',
            async () => {
              const pod = (await podsOf('webhook')).find((each) => each.metadata.name === metadata.name);
              const [container] = pod?.status.containerStatuses ?? [];
              return container?.restartCount === 1 && container.ready;
            },
            30_000,
          );
        });
        expectNoFailure(report);
      }
    });

    it('the API server is killed and comes back', async () => {
      const report = await during('API server killed', () => node.cluster.restartApiServer());
      expectNoFailure(report);
    });

    it('etcd is killed and comes back', async () => {
      const report = await during('etcd killed', async () => {
        await node.cluster.killEtcd();
        await sleep(1_000);
        await node.cluster.startEtcd();
        await until(
          'the API server',
          async () => (await node.cluster.request('GET', '/readyz')).status === 200,
          30_000,
        );
      });
      expectNoFailure(report);
    });

    it('its CA is replaced, and the first one of them expires', async () => {
      const report = await during('rotation of the CA', async () => {
        const replaced = async () => {
          const [newest] = await trusted();
          return newest !== undefined && newest.fingerprint256 !== firstShort?.fingerprint256;
        };
        await until('the next CA', replaced, 180_000);
        await sleep(Math.max(0, 190_000 - (performance.now() - shortSince)));
      });
      expectNoFailure(report);
      expect(Date.parse(firstShort?.validTo ?? '')).toBeLessThan(Date.now());
      const [newest] = await trusted();
      for (const certificate of await served()) {
        expect(certificate.verify((firstShort as X509Certificate).publicKey)).toBe(false);
        expect(certificate.verify((newest as X509Certificate).publicKey)).toBe(true);
        expect(Date.parse(certificate.validTo) - Date.now()).toBeLessThanOrEqual(60_000);
      }
    }, 240_000);
  });
});

function certificateAt(port: number): Promise<X509Certificate> {
  return new Promise((fulfil, reject) => {
    const socket = connectTls({ host: '127.0.0.1', port, rejectUnauthorized: false }, () => {
      fulfil(socket.getPeerX509Certificate() as X509Certificate);
      socket.destroy();
    });
    socket.on('error', reject);
  });
}
