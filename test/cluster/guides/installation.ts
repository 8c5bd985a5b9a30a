/** What a guide works on: a control plane, discovery as its Deployment in the cluster says, and a user's shell. */
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type ControlPlane, type KubeObject, serviceAccountKeyPair, startControlPlane } from '../control-plane.ts';
import { type Podpass, startDiscovery, testCa } from '../podpass.ts';
import { freePort } from '../servers.ts';
import { clusterBinaries } from '../suite.ts';

const executable = fileURLToPath(new URL('../../../dist/podpass.js', import.meta.url));
const deployment = '/apis/apps/v1/namespaces/podpass/deployments/podpass-discovery';

interface Container {
  args?: string[];
  env?: { name: string; value: string }[];
}

export class Installation {
  readonly folder = mkdtempSync(join(tmpdir(), 'podpass-guide-'));
  readonly pki = join(this.folder, 'pki');
  readonly cluster: ControlPlane;
  readonly port: number;
  #discovery: Podpass | undefined;
  #running = '';
  #watch: Promise<void> | undefined;
  #ended = false;
  #configs = 0;

  private constructor(cluster: ControlPlane, port: number) {
    this.cluster = cluster;
    this.port = port;
  }

  static async start(issuerOn: (port: number) => string, discoveryArgs: string[]): Promise<Installation> {
    const port = await freePort();
    const { privatePem, publicPem } = serviceAccountKeyPair('rsa');
    const cluster = await startControlPlane({
      binaries: clusterBinaries(),
      issuer: issuerOn(port),
      keys: { signing: privatePem, files: [publicPem] },
    });
    const installation = new Installation(cluster, port);
    mkdirSync(installation.pki);
    writeFileSync(join(installation.pki, 'sa.key'), privatePem, { mode: 0o600 });
    writeFileSync(join(installation.pki, 'sa.pub'), publicPem);
    mkdirSync(join(installation.folder, 'bin'));
    chmodSync(executable, 0o755);
    symlinkSync(executable, join(installation.folder, 'bin/podpass'));
    symlinkSync(clusterBinaries().kubectl, join(installation.folder, 'bin/kubectl'));
    writeFileSync(join(installation.folder, 'ca.crt'), testCa().pem);
    for (const namespace of ['podpass', 'shop']) await cluster.createNamespace(namespace);
    await cluster.createServiceAccount('shop', 'web');
    const labels = { app: 'discovery' };
    await cluster.expect('POST', '/apis/apps/v1/namespaces/podpass/deployments', {
      metadata: { name: 'podpass-discovery' },
      spec: {
        selector: { matchLabels: labels },
        template: {
          metadata: { labels },
          spec: { containers: [{ name: 'discovery', image: 'podpass:test', args: discoveryArgs }] },
        },
      },
    });
    await installation.#rollOut();
    installation.#watch = installation.#follow();
    return installation;
  }

  /** The environment of the shell. */
  env(more: Record<string, string> = {}): Record<string, string> {
    const ca = join(this.folder, 'ca.crt');
    return {
      PATH: `${join(this.folder, 'bin')}:${process.execPath.replace(/\/node$/, '')}:${process.env.PATH ?? ''}`,
      HOME: this.folder,
      ...{ NODE_EXTRA_CA_CERTS: ca, CURL_CA_BUNDLE: ca },
      ...more,
    };
  }

  /** Restarts the API server with the flags that a guide shows, and no others of their kind. */
  async apiServer(manifest: string): Promise<void> {
    const flags = manifest.split('\n').filter((line) => line.startsWith('- '));
    const all = (name: string) =>
      flags.flatMap((line) => line.match(new RegExp(`^- --service-account-${name}=(.+)$`))?.[1] ?? []);
    const [signing] = all('signing-key-file');
    const keyFiles = all('key-file');
    const issuers = all('issuer');
    if (flags.length !== (signing === undefined ? 0 : 1) + keyFiles.length + issuers.length) {
      throw new Error(`there are flags that nobody knows:\n${manifest}`);
    }
    const read = (file: string) => readFileSync(file, 'utf8');
    await this.cluster.restartApiServer({
      ...(signing === undefined ? {} : { signingKey: read(signing) }),
      ...(keyFiles.length === 0 ? {} : { keyFiles: keyFiles.map(read) }),
      ...(issuers.length === 0 ? {} : { issuers }),
    });
  }

  /** Restarts discovery with a config file, as a rollout with another ConfigMap would. */
  async configure(content: string): Promise<void> {
    // Another name each time, as Kustomize gives ConfigMaps: else nothing would tell the Deployment.
    const file = join(this.folder, `discovery-${++this.#configs}.yaml`);
    writeFileSync(file, content);
    const object = await this.cluster.expect<KubeObject>('GET', deployment);
    const [container] = containersOf(object);
    if (container === undefined) throw new Error('the Deployment has no container');
    container.args = ['--config', file];
    await this.cluster.expect('PUT', deployment, object);
    await this.#rollOut();
  }

  async stop(): Promise<void> {
    this.#ended = true;
    await this.#watch;
    await this.#discovery?.stop();
    await this.cluster.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** No controller runs here that would do it: when the Deployment has changed, its process is restarted. */
  async #follow(): Promise<void> {
    while (!this.#ended) {
      await new Promise((fulfil) => setTimeout(fulfil, 500));
      // The API server is away while it restarts.
      await this.#rollOut().catch(() => undefined);
    }
  }

  #rolling: Promise<void> = Promise.resolve();

  #rollOut(): Promise<void> {
    const next = this.#rolling.catch(() => undefined).then(() => this.#rollOutNow());
    this.#rolling = next;
    return next;
  }

  async #rollOutNow(): Promise<void> {
    const object = await this.cluster.expect<KubeObject>('GET', deployment);
    const [{ args = [], env = [] } = {}] = containersOf(object);
    const wanted = JSON.stringify([args, env]);
    if (wanted === this.#running) return;
    await this.#discovery?.stop('SIGTERM');
    this.#discovery = await startDiscovery(
      this.cluster,
      ['--port', String(this.port), '--shutdown-delay', '0s', ...args],
      {
        // With a config file, that names the cluster.
        kubeconfig: args.includes('--config') ? false : this.cluster.kubeconfigPath,
        env: Object.fromEntries([
          ['KUBECONFIG', this.cluster.kubeconfigPath],
          ...env.map(({ name, value }) => [name, value]),
        ]),
      },
    );
    this.#running = wanted;
    // What the controller would say; `kubectl rollout status` waits for it.
    const { generation: observedGeneration } = object.metadata;
    const one = { replicas: 1, updatedReplicas: 1, readyReplicas: 1, availableReplicas: 1 };
    const status = { observedGeneration, ...one };
    const patch = { contentType: 'application/merge-patch+json' };
    await this.cluster.expect('PATCH', `${deployment}/status`, { status }, patch);
  }
}

function containersOf(object: KubeObject): Container[] {
  return (object as unknown as { spec: { template: { spec: { containers: Container[] } } } }).spec.template.spec
    .containers;
}
