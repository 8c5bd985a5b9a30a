/** A cluster with podpass: an API server whose tokens are from our discovery, and the webhook. */
import { readFileSync } from 'node:fs';
import { type ControlPlane, startControlPlane } from '../control-plane.ts';
import { type Podpass, register, startDiscovery, startWebhook } from '../podpass.ts';
import { freePort } from '../servers.ts';
import { clusterBinaries } from '../suite.ts';

export class Site {
  readonly cluster: ControlPlane;
  readonly #services: readonly Podpass[];

  private constructor(cluster: ControlPlane, services: readonly Podpass[]) {
    this.cluster = cluster;
    this.#services = services;
  }

  static async start(keys: 'rsa' | 'ec'): Promise<Site> {
    const port = await freePort();
    const issuer = `https://127.0.0.1:${port}`;
    const cluster = await startControlPlane({ binaries: clusterBinaries(), issuer, keys });
    const services: Podpass[] = [];
    const site = new Site(cluster, services);
    try {
      services.push(await startDiscovery(cluster, ['--port', String(port)]));
      const webhook = await startWebhook(cluster);
      services.push(webhook);
      await register(cluster, webhook, { reinvocationPolicy: 'IfNeeded' });
      return site;
    } catch (error) {
      await site.stop();
      throw error;
    }
  }

  /** The Pods of one guide would be in the way of the next. */
  async removePods(namespace: string): Promise<void> {
    await this.cluster.expect('DELETE', `/api/v1/namespaces/${namespace}/pods?gracePeriodSeconds=0`);
  }

  async stop(): Promise<void> {
    await Promise.all(this.#services.map((service) => service.stop()));
    await this.cluster.stop();
  }
}

interface Kubeconfig {
  clusters: [{ cluster: object }];
  users: [{ user: object }];
}

/** One file with a context for each; the first is the current one. */
export function kubeconfigOf(clusters: Record<string, ControlPlane>): string {
  const names = Object.keys(clusters);
  const read = ({ kubeconfigPath }: ControlPlane) => JSON.parse(readFileSync(kubeconfigPath, 'utf8')) as Kubeconfig;
  const all = Object.entries(clusters).map(([name, cluster]) => ({ name, config: read(cluster) }));
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: all.map(({ name, config }) => ({ name, cluster: config.clusters[0].cluster })),
    users: all.map(({ name, config }) => ({ name, user: config.users[0].user })),
    contexts: names.map((name) => ({ name, context: { cluster: name, user: name } })),
    'current-context': names[0],
  });
}
