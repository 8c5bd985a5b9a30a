/** Finds or builds what a node runs, and says what this machine lacks for one. */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  cachedBuild,
  goRelease,
  kubernetesFlags,
  type Log,
  moduleFiles,
  moduleFolder,
  toStderr,
  Unavailable,
} from '../cluster/binaries.ts';

export interface NodeBinaries {
  ok: true;
  /** Folder of kubelet, kube-controller-manager, kube-scheduler, kube-proxy and kubectl. */
  kubernetes: string;
  /** Folder of containerd, its shim, ctr, the CNI plugins, coredns and pause. */
  runtime: string;
}
export type FoundNodeBinaries = NodeBinaries | { ok: false; reason: string };

const runtimeModule = join(moduleFolder, 'node');
const kubernetesPrograms = ['kubelet', 'kube-controller-manager', 'kube-scheduler', 'kube-proxy', 'kubectl'];
const ownPrograms = ['coredns', 'pause'];
const runtimeSources = [
  'github.com/containerd/containerd/v2/cmd/containerd',
  'github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2',
  'github.com/containerd/containerd/v2/cmd/ctr',
  'github.com/containernetworking/plugins/plugins/ipam/host-local',
  'github.com/containernetworking/plugins/plugins/main/loopback',
  'github.com/containernetworking/plugins/plugins/main/ptp',
];
/** By package; they come from the machine, as Go alone does not build them. */
const tools = { runc: 'runc', nft: 'nftables', ip: 'iproute2', unshare: 'util-linux', nsenter: 'util-linux' };
const toolFolders = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'];

/** Anything this machine lacks is returned as a reason. */
export async function nodeBinaries(log: Log = toStderr): Promise<FoundNodeBinaries> {
  const lack = lackOf();
  if (lack !== undefined) return { ok: false, reason: lack };
  try {
    const go = await goRelease();
    const ldflags = kubernetesFlags(go);
    const kubernetes = await cachedBuild(
      'node',
      go,
      log,
      'first run only, about 5 minutes on 2 cores',
      kubernetesPrograms.map((name) => ({ name, source: `k8s.io/kubernetes/cmd/${name}`, ldflags })),
    );
    const sources = await Promise.all(
      ownPrograms.map((name) => readFile(join(runtimeModule, name, 'main.go'), 'utf8')),
    );
    const runtime = await cachedBuild(
      'node-runtime',
      { ...go, ...(await moduleFiles(runtimeModule)) },
      log,
      'first run only, about 4 minutes on 2 cores',
      [...runtimeSources, ...ownPrograms.map((name) => `./${name}`)].map((source) => ({
        name: source.slice(source.lastIndexOf('/') + 1),
        source,
        ldflags: '-s -w',
      })),
      sources.join(''),
      runtimeModule,
    );
    return { ok: true, kubernetes, runtime };
  } catch (error) {
    if (error instanceof Unavailable) return { ok: false, reason: error.message };
    throw error;
  }
}

function lackOf(): string | undefined {
  if (process.platform !== 'linux') return `a node runs on Linux only, and this is ${process.platform}`;
  if (process.getuid?.() !== 0) return 'a node needs root, for namespaces, mounts and containers of its own';
  if (!existsSync('/sys/fs/cgroup/memory')) return 'a node of the tests needs cgroup v1, and this machine has another';
  const missing = Object.entries(tools).filter(
    ([name]) => !toolFolders.some((folder) => existsSync(join(folder, name))),
  );
  if (missing.length === 0) return undefined;
  const packages = [...new Set(missing.map(([, name]) => name))].join(' ');
  return `a node needs ${missing.map(([name]) => name).join(' and ')}: apt-get install ${packages}`;
}
