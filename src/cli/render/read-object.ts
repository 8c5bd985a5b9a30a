import { type MutationSettings, readAsked } from '../../../webhook/asked.ts';
import { type Injection, pathInContainer } from '../../../webhook/injection.ts';
import { isLeftAlone } from '../../../webhook/mutate-pod.ts';
import { isWindows, type Pod, readPod, serviceAccountNameOf } from '../../../webhook/pod.ts';
import type { Account } from '../../../webhook/presets/preset.ts';
import { readServiceAccount } from '../../../webhook/service-accounts.ts';
import { AZURE_PREFIX, type PresetName, presetNames } from '../../catalog/presets.ts';
import { listItems } from '../../codec.ts';
import { describe, Failure, messageOf, type Problem } from '../../fault.ts';
import type { KubeClient } from '../../runtime/kube-client.ts';
import type { Caller, TokenFact } from './facts.ts';

/** A token that annotations ask for, and whose annotations they are where they are not podpass' own. */
export interface AskedToken extends TokenFact {
  readonly preset?: PresetName;
}

/** What the webhook would do to an object, as far as a consumer has to know. */
export interface ObjectReading {
  readonly caller: Caller;
  readonly tokens: readonly AskedToken[];
  readonly warnings: readonly string[];
}

type Client = Pick<KubeClient, 'get'>;

const MAX_BYTES = 16 * 1024 * 1024;

/** Reads a Pod of the cluster as the webhook does. Throws a Failure where it cannot be read, or gets no token. */
export async function readPodObject(
  client: Client,
  { namespace, name }: Caller,
  settings: MutationSettings,
  timeoutMs: number,
): Promise<ObjectReading> {
  const object = `Pod ${namespace}/${name}`;
  const path = `/api/v1/namespaces/${namespace}/pods/${name}`;
  const { status, body } = await client.get(path, { timeoutMs, maxBytes: MAX_BYTES }).catch((cause) => {
    throw new Failure(`${object} cannot be read: ${messageOf(cause)}`, { cause });
  });
  if (status !== 200) throw new Failure(`${object} cannot be read: HTTP ${status}`);
  const reading = readPod(parseJson(body, object));
  if ('wrong' in reading) throw new Failure(`${object} cannot be read: ${reading.wrong}`);
  const { pod } = reading;
  const account = await accountOf(client, { namespace, name: serviceAccountNameOf(pod.spec) }, timeoutMs);
  return read(pod, object, account, settings);
}

/** Reads a ServiceAccount of the cluster, as for a Pod of its own that says nothing itself. Throws as for a Pod. */
export async function readAccountObject(
  client: Client,
  caller: Caller,
  settings: MutationSettings,
  timeoutMs: number,
): Promise<ObjectReading> {
  const account = await accountOf(client, caller, timeoutMs);
  return read(podOf(account, settings.annotationPrefix), account.object, account, settings);
}

/** A Pod with every container that the ServiceAccount names, so that each of its tokens is seen. */
function podOf(account: Account, prefix: string): Pod {
  const named = Object.entries(account.annotations)
    .filter(([key]) => key === `${prefix}/containers` || key.startsWith(`${prefix}/containers.`))
    .flatMap(([, names]) => listItems(names));
  const containers = [...new Set(['any', ...named])].map((name) => ({ name }));
  return {
    metadata: { namespace: account.namespace, labels: { [`${AZURE_PREFIX}/use`]: 'true' } },
    spec: { serviceAccountName: account.name, containers },
  };
}

async function accountOf(client: Client, { namespace, name }: Caller, timeoutMs: number): Promise<Account> {
  const object = `ServiceAccount ${namespace}/${name}`;
  const found = await readServiceAccount(client, namespace, name, timeoutMs).catch((cause) => {
    throw new Failure(`${object} cannot be read: ${messageOf(cause)}`, { cause });
  });
  if (found === undefined) throw new Failure(`${object} was not found`);
  return { ...found, object };
}

function read(pod: Pod, object: string, account: Account, settings: MutationSettings): ObjectReading {
  const asked = isLeftAlone(pod, settings.annotationPrefix) ? undefined : readAsked(pod, object, account, settings);
  const problems: readonly Problem[] = asked?.problems ?? [];
  if (problems.length > 0) throw new Failure(problems.map(describe).join('\n'));
  const windows = isWindows(pod.spec);
  const own = asked?.own.injection;
  const tokens = [
    ...(own === undefined ? [] : tokensOf(own, windows)),
    ...(asked?.presets ?? []).flatMap(({ name, injection }) => {
      const preset = presetNames.find((each) => each === name);
      return tokensOf(injection, windows).map((token) => (preset === undefined ? token : { ...token, preset }));
    }),
  ];
  if (tokens.length === 0) {
    const where = object === account.object ? object : `${object} and ${account.object}`;
    throw new Failure(`${object} gets no token: no annotation of ${where} asks for one that a container sees`);
  }
  return { caller: { namespace: account.namespace, name: account.name }, tokens, warnings: asked?.warnings ?? [] };
}

/** Each token of an injection once, with the path of its file. */
function tokensOf({ volumes, containers }: Injection, windows: boolean): TokenFact[] {
  const mounts = containers.flatMap((container) => container.mounts);
  const tokens = volumes.flatMap(({ name, projected }) => {
    const mount = mounts.find((each) => each.name === name);
    return (projected?.sources ?? []).flatMap(({ serviceAccountToken: { audience, expirationSeconds, path } }) => {
      if (mount === undefined) return [];
      // Here nothing is expanded, as it is in a container's variables.
      const file = pathInContainer(mount.mountPath, path, windows).replaceAll('$$', '$');
      return [{ audience, file, lifetime: expirationSeconds }];
    });
  });
  return [...new Map(tokens.map((token) => [token.file, token])).values()];
}

function parseJson(body: Buffer, object: string): unknown {
  try {
    return JSON.parse(body.toString('utf8'));
  } catch {
    throw new Failure(`${object} cannot be read: the answer is not JSON`);
  }
}
