/** podpass on a node, installed from the manifests as they are, with a front for its issuer. */
import { fileURLToPath } from 'node:url';
import type { KubeObject } from '../cluster/control-plane.ts';
import { podpass } from '../cluster/podpass.ts';
import { freePort } from '../cluster/servers.ts';
import { IssuerFront } from './issuer-front.ts';
import type { NodeParts } from './parts.ts';
import { type PodStatus, TestNode } from './test-node.ts';

export const OWN = 'podpass';
export const IMAGE = 'podpass:0.1.0';
const manifests = fileURLToPath(new URL('../../manifests/', import.meta.url));

export interface Pod extends KubeObject {
  status: PodStatus;
}

export class Installed {
  readonly node: TestNode;
  readonly issuer: string;
  #front: IssuerFront | undefined;

  private constructor(node: TestNode, issuer: string) {
    this.node = node;
    this.issuer = issuer;
  }

  /** A node with the image, and nothing installed yet. */
  static async prepare({ binaries, nodeBinaries, image }: NodeParts): Promise<Installed> {
    const issuer = `https://localhost:${await freePort()}`;
    const node = await TestNode.start({ binaries, nodeBinaries, issuer });
    await node.importImage(image);
    return new Installed(node, issuer);
  }

  /** `kubectl apply -k` or `diff -k`, of a folder of manifests. */
  kubectl(verb: 'apply' | 'diff', folder: string) {
    return this.node.kubectl([verb, '--kustomize', `${manifests}${folder}`]);
  }

  rolledOut(service: 'webhook' | 'discovery', timeoutSeconds = 90): Promise<string> {
    const selected = ['deployment', '--selector', `app.kubernetes.io/component=${service}`];
    return this.node.kubectlOk(['--namespace', OWN, 'rollout', 'status', ...selected, `--timeout=${timeoutSeconds}s`]);
  }

  /** The Pods of a service, those that are being deleted only if asked for. */
  async podsOf(service: 'webhook' | 'discovery', ending: 'without those that end' | 'all' = 'without those that end') {
    const selector = encodeURIComponent(`app.kubernetes.io/component=${service}`);
    const path = `/api/v1/namespaces/${OWN}/pods?labelSelector=${selector}`;
    const { items } = await this.node.cluster.expect<{ items: Pod[] }>('GET', path);
    return ending === 'all' ? items : items.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
  }

  /** Opens the issuer to this machine, after discovery is there. */
  async openIssuer(): Promise<void> {
    const path = `/api/v1/namespaces/${OWN}/services/podpass-discovery`;
    const { spec } = await this.node.cluster.expect<{ spec: { clusterIP: string } }>('GET', path);
    this.#front?.stop();
    this.#front = await IssuerFront.start(this.node, Number(new URL(this.issuer).port), {
      host: spec.clusterIP,
      port: 80,
    });
  }

  get caFile(): string {
    if (!this.#front) throw new Error('the issuer is not open yet');
    return this.#front.caFile;
  }

  verify(token: string, audience: string) {
    return podpass(['verify', '-', '--issuer', this.issuer, '--audience', audience, '--ca', this.caFile], token);
  }

  async stop(): Promise<void> {
    this.#front?.stop();
    await this.node.stop();
  }
}
