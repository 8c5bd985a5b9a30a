/** What may happen to an installation while Pods are created that must not be created without their tokens. */
import { X509Certificate } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { until } from '../cluster/podpass.ts';
import { type Installed, OWN } from './installed.ts';
import { Load, type LoadReport } from './load.ts';

const merge = { contentType: 'application/merge-patch+json' };
const jsonPatch = { contentType: 'application/json-patch+json' };
const LEAF_MS = 60_000;
const AUTHORITY_MS = 180_000;
const CLIENTS = 4;

/** `namespace` has a ServiceAccount `web` that asks for a token. */
export function describeFaults(installed: () => Installed, namespace: string): void {
  describe('while Pods are created that must have their tokens', () => {
    let load: Load;
    let created = 0;

    beforeAll(() => {
      load = new Load(installed().node.cluster, namespace, CLIENTS);
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
      const bundle = Buffer.from(webhooks[0]?.clientConfig.caBundle ?? '', 'base64').toString();
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
        const deployment = `/apis/apps/v1/namespaces/${OWN}/deployments/podpass-webhook`;
        await node.cluster.expect('PATCH', deployment, patch, jsonPatch);
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
      const restart = ['--namespace', OWN, 'rollout', 'restart', 'deployment/podpass-webhook'];
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

    async function killEach(service: 'webhook' | 'discovery'): Promise<LoadReport[]> {
      const reports: LoadReport[] = [];
      for (const { metadata, status } of await installed().podsOf(service)) {
        const back = async () => {
          const pod = (await installed().podsOf(service)).find((each) => each.metadata.name === metadata.name);
          const [container] = pod?.status.containerStatuses ?? [];
          return container?.restartCount === 1 && container.ready;
        };
        const kill = async () => {
          await installed().node.killContainer(status.containerStatuses?.[0]?.containerID ?? '');
          await until('the restart', back, 30_000);
        };
        reports.push(await during(`kill -9 of ${service}`, kill));
      }
      return reports;
    }

    it('each process of discovery is killed', async () => {
      for (const report of await killEach('discovery')) expectNoFailure(report);
    });

    /**
     * Until the cluster has noticed, a second or two, every other new connection to the Service still leads to the dead
     * replica and is refused at once. A creation fails if that happens to all of its three tries.
     */
    it('each process of the webhook is killed: next to none fails, and only by broken connections', async () => {
      for (const { created: went, webhookFailures } of await killEach('webhook')) {
        expect(webhookFailures.filter((said) => !/refused|EOF|reset|broken pipe|closed network/.test(said))).toEqual(
          [],
        );
        expect(webhookFailures.length).toBeLessThanOrEqual(CLIENTS);
        expect(went).toBeGreaterThan(20);
      }
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
  });
}

function certificateAt(port: number): Promise<X509Certificate> {
  return new Promise((fulfil, reject) => {
    const socket = connectTls({ host: '127.0.0.1', port, rejectUnauthorized: false }, () => {
      const certificate = socket.getPeerX509Certificate();
      socket.destroy();
      if (certificate) fulfil(certificate);
      else reject(new Error(`port ${port} shows no certificate`));
    });
    socket.on('error', reject);
  });
}
