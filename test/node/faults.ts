/** What may happen to an installation while Pods are created that must not be created without their tokens. */
import { X509Certificate } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TRY_SECONDS } from '../../src/catalog/admission.ts';
import { until } from '../cluster/podpass.ts';
import { type Installed, OWN, type Pod } from './installed.ts';
import { Load, type LoadReport } from './load.ts';

const merge = { contentType: 'application/merge-patch+json' };
const jsonPatch = { contentType: 'application/json-patch+json' };
const LEAF_MS = 60_000;
const AUTHORITY_MS = 180_000;
const CLIENTS = 4;
const KILLS = 6;
const LOST_MS = 20_000;

/** `namespace` has a ServiceAccount `web` that asks for a token. */
export function describeFaults(installed: () => Installed, namespace: string): void {
  describe('while Pods are created that must have their tokens', () => {
    let load: Load;
    let created = 0;

    beforeAll(() => {
      load = new Load(installed().node.cluster, namespace, { parallel: CLIENTS });
    });
    afterAll(async () => {
      await load?.stop();
      console.info(`in all: ${created} Pods created`);
    });

    /** What happens, a moment for the consequences, and the figures. */
    async function during(what: string, event: () => Promise<unknown>): Promise<LoadReport> {
      const report = await load.during(what, event);
      created += report.created;
      return report;
    }

    const expectNoFailure = (report: LoadReport) => {
      expect(report.webhookFailures).toEqual([]);
      expect(report.created).toBeGreaterThan(20);
    };

    /** The CAs that the API server trusts, the newest first. */
    async function trusted(): Promise<X509Certificate[]> {
      const path = '/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/podpass';
      interface Configuration {
        webhooks: { clientConfig: { caBundle?: string } }[];
      }
      const { webhooks } = await installed().node.cluster.expect<Configuration>('GET', path);
      const [shared = '', ...others] = new Set(webhooks.map(({ clientConfig }) => clientConfig.caBundle));
      // Every entry has the same, whichever half it leads to.
      expect(others).toEqual([]);
      const bundle = Buffer.from(shared, 'base64').toString();
      const pems = bundle.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
      return pems.map((pem) => new X509Certificate(pem));
    }

    /** What each replica shows to a new connection. */
    async function served(): Promise<X509Certificate[]> {
      const { node } = installed();
      const pods = await installed().podsOf('webhook');
      return Promise.all(pods.map(async ({ status }) => certificateAt(await node.expose(status.podIP ?? '', 8443))));
    }

    let first: X509Certificate;

    it('nothing happens', async () => {
      expectNoFailure(await during('nothing', () => sleep(5_000)));
    });

    it('its certificates become short-lived, by new arguments and an empty Secret', async () => {
      const { node } = installed();
      const before = await trusted();
      const report = await during('certificates of 60 s', async () => {
        const flags = [`--tls-cert-lifetime=${LEAF_MS / 1000}s`, `--tls-ca-lifetime=${AUTHORITY_MS / 1000}s`];
        const path = '/spec/template/spec/containers/0/args/-';
        const patch = flags.map((value) => ({ op: 'add', path, value }));
        for (const half of ['a', 'b']) {
          const deployment = `/apis/apps/v1/namespaces/${OWN}/deployments/podpass-webhook-${half}`;
          await node.cluster.expect('PATCH', deployment, patch, jsonPatch);
        }
        await installed().rolledOut('webhook');
        // One that still ends would make a CA with the old lifetime.
        const ended = async () => (await installed().podsOf('webhook', 'all')).length === 2;
        await until('the end of the old Pods', ended, 40_000);
        const secret = `/api/v1/namespaces/${OWN}/secrets/podpass-webhook-tls`;
        await node.cluster.expect('PATCH', secret, { data: null }, merge);
        await until('a new CA', async () => (await trusted()).length > before.length, 30_000);
      });
      const [newest] = await trusted();
      if (newest === undefined) throw new Error('there is no CA');
      first = newest;
      expect(Date.parse(first.validTo)).toBeLessThan(Date.now() + AUTHORITY_MS);
      expectNoFailure(report);
    });

    it('it is restarted, replica by replica', async () => {
      const both = ['deployment', '--selector', 'app.kubernetes.io/component=webhook'];
      const restart = ['--namespace', OWN, 'rollout', 'restart', ...both];
      const report = await during('rolling restart', async () => {
        await installed().node.kubectlOk(restart);
        await installed().rolledOut('webhook');
      });
      expectNoFailure(report);
    });

    it.each([
      ['deleted', []],
      ['deleted by force', ['--grace-period=0', '--force']],
    ])('each of its Pods is %s', async (how, flags) => {
      for (const { metadata } of await installed().podsOf('webhook')) {
        const report = await during(`a Pod ${how}`, async () => {
          await installed().node.kubectlOk(['--namespace', OWN, 'delete', 'pod', metadata.name, ...flags]);
          await installed().rolledOut('webhook');
        });
        expectNoFailure(report);
      }
    });

    /** `kill -9` of the process in a Pod, and the time until the cluster has it back. */
    async function kill(service: 'webhook' | 'discovery', { metadata, status }: Pod): Promise<LoadReport> {
      const before = status.containerStatuses?.[0]?.restartCount ?? 0;
      const back = async () => {
        const pod = (await installed().podsOf(service)).find((each) => each.metadata.name === metadata.name);
        const [container] = pod?.status.containerStatuses ?? [];
        return container?.restartCount === before + 1 && container.ready;
      };
      return during(`kill -9 of ${metadata.name}`, async () => {
        await installed().node.killContainer(status.containerStatuses?.[0]?.containerID ?? '');
        // The kubelet waits longer before each restart.
        await until('the restart', back, 90_000);
      });
    }

    it('each process of discovery is killed', async () => {
      for (const pod of await installed().podsOf('discovery')) expectNoFailure(await kill('discovery', pod));
    });

    it('the API server is killed and comes back', async () => {
      expectNoFailure(await during('API server killed', () => installed().node.cluster.restartApiServer()));
    });

    it('etcd is killed and comes back', async () => {
      const { cluster } = installed().node;
      const report = await during('etcd killed', async () => {
        await cluster.killEtcd();
        await sleep(1_000);
        await cluster.startEtcd();
        await until('the API server', async () => (await cluster.request('GET', '/readyz')).status === 200, 30_000);
      });
      expectNoFailure(report);
    });

    it('its CA is replaced, and the first one expires', async () => {
      const report = await during('a new CA', async () => {
        const replaced = async () => (await trusted())[0]?.fingerprint256 !== first.fingerprint256;
        await until('the next CA', replaced, AUTHORITY_MS);
        await sleep(Math.max(0, Date.parse(first.validTo) + 2_000 - Date.now()));
      });
      expectNoFailure(report);
      const authorities = await trusted();
      for (const certificate of await served()) {
        const left = Date.parse(certificate.validTo) - Date.now();
        expect(left).toBeGreaterThan(0);
        expect(left).toBeLessThanOrEqual(LEAF_MS);
        expect(certificate.verify(first.publicKey)).toBe(false);
        expect(authorities.filter(({ publicKey }) => certificate.verify(publicKey))).toHaveLength(1);
      }
    }, 240_000);

    it(`the processes of the webhook are killed in turn, ${KILLS} times`, async () => {
      for (let i = 0; i < KILLS; i++) {
        // Each half has its turn; the Pods are read again for what a kill has changed.
        const pods = (await installed().podsOf('webhook')).sort((one, other) => (halfOf(one) < halfOf(other) ? -1 : 1));
        expect(pods.map(halfOf)).toEqual(['a', 'b']);
        const pod = pods[i % pods.length];
        if (pod) expectNoFailure(await kill('webhook', pod));
      }
    }, 300_000);

    it.each(['a', 'b'])('the node of half %s is lost, and is not noticed', async (half) => {
      const pod = (await installed().podsOf('webhook')).find((each) => halfOf(each) === half);
      const ip = pod?.status.podIP ?? '';
      const addresses = async () => {
        const path = `/apis/discovery.k8s.io/v1/namespaces/${OWN}/endpointslices`;
        const { items } = await installed().node.cluster.expect<{ items: Slice[] }>('GET', path);
        return items.flatMap(({ endpoints }) =>
          (endpoints ?? []).flatMap((each) => (each.conditions.ready ? each.addresses : [])),
        );
      };
      const report = await during(`the node of half ${half} lost for ${LOST_MS / 1000} s`, async () => {
        const restore = await installed().node.cutOff(ip, 9090);
        try {
          const port = await installed().node.expose(ip, 8443);
          await expect(certificateAt(port, 2_000)).rejects.toThrow();
          await sleep(LOST_MS);
          // For the Service of its half and for that of both.
          expect((await addresses()).filter((address) => address === ip)).toHaveLength(2);
        } finally {
          await restore();
        }
      });
      expectNoFailure(report);
      // A try that is lost takes its time; the first one may be repeated after the one that went well changed the Pod.
      expect(report.slowestMs).toBeGreaterThan(TRY_SECONDS * 1000);
      expect(report.slowestMs).toBeLessThan((3 * TRY_SECONDS + 2) * 1000);
    });

    it('both halves are scaled by one line, and back', async () => {
      const scale = (to: number) => async () => {
        const both = ['deployment', '--selector', 'app.kubernetes.io/component=webhook', `--replicas=${to}`];
        await installed().node.kubectlOk(['--namespace', OWN, 'scale', ...both]);
        await installed().rolledOut('webhook');
        const all = async () => (await installed().podsOf('webhook', 'all')).length === 2 * to;
        await until('the Pods of both halves', all, 40_000);
      };
      for (const to of [2, 1]) expectNoFailure(await during(`scaled to ${to} each`, scale(to)));
    });
  });
}

const halfOf = ({ metadata }: Pod) => metadata.labels?.['podpass.dev/half'] ?? '';

interface Slice {
  endpoints?: { addresses: string[]; conditions: { ready?: boolean } }[];
}

function certificateAt(port: number, timeout = 30_000): Promise<X509Certificate> {
  return new Promise((fulfil, reject) => {
    const socket = connectTls({ host: '127.0.0.1', port, rejectUnauthorized: false }, () => {
      const certificate = socket.getPeerX509Certificate();
      socket.destroy();
      if (certificate) fulfil(certificate);
      else reject(new Error(`port ${port} shows no certificate`));
    });
    socket.setTimeout(timeout, () => socket.destroy(new Error(`port ${port} does not answer`)));
    socket.on('error', reject);
  });
}
