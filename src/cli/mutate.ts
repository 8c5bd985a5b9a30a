import { readFileSync } from 'node:fs';
import type { MutationSettings } from '../../webhook/asked.ts';
import { isLeftAlone, mutatePod } from '../../webhook/mutate-pod.ts';
import { findClusterFacts } from '../../webhook/oauth2-proxy/cluster-facts.ts';
import { proxySettings } from '../../webhook/oauth2-proxy/settings.ts';
import { asksForProxy, proxyWithoutAccount } from '../../webhook/oauth2-proxy/sidecar.ts';
import { type Pod, readPod, serviceAccountNameOf } from '../../webhook/pod.ts';
import type { Account } from '../../webhook/presets/preset.ts';
import { presetsOf } from '../../webhook/presets/registry.ts';
import { findReservedAudiences } from '../../webhook/reserved-audiences.ts';
import type { CommandSettings } from '../catalog/commands.ts';
import { describe, Failure, messageOf, type Problem, whyUnreadable } from '../fault.ts';
import type { AddOperation } from '../json-patch.ts';
import { silentLog } from '../log.ts';
import { applyAndDiff } from './diff.ts';
import { readIdentities } from './identities.ts';
import { type ManifestFile, type ManifestObject, readManifests } from './manifest-file.ts';
import type { Terminal } from './terminal.ts';

/** Where a kind keeps its Pod, by API group and kind; every other kind stays as it is. */
const TEMPLATES: Readonly<Record<string, readonly string[]>> = {
  '/Pod': [],
  'apps/Deployment': ['spec', 'template'],
  'apps/StatefulSet': ['spec', 'template'],
  'apps/DaemonSet': ['spec', 'template'],
  'apps/ReplicaSet': ['spec', 'template'],
  'batch/Job': ['spec', 'template'],
  'batch/CronJob': ['spec', 'jobTemplate', 'spec', 'template'],
};

/** Finds a ServiceAccount; `undefined` where there is none. */
type FindServiceAccount = (namespace: string, name: string) => Promise<Account | undefined>;

interface Result {
  readonly object: ManifestObject;
  readonly patch: readonly AddOperation[];
}

export async function runMutate(settings: CommandSettings<'mutate'>, terminal: Terminal): Promise<number> {
  const file = readManifests(
    await readText(settings.file, terminal),
    settings.file === '-' ? 'standard input' : settings.file,
  );
  const presets = presetsOf(settings, await readIdentities(settings.awsContainerCredentialsConfig));
  const cluster =
    settings.kubeconfig === undefined ? undefined : await connect(settings, settings.kubeconfig, terminal);
  try {
    const reservedAudiences = new Set([...settings.reservedAudiences, ...(cluster?.reservedAudiences ?? [])]);
    const oauth2Proxy = proxySettings(settings, cluster?.facts);
    const find = serviceAccountsOf(file, cluster?.find);
    const results: Result[] = [];
    const problems: Problem[] = [];
    for (const object of file.objects) {
      const result = await mutate(object, find, { ...settings, reservedAudiences, presets, oauth2Proxy }, terminal);
      problems.push(...result.problems);
      results.push(result);
    }
    // Nothing is printed then, so that a pipe to kubectl does not apply one half.
    if (problems.length > 0) {
      for (const problem of problems) terminal.err(`${describe(problem)}\n`);
      return 1;
    }
    terminal.out(print(file, results, settings.output));
    return 0;
  } finally {
    cluster?.close();
  }
}

async function readText(path: string, terminal: Terminal): Promise<string> {
  try {
    return path === '-' ? (await terminal.readInput()).toString('utf8') : readFileSync(path, 'utf8');
  } catch (cause) {
    throw new Failure(`${path} ${whyUnreadable(cause)}`, { cause });
  }
}

async function mutate(
  object: ManifestObject,
  find: FindServiceAccount,
  settings: MutationSettings,
  terminal: Terminal,
) {
  const { kind, group, namespace, name } = object;
  const nothing: Result & { readonly problems: readonly Problem[] } = { object, patch: [], problems: [] };
  const template = TEMPLATES[`${group}/${kind}`];
  if (template === undefined) return nothing;
  const label = `${kind} ${namespace}/${name}`;
  const pod = podIn(object, template, label);
  const accountName = serviceAccountNameOf(pod.spec);
  const serviceAccount = await find(namespace, accountName);
  if (serviceAccount === undefined) {
    if (
      !isLeftAlone(pod, settings.annotationPrefix) &&
      asksForProxy(pod.metadata?.annotations ?? {}, settings.annotationPrefix)
    )
      return { ...nothing, problems: [proxyWithoutAccount(label, `${namespace}/${accountName}`)] };
    terminal.err(
      `warning: ${label}: ServiceAccount ${namespace}/${accountName} was not found; the webhook would add nothing\n`,
    );
    return nothing;
  }
  const mutation = mutatePod(pod, label, serviceAccount, settings);
  for (const warning of mutation.warnings) terminal.err(`warning: ${warning}\n`);
  const base = template.map((token) => `/${token}`).join('');
  const patch = mutation.patch.map((operation) => ({ ...operation, path: `${base}${operation.path}` }));
  return { object, patch, problems: mutation.problems };
}

function podIn(object: ManifestObject, template: readonly string[], label: string): Pod {
  let inner: unknown = object.value;
  for (const key of template)
    inner = typeof inner === 'object' && inner !== null ? (inner as Record<string, unknown>)[key] : undefined;
  const reading = readPod(inner);
  if ('wrong' in reading)
    throw new Failure(
      `${label} cannot be read: ${reading.wrong}${template.length > 0 ? ` (in ${template.join('.')})` : ''}`,
    );
  return reading.pod;
}

/** ServiceAccounts of the same file count first, then the cluster's; without a cluster the others have no annotations. */
function serviceAccountsOf(file: ManifestFile, live: FindServiceAccount | undefined): FindServiceAccount {
  const inFile = new Map<string, Account>();
  for (const { kind, group, namespace, name, value } of file.objects) {
    if (kind !== 'ServiceAccount' || group !== '') continue;
    const cannotRead = (what: string) => new Failure(`ServiceAccount ${namespace}/${name} cannot be read: ${what}`);
    const written = (value.metadata as { annotations?: unknown } | null | undefined)?.annotations ?? {};
    if (typeof written !== 'object' || Array.isArray(written))
      throw cannotRead('metadata.annotations must be an object');
    const annotations: Record<string, string> = {};
    for (const [key, text] of Object.entries(written)) {
      if (typeof text !== 'string') throw cannotRead(`metadata.annotations[${JSON.stringify(key)}] must be a string`);
      annotations[key] = text;
    }
    inFile.set(`${namespace}/${name}`, { ...accountOf(namespace, name), annotations });
  }
  return async (namespace, name) => {
    const found = inFile.get(`${namespace}/${name}`);
    if (found !== undefined) return found;
    return live === undefined ? { ...accountOf(namespace, name), annotations: {} } : live(namespace, name);
  };
}

function accountOf(namespace: string, name: string): Omit<Account, 'annotations'> {
  return { namespace, name, object: `ServiceAccount ${namespace}/${name}` };
}

/** The cluster of `--kubeconfig`; loaded only then, as the Kubernetes client is large. */
async function connect(settings: CommandSettings<'mutate'>, kubeconfig: string, terminal: Terminal) {
  const { createKubeClient, loadKubeConfig } = await import('../runtime/kube-client.ts');
  const { readServiceAccount } = await import('../../webhook/service-accounts.ts');
  const client = createKubeClient(loadKubeConfig({ kubeconfig, env: terminal.env }));
  const timeoutMs = settings.serviceAccountLookupTimeout * 1000;
  const find: FindServiceAccount = async (namespace, name) => {
    const account = accountOf(namespace, name);
    try {
      const found = await readServiceAccount(client, namespace, name, timeoutMs);
      return found && { ...account, annotations: found.annotations };
    } catch (cause) {
      throw new Failure(`${account.object} cannot be read: ${messageOf(cause)}`, { cause });
    }
  };
  const { found, complete } = await findReservedAudiences(client, silentLog);
  if (!complete) terminal.err("warning: the API server's own audiences could not all be found\n");
  const facts = await findClusterFacts(client.get, silentLog);
  return { find, reservedAudiences: found, facts, close: () => client.close() };
}

// ---- output ----------------------------------------------------------------------------------------------------------

function print(file: ManifestFile, results: readonly Result[], output: CommandSettings<'mutate'>['output']): string {
  if (output === 'patch') return json(patches(results));
  if (output === 'diff') return results.map(({ object, patch }) => applyAndDiff(object, patch, 3)).join('');
  for (const { object, patch } of results) object.add(patch);
  if (output === 'yaml') return file.yaml();
  const objects = file.objects.map((object) => object.toJSON());
  return json(objects.length === 1 ? objects[0] : { apiVersion: 'v1', kind: 'List', items: objects });
}

/** JSON with whole numbers of any size, for which JSON.stringify has no way. */
function json(value: unknown): string {
  const marked = JSON.stringify(value, (_, item) => (typeof item === 'bigint' ? `\u0001${item}\u0001` : item), 2);
  return `${marked.replace(/"\\u0001(-?\d+)\\u0001"/g, '$1')}\n`;
}

function patches(results: readonly Result[]): unknown {
  const [only] = results;
  if (only !== undefined && results.length === 1) return only.patch;
  return results.map(({ object: { kind, namespace, name }, patch }) => ({ kind, namespace, name, patch }));
}
