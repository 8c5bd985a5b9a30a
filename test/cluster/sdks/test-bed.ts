/** A real API server, whose issuer the built `podpass discovery` serves, and the built webhook with presets. */
import { expect } from 'vitest';
import { type ControlPlane, type KubeObject, startControlPlane } from '../control-plane.ts';
import { type Podpass, register, startDiscovery, startWebhook } from '../podpass.ts';
import { freePort } from '../servers.ts';
import { clusterBinaries } from '../suite.ts';
import type { Issuer } from '../verifiers.ts';
import { enterContainer, type SimulatedContainer } from './container.ts';

export const NAMESPACE = 'shop';

export class TestBed {
  readonly cluster: ControlPlane;
  readonly issuer: Issuer;
  readonly #services: Podpass[] = [];
  readonly #containers: SimulatedContainer[] = [];

  private constructor(cluster: ControlPlane, issuer: Issuer, services: Podpass[]) {
    this.cluster = cluster;
    this.issuer = issuer;
    this.#services = services;
  }

  static async start(webhookFlags: string[]): Promise<TestBed> {
    const port = await freePort();
    const url = `https://localhost:${port}`;
    const cluster = await startControlPlane({ binaries: clusterBinaries(), issuer: url });
    const services: Podpass[] = [];
    try {
      const discovery = await startDiscovery(cluster, ['--port', String(port), '--key-source', 'cluster']);
      services.push(discovery);
      const webhook = await startWebhook(cluster, webhookFlags);
      services.push(webhook);
      await register(cluster, webhook);
      await cluster.createNamespace(NAMESPACE);
      // No controller runs that would put it into every namespace.
      await cluster.expect('POST', `/api/v1/namespaces/${NAMESPACE}/configmaps`, {
        metadata: { name: 'kube-root-ca.crt' },
        data: { 'ca.crt': cluster.caPem },
      });
      return new TestBed(cluster, { url, caFile: discovery.files.caFile }, services);
    } catch (error) {
      await Promise.all(services.map((service) => service.stop()));
      await cluster.stop();
      throw error;
    }
  }

  /** A Pod with that ServiceAccount; returns it as the API server has stored it. A second try of a test is no conflict. */
  async createPod(name: string, account: Record<string, string>, containers: object[], labels = {}) {
    const serviceAccounts = `/api/v1/namespaces/${NAMESPACE}/serviceaccounts`;
    const made = await this.cluster.request('POST', serviceAccounts, { metadata: { name, annotations: account } });
    expect([201, 409]).toContain(made.status);
    const created = await this.cluster.createPod(NAMESPACE, {
      metadata: { generateName: `${name}-`, labels },
      spec: { serviceAccountName: name, containers: containers.map((each) => ({ image: 'app:1', ...each })) },
    });
    expect(created.status, JSON.stringify(created.body)).toBe(201);
    return created.body;
  }

  async enter(pod: KubeObject, container = 'app'): Promise<SimulatedContainer> {
    const entered = await enterContainer(this.cluster, pod, container);
    this.#containers.push(entered);
    return entered;
  }

  /** A token of a ServiceAccount that no Pod has asked for. */
  tokenFor(serviceAccount: string, audience: string): Promise<string> {
    return this.cluster.requestToken(NAMESPACE, serviceAccount, { audiences: [audience] });
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#containers.map((each) => each.close()), ...this.#services.map((each) => each.stop())]);
    await this.cluster.stop();
  }
}
