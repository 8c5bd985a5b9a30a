/** ServiceAccounts as clusters have them: most are nobody's concern here, all carry what tools write. */
import type { ControlPlane } from '../../cluster/control-plane.ts';

const PER_NAMESPACE = 50;
const PARALLEL = 48;
/** One in this many has our annotations. */
export const ANNOTATED_EACH = 20;

/** Where the ServiceAccount of this number is. */
export function placeOf(i: number): { namespace: string; name: string } {
  return { namespace: `team-${Math.floor(i / PER_NAMESPACE)}`, name: `checkout-service-${i}` };
}

/** Creates those from `from` on, up to `to` in all. */
export async function load(controlPlane: ControlPlane, from: number, to: number): Promise<void> {
  for (const [count, create] of [
    [Math.ceil(to / PER_NAMESPACE), (i: number) => createNamespace(controlPlane, `team-${i}`)],
    [to, (i: number) => createAccount(controlPlane, i)],
  ] as const) {
    let next = count === to ? from : Math.ceil(from / PER_NAMESPACE);
    await Promise.all(
      Array.from({ length: PARALLEL }, async () => {
        while (next < count) await create(next++);
      }),
    );
  }
}

async function createNamespace(controlPlane: ControlPlane, name: string): Promise<void> {
  await controlPlane.createNamespace(name);
}

async function createAccount(controlPlane: ControlPlane, i: number): Promise<void> {
  const { namespace, name } = placeOf(i);
  const labels = {
    'app.kubernetes.io/name': 'checkout-service',
    'app.kubernetes.io/instance': name,
    'app.kubernetes.io/version': '1.27.3',
    'app.kubernetes.io/component': 'backend',
    'app.kubernetes.io/managed-by': 'Helm',
    'helm.sh/chart': 'checkout-service-4.11.0',
  };
  const own = i % ANNOTATED_EACH === 0 ? { 'podpass.dev/audiences': `https://api-${i}.example.com, vault` } : {};
  const annotations = { 'meta.helm.sh/release-name': name, 'meta.helm.sh/release-namespace': namespace, ...own };
  const account = { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name, namespace, labels, annotations } };
  const applied = { 'kubectl.kubernetes.io/last-applied-configuration': `${JSON.stringify(account)}\n` };
  await controlPlane.expect(
    'POST',
    `/api/v1/namespaces/${namespace}/serviceaccounts?fieldManager=kubectl-client-side-apply`,
    { ...account, metadata: { ...account.metadata, annotations: { ...annotations, ...applied } } },
  );
}
