import { type Installation, type KubeObject, metadataOf, names, type Service, selectorOf } from './object.ts';

/**
 * Only the two ports, from anywhere: the API server and the kubelet are no Pods, and no selector finds them in every
 * cluster. Outwards only TCP, which is the API server; it is found by its address, so not even DNS is needed. Its port
 * differs between clusters (443, 6443, 8443, 16443), so that no port is named. `dns`: names too, which is UDP.
 */
export function networkPolicy(
  { namespace }: Installation,
  service: Service,
  portName: 'https' | 'http',
  dns = false,
): KubeObject {
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: metadataOf(service, names[service], namespace),
    spec: {
      podSelector: { matchLabels: selectorOf(service) },
      policyTypes: ['Ingress', 'Egress'],
      ingress: [{ ports: [portName, 'metrics'].map((port) => ({ protocol: 'TCP', port })) }],
      egress: [{ ports: [{ protocol: 'TCP' }, ...(dns ? [{ protocol: 'UDP', port: 53 }] : [])] }],
    },
  };
}
