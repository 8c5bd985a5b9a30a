/** Where the scheduler puts the halves of the webhook, with nodes that nobody runs: no Pod of these ever starts. */
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { installationFiles } from '../../src/cli/manifests/installation.ts';
import type { KubeObject } from '../../src/cli/manifests/object.ts';
import { until } from '../cluster/podpass.ts';
import type { Installed } from './installed.ts';

const NAMESPACE = 'placed';
const SET = 'test/nodes';
const ROUNDS = 2;

interface Placed {
  metadata: { name: string; labels: Record<string, string> };
  spec: { nodeName?: string; nodeSelector?: Record<string, string> };
}

export function describePlacement(installed: () => Installed): void {
  describe('with several nodes', () => {
    const deployments = Object.values(
      installationFiles({ namespace: NAMESPACE, image: 'none:1', tls: 'managed' }).webhook,
    )
      .flat()
      .filter(({ kind }) => kind === 'Deployment');
    const collection = `/apis/apps/v1/namespaces/${NAMESPACE}/deployments`;

    beforeAll(async () => {
      const { cluster } = installed().node;
      await cluster.createNamespace(NAMESPACE);
      await cluster.createServiceAccount(NAMESPACE, 'podpass-webhook');
    });
    afterEach(async () => {
      const { node } = installed();
      await node.kubectlOk(['--namespace', NAMESPACE, 'delete', 'deployment', '--all', '--wait=false']);
      await node.kubectlOk(['--namespace', NAMESPACE, 'delete', 'pod', '--all', '--grace-period=0', '--force']);
      await node.kubectlOk(['delete', 'node', '--selector', SET]);
    });

    const podsOf = async (set: string) => {
      const path = `/api/v1/namespaces/${NAMESPACE}/pods`;
      const { items } = await installed().node.cluster.expect<{ items: Placed[] }>('GET', path);
      return items.filter(({ spec }) => spec.nodeSelector?.[SET] === set);
    };

    /** A node that the scheduler may use: the API server makes it with a taint, which a controller takes away. */
    const makeNode = async (set: string, index: number) => {
      const name = `${set}-${index}`;
      const room = { cpu: '4', memory: '8Gi', pods: '110' };
      const now = new Date().toISOString();
      const { cluster } = installed().node;
      await cluster.expect('POST', '/api/v1/nodes', {
        metadata: {
          name,
          labels: {
            'kubernetes.io/hostname': name,
            'kubernetes.io/os': 'linux',
            'topology.kubernetes.io/zone': 'one',
            [SET]: set,
          },
        },
        status: {
          capacity: room,
          allocatable: room,
          conditions: [{ type: 'Ready', status: 'True', lastHeartbeatTime: now, lastTransitionTime: now }],
        },
      });
      const taints = async () =>
        (await cluster.expect<{ spec: { taints?: object[] } }>('GET', `/api/v1/nodes/${name}`)).spec.taints ?? [];
      await until(`the node ${name} without taints`, async () => (await taints()).length === 0);
    };

    /** The nodes of each half, after as many Pods have one. */
    async function nodesOf(set: string, count: number): Promise<{ a: Set<string>; b: Set<string> }> {
      let pods: Placed[] = [];
      await until(`${count} Pods on nodes`, async () => {
        pods = await podsOf(set);
        return pods.filter(({ spec }) => spec.nodeName !== undefined).length === count;
      });
      const of = (half: string) =>
        new Set(
          pods.flatMap(({ metadata, spec }) =>
            metadata.labels['podpass.dev/half'] === half ? (spec.nodeName ?? []) : [],
          ),
        );
      return { a: of('a'), b: of('b') };
    }

    const inSet = (deployment: KubeObject, set: string, round: number) => {
      const { template, ...spec } = deployment.spec as { template: { metadata: object; spec: object } };
      const { metadata, spec: pod } = template;
      const annotated = { ...metadata, annotations: { 'podpass.dev/inject': 'false', 'test/round': `${round}` } };
      return {
        ...deployment,
        spec: { ...spec, template: { metadata: annotated, spec: { ...pod, nodeSelector: { [SET]: set } } } },
      };
    };
    const apply = async (set: string, round: number) => {
      for (const deployment of deployments) {
        const path = `${collection}/${deployment.metadata.name}?fieldManager=test&force=true`;
        const object = inSet(deployment, set, round);
        await installed().node.cluster.expect('PATCH', path, object, { contentType: 'application/apply-patch+yaml' });
      }
    };

    it.each([2, 3].flatMap((nodes) => Array.from({ length: ROUNDS }, (_, round) => [nodes, round + 1] as const)))(
      'of %i the halves have none in common, also during a rollout (%i)',
      async (nodes, round) => {
        const set = `of-${nodes}-${round}`;
        for (let index = 1; index <= nodes; index++) await makeNode(set, index);
        await apply(set, 1);
        const before = await nodesOf(set, 2);
        expect([before.a.size, before.b.size, disjoint(before)]).toEqual([1, 1, true]);
        // The old Pods stay, as no new one becomes ready: this is the moment in which they could come together.
        await apply(set, 2);
        expect(disjoint(await nodesOf(set, 4))).toBe(true);
      },
    );

    it('of one both halves are there', async () => {
      await makeNode('of-1', 1);
      await apply('of-1', 1);
      const { a, b } = await nodesOf('of-1', 2);
      expect([[...a], [...b]]).toEqual([['of-1-1'], ['of-1-1']]);
    });
  });
}

function disjoint({ a, b }: { a: Set<string>; b: Set<string> }): boolean {
  return [...a].every((node) => !b.has(node));
}
