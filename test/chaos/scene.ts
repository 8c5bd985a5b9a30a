/** A control plane with podpass in it as it is installed: two halves, three Services, and Pods being created all the time. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import type { KubeObject } from '../../src/cli/manifests/object.ts';
import type { ApiClient } from '../cluster/api-client.ts';
import { apply, type Registration, registeredAt } from '../cluster/apply.ts';
import { Balancer } from '../cluster/balancer.ts';
import type { Binaries } from '../cluster/binaries.ts';
import { type ControlPlane, type KubeObject as Stored, startControlPlane } from '../cluster/control-plane.ts';
import { Forwarder } from '../cluster/forwarder.ts';
import { podpass, until } from '../cluster/podpass.ts';
import { ourVolumes } from '../cluster/pods.ts';
import { Load, podOf } from '../node/load.ts';
import { Half, type HalfSettings } from './half.ts';
import { kinds } from './kinds.ts';
import { Tally } from './tally.ts';

const OWN = 'podpass';
export const NAMESPACE = 'shop';
/** Of the CA. */
export const SECRET_PATH = `/api/v1/namespaces/${OWN}/secrets/podpass-webhook-tls`;
const ACCOUNT = 'podpass-webhook';
const merge = { contentType: 'application/merge-patch+json' };
/** Two of each kind. */
const CLIENTS = 6;

export class Scene {
  readonly cluster: ControlPlane;
  readonly tally = new Tally();
  /** Closed last to first. */
  readonly #ends: (() => unknown)[] = [];
  #way: Forwarder | undefined;
  #wayOpen = true;
  #halves: readonly Half[] = [];
  #kubeconfig = '';
  #objects: readonly KubeObject[] = [];
  #names = 0;

  private constructor(cluster: ControlPlane) {
    this.cluster = cluster;
    this.#ends.push(() => cluster.stop());
  }

  /** `started` gets it before it is complete, so that an interrupt can stop it. */
  static async start(
    binaries: Pick<Binaries, 'kubeApiserver' | 'etcd'>,
    started: (scene: Scene) => void = () => undefined,
  ): Promise<Scene> {
    const scene = new Scene(await startControlPlane({ binaries }));
    started(scene);
    try {
      await scene.#install();
      return scene;
    } catch (error) {
      await scene.stop();
      throw error;
    }
  }

  async #install(): Promise<void> {
    const { code, stdout, stderr } = await podpass(['manifests', '--namespace', OWN]);
    if (code !== 0) throw new Error(`podpass manifests: ${stderr}`);
    this.#objects = parseAllDocuments(stdout).map((document) => document.toJS() as KubeObject);
    const registration = this.#object('MutatingWebhookConfiguration', 'podpass') as Registration;
    for (const object of this.#objects) if (object !== registration) await this.#apply(object);
    await this.cluster.createNamespace(NAMESPACE);
    await this.cluster.createServiceAccount(NAMESPACE, 'web', { 'podpass.dev/audiences': 'vault' });

    this.#way = await Forwarder.start(() => (this.#wayOpen ? Number(new URL(this.cluster.url).port) : undefined));
    this.#ends.push(() => this.#way?.stop());
    this.#kubeconfig = await this.#writeKubeconfig(this.#way.port);
    this.#halves = (['a', 'b'] as const).map((name) => new Half(name, this.cluster, this.#args(name), this.settings()));
    this.#ends.push(() => Promise.all(this.#halves.map((half) => half.stop())));
    await Promise.all(this.#halves.map((half) => half.start()));

    const [a, b] = [this.half('a'), this.half('b')];
    const both = await this.#service([a, b]);
    const own = { a: await this.#service([a]), b: await this.#service([b]) };
    a.joins(both, own.a);
    b.joins(both, own.b);
    const at = (service: Balancer) => ({ url: `https://127.0.0.1:${service.port}/mutate` });
    await this.#apply(registeredAt({ both: at(both), a: at(own.a), b: at(own.b) }, registration));

    // A Pod that is created before all of this is in force would be counted as a failure.
    await until('a Pod with a token', async () => (await this.audienceFor('web')) === 'vault', 30_000);
    const load = new Load(this.cluster, NAMESPACE, { parallel: CLIENTS, kinds, seen: this.tally.note });
    this.#ends.push(() => load.stop());
  }

  // ---- what is installed -----------------------------------------------------------------------------------------------

  #object(kind: string, name: string): KubeObject {
    const found = this.#objects.find((object) => object.kind === kind && object.metadata.name === name);
    if (!found) throw new Error(`podpass manifests printed no ${kind} ${name}`);
    return found;
  }

  async #apply(object: KubeObject): Promise<void> {
    const { status, body } = await apply(this.cluster, object);
    if (status >= 300) throw new Error(`applying ${object.kind} ${object.metadata.name}: ${status} ${body.message}`);
  }

  /** What `podpass manifests` printed, once more. */
  applyAgain(kind: string, name: string): Promise<void> {
    return this.#apply(this.#object(kind, name));
  }

  /** The arguments of the half's container, and what is needed to be called on the loopback. */
  #args(half: 'a' | 'b'): string[] {
    const { spec } = this.#object('Deployment', `podpass-webhook-${half}`) as KubeObject & {
      spec: { template: { spec: { containers: { args: string[] }[] } } };
    };
    const [service, ...flags] = spec.template.spec.containers[0]?.args ?? [];
    if (service !== 'webhook') throw new Error(`the Deployment of half ${half} runs ${service}`);
    return [...flags.flatMap((flag) => flag.split('=')), '--namespace', OWN, '--tls-name', '127.0.0.1'];
  }

  async #writeKubeconfig(port: number): Promise<string> {
    // Nobody renews it here, as the kubelet would.
    const token = await this.cluster.requestToken(OWN, ACCOUNT, { expirationSeconds: 86_400 });
    const path = join(this.cluster.folder, 'halves.kubeconfig');
    const direct = await readFile(await this.cluster.kubeconfigFor({ token }), 'utf8');
    await writeFile(path, direct.replaceAll(this.cluster.url, `https://127.0.0.1:${port}`), { mode: 0o600 });
    return path;
  }

  async #service(halves: readonly Half[]): Promise<Balancer> {
    const balancer = await Balancer.start(halves.map(({ podpass }) => podpass));
    this.#ends.push(() => balancer.stop());
    return balancer;
  }

  // ---- what faults need ------------------------------------------------------------------------------------------------

  get halves(): readonly Half[] {
    return this.#halves;
  }

  half(name: 'a' | 'b'): Half {
    const half = this.#halves.find((each) => each.name === name);
    if (!half) throw new Error(`there is no half ${name}`);
    return half;
  }

  /** All connections of both halves to the API server. */
  get way(): Pick<Forwarder, 'reset' | 'freeze'> {
    if (!this.#way) throw new Error('the scene was not started');
    return this.#way;
  }

  /** No half reaches the API server until `open`. */
  closeWay(): void {
    this.#wayOpen = false;
    this.way.reset();
  }

  openWay(): void {
    this.#wayOpen = true;
  }

  /** How a half runs; without arguments of their own as the Deployment says, with more of them beside those. */
  settings(more: readonly string[] = [], env: Readonly<Record<string, string>> = {}): HalfSettings {
    return { kubeconfig: this.#kubeconfig, env, ...(more.length > 0 ? { args: [...this.#args('a'), ...more] } : {}) };
  }

  /** How a half runs with a certificate from files, which the tests' CA issues. */
  filesSettings(): HalfSettings {
    return { kubeconfig: this.#kubeconfig, args: [] };
  }

  /** As somebody does who wants a new CA at once. */
  async emptySecret(): Promise<void> {
    await this.cluster.expect('PATCH', SECRET_PATH, { data: null }, merge);
  }

  /** Adds a CA to every caBundle; who keeps them leaves it there. */
  async trust(caPem: string): Promise<void> {
    const path = '/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/podpass';
    const { webhooks } = await this.cluster.expect<{ webhooks: { clientConfig: { caBundle?: string } }[] }>(
      'GET',
      path,
    );
    const patch = webhooks.map(({ clientConfig: { caBundle = '' } }, index) => {
      const value = Buffer.from(`${Buffer.from(caBundle, 'base64')}${caPem}`).toString('base64');
      return { op: 'add', path: `/webhooks/${index}/clientConfig/caBundle`, value };
    });
    await this.cluster.expect('PATCH', path, patch, { contentType: 'application/json-patch+json' });
  }

  /** As a rollout of both Deployments at once does. */
  async roll(settings: HalfSettings): Promise<void> {
    await Promise.all(this.#halves.map((half) => half.roll(settings)));
  }

  /** One more ServiceAccount that asks for a token; returns its name. */
  async account(audience: string): Promise<string> {
    const name = `account-${++this.#names}`;
    await this.cluster.createServiceAccount(NAMESPACE, name, { 'podpass.dev/audiences': audience });
    return name;
  }

  async annotate(account: string, audience: string): Promise<void> {
    const path = `/api/v1/namespaces/${NAMESPACE}/serviceaccounts/${account}`;
    await this.cluster.expect(
      'PATCH',
      path,
      { metadata: { annotations: { 'podpass.dev/audiences': audience } } },
      merge,
    );
  }

  /** Of the token that a Pod of this ServiceAccount gets, or why it gets none. Nothing is stored. */
  async audienceFor(account: string, client: Pick<ApiClient, 'request'> = this.cluster): Promise<string | undefined> {
    const pod = podOf({ labels: { 'podpass.dev/inject': 'true' } });
    const asks = { ...pod, spec: { ...pod.spec, serviceAccountName: account } };
    const path = `/api/v1/namespaces/${NAMESPACE}/pods?dryRun=All`;
    try {
      const { status, body } = await client.request<Stored>('POST', path, asks);
      if (status !== 201) return `${status} ${body.message}`;
      return ourVolumes(body)[0]?.projected?.sources[0]?.serviceAccountToken?.audience;
    } catch (error) {
      return String(error);
    }
  }

  /** The halves are whole, and Pods of every kind were begun after `since` and have their tokens. */
  async isWhole(since: number): Promise<boolean> {
    if (!this.tally.goodSince(since, Object.keys(kinds))) return false;
    return (await Promise.all(this.#halves.map((half) => half.isWhole()))).every(Boolean);
  }

  /** Ends every process; may be called twice. */
  async stop(): Promise<void> {
    for (const end of this.#ends.splice(0).reverse()) await end();
  }
}
