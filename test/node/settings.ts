/** The configuration of a node's programs. Addresses are those of its own network, which leads nowhere. */

export const network = {
  node: '10.88.0.2',
  pods: '10.244.0.0/16',
  /** The Services `kubernetes` and `kube-dns`. */
  api: '10.96.0.1',
  dns: '10.96.0.10',
  /** ptp routes, so nothing depends on how a bridge treats packets. */
  cni: {
    cniVersion: '1.0.0',
    name: 'test',
    plugins: [
      {
        type: 'ptp',
        ipMasq: false,
        ipam: {
          type: 'host-local',
          ranges: [[{ subnet: '10.244.0.0/24' }]],
          routes: [{ dst: '0.0.0.0/0' }],
        },
      },
    ],
  },
} as const;

export const SANDBOX = 'localhost/sandbox:1';

export function containerdConfig(cniConfigs: string, cniPlugins: string): string {
  const runtime = "[plugins.'io.containerd.cri.v1.runtime'";
  return `version = 3
root = '/var/lib/containerd'
state = '/run/containerd'
[grpc]
address = '/run/containerd/containerd.sock'
[plugins.'io.containerd.cri.v1.images']
snapshotter = 'overlayfs'
[plugins.'io.containerd.cri.v1.images'.pinned_images]
sandbox = '${SANDBOX}'
${runtime}]
# It may not be lowered without a right that containers of this machine may lack.
restrict_oom_score_adj = true
${runtime}.cni]
bin_dirs = ['${cniPlugins}']
conf_dir = '${cniConfigs}'
${runtime}.containerd.runtimes.runc]
runtime_type = 'io.containerd.runc.v2'
${runtime}.containerd.runtimes.runc.options]
SystemdCgroup = false
`;
}

export function kubeletConfig(resolvConf: string): object {
  return {
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    // Only the API server and the tests can reach it.
    authentication: { anonymous: { enabled: true }, webhook: { enabled: false } },
    authorization: { mode: 'AlwaysAllow' },
    cgroupDriver: 'cgroupfs',
    failCgroupV1: false,
    failSwapOn: false,
    clusterDNS: [network.dns],
    clusterDomain: 'cluster.local',
    resolvConf,
    containerRuntimeEndpoint: 'unix:///run/containerd/containerd.sock',
    // A full disk of this machine is not the tests' business.
    evictionHard: {},
    imageGCHighThresholdPercent: 100,
    oomScoreAdj: 0,
    syncFrequency: '10s',
  };
}

export function kubeProxyConfig(kubeconfig: string, hostnameOverride: string): object {
  return {
    apiVersion: 'kubeproxy.config.k8s.io/v1alpha1',
    kind: 'KubeProxyConfiguration',
    mode: 'nftables',
    clusterCIDR: network.pods,
    hostnameOverride,
    clientConnection: { kubeconfig },
    oomScoreAdj: 0,
    // These limits are settings of the whole machine.
    conntrack: { maxPerCore: 0, min: 0, tcpEstablishedTimeout: '0s', tcpCloseWaitTimeout: '0s' },
    metricsBindAddress: '127.0.0.1:10249',
    healthzBindAddress: '127.0.0.1:10256',
  };
}

export function corefile(kubeconfig: string): string {
  return `.:53 {
    bind ${network.node}
    errors
    kubernetes cluster.local in-addr.arpa {
        kubeconfig ${kubeconfig}
        ttl 5
    }
    cache 5
}
`;
}

const name = 'kube-dns';
const namespace = 'kube-system';
const rbac = 'rbac.authorization.k8s.io';
const reader = { apiGroup: rbac, kind: 'ClusterRole', name: 'system:coredns' };

/** DNS is a program of the node, behind the usual Service: paths of collections, and what goes there. */
export const DNS_OBJECTS: readonly (readonly [string, object])[] = [
  [
    `/api/v1/namespaces/${namespace}/services`,
    {
      metadata: { name, namespace },
      spec: {
        clusterIP: network.dns,
        ports: [
          { name: 'dns', port: 53, protocol: 'UDP' },
          { name: 'dns-tcp', port: 53, protocol: 'TCP' },
        ],
      },
    },
  ],
  [
    `/apis/discovery.k8s.io/v1/namespaces/${namespace}/endpointslices`,
    {
      metadata: { name: `${name}-node`, namespace, labels: { 'kubernetes.io/service-name': name } },
      addressType: 'IPv4',
      endpoints: [{ addresses: [network.node], conditions: { ready: true } }],
      ports: [
        { name: 'dns', port: 53, protocol: 'UDP' },
        { name: 'dns-tcp', port: 53, protocol: 'TCP' },
      ],
    },
  ],
  [
    `/apis/${rbac}/v1/clusterroles`,
    {
      metadata: { name: reader.name },
      rules: [
        { apiGroups: [''], resources: ['services', 'pods', 'namespaces'], verbs: ['list', 'watch'] },
        { apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'], verbs: ['list', 'watch'] },
      ],
    },
  ],
  [
    `/apis/${rbac}/v1/clusterrolebindings`,
    {
      metadata: { name: reader.name },
      roleRef: reader,
      subjects: [{ apiGroup: rbac, kind: 'User', name: 'system:coredns' }],
    },
  ],
];
