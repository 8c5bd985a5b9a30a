/**
 * A whole Kubernetes node in namespaces of its own, beside a control plane of its own: scheduler, controllers, kubelet,
 * containerd, CNI, kube-proxy and DNS. Needs root; leaves nothing behind.
 */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Binaries } from '../cluster/binaries.ts';
import { type ControlPlane, type ControlPlaneOptions, startControlPlane, type User } from '../cluster/control-plane.ts';
import { type Ran, runProgram, TestCa, until } from '../cluster/podpass.ts';
import { freePort, type Server } from '../cluster/servers.ts';
import type { NodeBinaries } from './binaries.ts';
import { Namespaces } from './namespaces.ts';
import { sandboxImage } from './sandbox-image.ts';
import { containerdConfig, corefile, DNS_OBJECTS, kubeletConfig, kubeProxyConfig, network } from './settings.ts';
import { Tunnel } from './tunnel.ts';

const NODE = 'node1';
const components = [
  ['kubelet', `system:node:${NODE}`, 'system:nodes'],
  ['kube-controller-manager', 'system:kube-controller-manager'],
  ['kube-scheduler', 'system:kube-scheduler'],
  ['kube-proxy', 'system:kube-proxy'],
  ['coredns', 'system:coredns'],
] as const;
/** What Pods call the API server. */
const dnsNames = ['kubernetes', 'kubernetes.default', 'kubernetes.default.svc', 'kubernetes.default.svc.cluster.local'];
type Component = (typeof components)[number][0];

export interface TestNodeOptions extends Pick<ControlPlaneOptions, 'issuer' | 'keys' | 'apiAudiences'> {
  binaries: Binaries;
  nodeBinaries: NodeBinaries;
}

export interface PodStatus {
  phase?: string;
  podIP?: string;
  containerStatuses?: { name: string; ready: boolean; restartCount: number; containerID?: string }[];
}

export class TestNode {
  readonly #binaries: NodeBinaries;
  readonly #namespaces: Namespaces;
  readonly #tunnel: Tunnel;
  readonly cluster: ControlPlane;
  readonly #kubeconfigs: Record<string, string> = {};
  readonly #servers: Server[] = [];

  private constructor(binaries: NodeBinaries, namespaces: Namespaces, tunnel: Tunnel, cluster: ControlPlane) {
    this.#binaries = binaries;
    this.#namespaces = namespaces;
    this.#tunnel = tunnel;
    this.cluster = cluster;
  }

  static async start({ binaries, nodeBinaries, ...options }: TestNodeOptions): Promise<TestNode> {
    const namespaces = await Namespaces.start(NODE, network.node);
    let cluster: ControlPlane | undefined;
    let tunnel: Tunnel | undefined;
    try {
      const way = await Tunnel.start(namespaces);
      tunnel = way;
      const ca = new TestCa();
      const users = components.map(
        ([, name, group]): User => ({
          name,
          groups: group === undefined ? [] : [group],
          token: randomBytes(16).toString('hex'),
        }),
      );
      const expose = async (port: number) => void (await way.expose('127.0.0.1', port, port));
      cluster = await startControlPlane({
        ...options,
        binaries,
        users,
        place: {
          prefix: namespaces.network,
          address: network.node,
          certificate: { ca: ca.pem, ...ca.issue({ dnsNames, ipAddresses: [network.node, network.api] }) },
          expose,
        },
        extraArgs: ['--enable-admission-plugins=NodeRestriction', '--kubelet-preferred-address-types=InternalIP'],
      });
      const node = new TestNode(nodeBinaries, namespaces, way, cluster);
      for (const [i, [component]] of components.entries()) {
        node.#kubeconfigs[component] = await cluster.kubeconfigFor({ token: users[i]?.token ?? '' });
      }
      await node.#start();
      return node;
    } catch (error) {
      tunnel?.stop();
      await cluster?.stop();
      await namespaces.stop();
      throw error;
    }
  }

  async #start(): Promise<void> {
    const { folder } = this.#namespaces;
    const write = async (name: string, content: string | object) => {
      await mkdir(join(folder, 'etc'), { recursive: true });
      const path = join(folder, 'etc', name);
      // JSON is YAML.
      await writeFile(path, typeof content === 'string' ? content : JSON.stringify(content));
      return path;
    };
    const kubeconfig = (component: Component) => this.#kubeconfigs[component] ?? '';

    await this.#startControllers(kubeconfig('kube-controller-manager'));
    const schedulerPort = await freePort();
    this.#run('kube-scheduler', 'network', [
      `--kubeconfig=${kubeconfig('kube-scheduler')}`,
      '--leader-elect=false',
      '--bind-address=127.0.0.1',
      `--secure-port=${schedulerPort}`,
      `--cert-dir=${join(folder, 'kube-scheduler')}`,
    ]);

    await mkdir(join(folder, 'net.d'));
    await writeFile(join(folder, 'net.d/10-test.conflist'), JSON.stringify(network.cni));
    const config = await write('containerd.toml', containerdConfig(join(folder, 'net.d'), this.#binaries.runtime));
    const containerd = this.#run('containerd', 'all', ['--config', config]);
    await containerd.ready(async () => (await this.#ctr('version')).code === 0, 30_000);
    await this.importImage(await sandboxImage(join(this.#binaries.runtime, 'pause'), join(folder, 'sandbox.tar')));

    const resolvConf = await write('resolv.conf', `nameserver ${network.node}\n`);
    const kubelet = this.#run('kubelet', 'all', [
      `--config=${await write('kubelet.json', kubeletConfig(resolvConf))}`,
      `--kubeconfig=${kubeconfig('kubelet')}`,
      `--hostname-override=${NODE}`,
      `--node-ip=${network.node}`,
      `--cert-dir=${join(folder, 'kubelet-pki')}`,
    ]);
    const proxyConfig = kubeProxyConfig(kubeconfig('kube-proxy'), NODE);
    this.#run('kube-proxy', 'network', [`--config=${await write('kube-proxy.json', proxyConfig)}`]);
    for (const [path, object] of DNS_OBJECTS) await this.cluster.expect('POST', path, object);
    this.#run('coredns', 'network', ['-conf', await write('Corefile', corefile(kubeconfig('coredns')))]);

    interface Node {
      status?: { conditions?: { type: string; status: string }[] };
    }
    await kubelet.ready(async () => {
      const { body } = await this.cluster.request<Node>('GET', `/api/v1/nodes/${NODE}`);
      return body.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false;
    }, 60_000);
  }

  async #startControllers(kubeconfig: string): Promise<void> {
    const { cluster } = this;
    const signingKey = join(this.#namespaces.folder, 'signing.pem');
    await writeFile(signingKey, cluster.signingKey, { mode: 0o600 });
    const server = this.#run('kube-controller-manager', 'network', [
      `--kubeconfig=${kubeconfig}`,
      '--leader-elect=false',
      '--bind-address=127.0.0.1',
      `--secure-port=${await freePort()}`,
      `--cert-dir=${join(this.#namespaces.folder, 'kube-controller-manager')}`,
      '--use-service-account-credentials=true',
      `--service-account-private-key-file=${signingKey}`,
      `--root-ca-file=${cluster.caFile}`,
      '--allocate-node-cidrs=true',
      `--cluster-cidr=${network.pods}`,
      '--service-cluster-ip-range=10.96.0.0/16',
    ]);
    const there = async (path: string) => (await cluster.request('GET', path)).status === 200;
    const made = ['serviceaccounts/default', 'configmaps/kube-root-ca.crt'];
    await server.ready(async () => {
      const found = await Promise.all(made.map((path) => there(`/api/v1/namespaces/default/${path}`)));
      return found.every(Boolean);
    }, 60_000);
  }

  #run(name: Component | 'containerd', where: 'network' | 'all', args: string[]): Server {
    const server = this.#namespaces.run(name, where, join(this.#folderOf(name), name), args);
    this.#servers.push(server);
    return server;
  }

  #folderOf(program: string): string {
    return program.startsWith('kube') ? this.#binaries.kubernetes : this.#binaries.runtime;
  }

  /** Runs a program among the node's processes. */
  enter(program: string, ...args: string[]): Promise<Ran> {
    const [first = '', ...rest] = [...this.#namespaces.all, program, ...args];
    return runProgram(first, rest);
  }

  #ctr(...args: string[]): Promise<Ran> {
    return this.enter(join(this.#binaries.runtime, 'ctr'), '--namespace', 'k8s.io', ...args);
  }

  /** Imports an OCI image archive, so that nothing has to be pulled. */
  async importImage(file: string): Promise<void> {
    const { code, stderr } = await this.#ctr('images', 'import', file);
    if (code !== 0) throw new Error(`importing ${file} failed: ${stderr}`);
  }

  /** Kills the first process of a container, as a crash or a lack of memory would end it. */
  async killContainer(containerId: string): Promise<void> {
    const id = containerId.replace('containerd://', '');
    const { code, stderr } = await this.#ctr('tasks', 'kill', '--signal', 'SIGKILL', id);
    if (code !== 0) throw new Error(`killing ${containerId} failed: ${stderr}`);
  }

  /** The first process of a container, by its number among the node's processes. */
  async pidOf(containerId: string): Promise<number> {
    const { stdout } = await this.#ctr('tasks', 'ls');
    const id = containerId.replace('containerd://', '');
    const pid = stdout
      .split('\n')
      .find((line) => line.startsWith(id))
      ?.split(/\s+/)[1];
    if (pid === undefined) throw new Error(`no process of ${containerId} runs:\n${stdout}`);
    return Number(pid);
  }

  /**
   * Drops what goes to a Pod and what comes from it, without an answer, as if its node were lost: also on connections that
   * are open. What is left are the kubelet's probes on a port, so that its endpoint stays for as long as a lost node's.
   * Returns what undoes it.
   */
  async cutOff(podIp: string, probePort: number): Promise<() => Promise<void>> {
    const nft = async (...args: string[]) => {
      const { code, stderr } = await this.enter('nft', ...args);
      if (code !== 0) throw new Error(`nft ${args.join(' ')}: ${stderr}`);
    };
    // To it after, and from it before kube-proxy's and the kernel's own rules change addresses.
    await nft(`table ip podpass-cut-off {
      chain to {
        type filter hook postrouting priority 300; policy accept;
        ip daddr ${podIp} tcp dport != ${probePort} drop
      }
      chain from {
        type filter hook prerouting priority -310; policy accept;
        ip saddr ${podIp} tcp sport != ${probePort} drop
      }
    }`);
    return () => nft('delete', 'table', 'ip', 'podpass-cut-off');
  }

  /** kubectl as its users have it, from this machine. */
  kubectl(args: string[], input = ''): Promise<Ran> {
    return runProgram(this.kubectlPath, args, { input, env: this.kubectlEnv });
  }

  get kubectlPath(): string {
    return join(this.#binaries.kubernetes, 'kubectl');
  }

  get kubectlEnv(): Record<string, string> {
    return { KUBECONFIG: this.cluster.kubeconfigPath, HOME: this.#namespaces.folder, PATH: process.env.PATH ?? '' };
  }

  /** Like kubectl, but returns its output, and a failure is thrown with what it said. */
  async kubectlOk(args: string[], input = ''): Promise<string> {
    const { code, stdout, stderr } = await this.kubectl(args, input);
    if (code !== 0) throw new Error(`kubectl ${args.join(' ')}: ${stderr}`);
    return stdout;
  }

  /** A port of our loopback that leads to an address of the node's network: a Service's or a Pod's. */
  expose(host: string, port: number): Promise<number> {
    return this.#tunnel.expose(host, port);
  }

  /** Waits until a Pod has ended well, and returns what a container of it wrote. */
  async outputOf(namespace: string, pod: string, container: string, timeoutMs = 60_000): Promise<string> {
    const path = `/api/v1/namespaces/${namespace}/pods/${pod}`;
    let phase: string | undefined;
    const ended = async () => {
      phase = (await this.cluster.expect<{ status: PodStatus }>('GET', path)).status.phase;
      return phase === 'Succeeded' || phase === 'Failed';
    };
    await until(`the end of the Pod ${pod}`, ended, timeoutMs);
    const output = await this.kubectlOk(['--namespace', namespace, 'logs', pod, '--container', container]);
    if (phase === 'Failed') throw new Error(`the Pod ${pod} failed: ${output}`);
    return output;
  }

  /** Waits for a ServiceAccount that a controller makes. */
  async serviceAccount(namespace: string, name: string): Promise<void> {
    const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${name}`;
    await until(`the ServiceAccount ${name}`, async () => (await this.cluster.request('GET', path)).status === 200);
  }

  /** Gives an image that was imported another name. */
  async tagImage(image: string, name: string): Promise<void> {
    const full = (short: string) => `docker.io/library/${short}`;
    const { code, stderr } = await this.#ctr('images', 'tag', full(image), full(name));
    if (code !== 0) throw new Error(`tagging ${image} failed: ${stderr}`);
  }

  /** What the node's programs said last, for the report of a failed test. */
  logs(lines = 15): string {
    return [this.cluster.logs(lines), ...this.#servers.map((server) => server.logTail(lines))].join('\n');
  }

  /** Of one of the node's programs, everything. */
  logOf(name: string): string {
    return readFileSync(join(this.#namespaces.folder, `${name}.log`), 'utf8');
  }

  async stop(): Promise<void> {
    // Clients first: they would wait for the API server.
    await Promise.all(this.#servers.map((server) => server.end('SIGKILL')));
    this.#tunnel.stop();
    await this.cluster.stop();
    await this.#namespaces.stop();
  }
}
