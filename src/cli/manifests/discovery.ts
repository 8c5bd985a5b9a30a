import { argumentsOf } from './arguments.ts';
import { workload } from './deployment.ts';
import { networkPolicy } from './network-policy.ts';
import { type Installation, type KubeObject, names } from './object.ts';
import { discoveryRights } from './rights.ts';
import { keyStateObjects, publishingRights } from './switched.ts';

export function discoveryFiles(installation: Installation): Readonly<Record<string, readonly KubeObject[]>> {
  return {
    'rights.yaml': discoveryRights(installation),
    'deployment.yaml': workload(installation, {
      service: 'discovery',
      portName: 'http',
      args: argumentsOf('discovery', {
        issuer: installation.issuer,
        keySource: 'cluster',
        state: installation.keyState ? `configmap/${names.keyState}` : undefined,
      }),
      cpu: '20m',
      memory: '128Mi',
    }),
    'network-policy.yaml': [networkPolicy(installation, 'discovery', 'http', installation.dns)],
    ...(installation.keyState ? { 'key-state.yaml': keyStateObjects(installation) } : {}),
    ...(installation.publishing ? { 'publishing.yaml': publishingRights(installation) } : {}),
  };
}
