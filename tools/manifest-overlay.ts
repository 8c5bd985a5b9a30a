import { isDeepStrictEqual } from 'node:util';
import { presetNames } from '../src/catalog/presets.ts';
import { allObjects, installationFiles } from '../src/cli/manifests/installation.ts';
import type { Installation, KubeObject } from '../src/cli/manifests/object.ts';
import { idOf, toYaml } from '../src/cli/manifests/text.ts';

type Operation = { readonly op: 'add' | 'replace' | 'remove'; readonly path: string; readonly value?: unknown };

/** What makes of the base an installation whose certificate comes from cert-manager: computed, not written twice. */
export function certManagerOverlay(base: Installation): [path: string, text: string][] {
  const { added, patches } = changes(allObjects(base), allObjects({ ...base, tls: 'cert-manager' }));
  return [
    ['certificate.yaml', toYaml(added)],
    ['kustomization.yaml', kustomization(['../../base', 'certificate.yaml'], patches)],
  ];
}

/** The webhook alone, with every preset, in the place of the clouds' own webhooks. */
export function presetsOverlay(base: Installation): [path: string, text: string][] {
  const webhook = (installation: Installation) => Object.values(installationFiles(installation).webhook).flat();
  const { patches } = changes(webhook(base), webhook({ ...base, presets: presetNames }));
  return [['kustomization.yaml', kustomization(['../../base/namespace', '../../base/webhook'], patches)]];
}

/** A component, to be added to any overlay that has the webhook: what is new is added at the end of lists. */
export function debugContainersComponent(base: Installation): [path: string, text: string][] {
  const webhook = (installation: Installation) => Object.values(installationFiles(installation).webhook).flat();
  const { patches } = changes(webhook(base), webhook({ ...base, ephemeralContainers: true }), appended);
  const component = { apiVersion: 'kustomize.config.k8s.io/v1alpha1', kind: 'Component', patches };
  return [['kustomization.yaml', toYaml([component])]];
}

/** Components for what discovery can be switched to, each to be added to any overlay that has it. */
export function discoveryComponents(base: Installation): [path: string, text: string][] {
  const discovery = (installation: Installation) => Object.values(installationFiles(installation).discovery).flat();
  const switches = { 'key-state': { keyState: true }, publishing: { publishing: true }, dns: { dns: true } };
  return Object.entries(switches).flatMap(([name, more]): [path: string, text: string][] => {
    const { added, patches } = changes(discovery(base), discovery({ ...base, ...more }), appended);
    const component = {
      apiVersion: 'kustomize.config.k8s.io/v1alpha1',
      kind: 'Component',
      ...(added.length === 0 ? {} : { resources: [`${name}.yaml`] }),
      ...(patches.length === 0 ? {} : { patches }),
    };
    const resources: [string, string][] = added.length === 0 ? [] : [[`${name}/${name}.yaml`, toYaml(added)]];
    return [[`${name}/kustomization.yaml`, toYaml([component])], ...resources];
  });
}

function kustomization(resources: readonly string[], patches: readonly object[]): string {
  return toYaml([{ apiVersion: 'kustomize.config.k8s.io/v1beta1', kind: 'Kustomization', resources, patches }]);
}

/** From one installation to another: what is new, and Kustomize's patches for the rest. */
function changes(from: readonly KubeObject[], to: readonly KubeObject[], ofLists: typeof replaced = replaced) {
  const before = new Map(from.map((object) => [idOf(object), object]));
  const after = new Map(to.map((object) => [idOf(object), object]));
  const added = [...after].filter(([id]) => !before.has(id)).map(([, object]) => object);
  const patches = [...before].flatMap(([id, object]) => {
    const wanted = after.get(id);
    const target = { kind: object.kind, name: object.metadata.name };
    if (wanted === undefined) return [{ patch: toYaml([removal(object)]) }];
    const operations = difference(object, wanted, ofLists);
    return operations.length === 0 ? [] : [{ target, patch: toYaml([operations]) }];
  });
  return { added, patches };
}

function removal({ apiVersion, kind, metadata: { name, namespace } }: KubeObject): object {
  return { $patch: 'delete', apiVersion, kind, metadata: { name, ...(namespace === undefined ? {} : { namespace }) } };
}

/** From one list to another of another length. */
function replaced(_before: readonly unknown[], after: readonly unknown[], path: string): Operation[] {
  return [{ op: 'replace', path, value: after }];
}

/** From one list to one that begins with it. Throws an Error for any other. */
function appended(before: readonly unknown[], after: readonly unknown[], path: string): Operation[] {
  if (!isDeepStrictEqual(before, after.slice(0, before.length))) throw new Error(`${path} is not only longer`);
  return after.slice(before.length).map((value) => ({ op: 'add', path: `${path}/-`, value }));
}

/** A JSON Patch (RFC 6902) from one value to the other. */
function difference(before: unknown, after: unknown, ofLists: typeof replaced, path = ''): Operation[] {
  if (isDeepStrictEqual(before, after)) return [];
  if (Array.isArray(before) && Array.isArray(after) && before.length !== after.length)
    return ofLists(before, after, path);
  if (!isNode(before) || !isNode(after) || Array.isArray(before) !== Array.isArray(after))
    return [{ op: 'replace', path, value: after }];
  const [old, wanted] = [before as Record<string, unknown>, after as Record<string, unknown>];
  const at = (key: string) => `${path}/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`;
  const gone = Object.keys(old).filter((key) => !(key in wanted));
  return [
    ...gone.map((key): Operation => ({ op: 'remove', path: at(key) })),
    ...Object.entries(wanted).flatMap(([key, value]): Operation[] =>
      key in old ? difference(old[key], value, ofLists, at(key)) : [{ op: 'add', path: at(key), value }],
    ),
  ];
}

const isNode = (value: unknown): value is object => typeof value === 'object' && value !== null;
