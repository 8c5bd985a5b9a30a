import { discoveredIssuer } from '../../discovery/discovered-issuer.ts';
import { cacheControl, createDocuments, type Documents } from '../../discovery/document.ts';
import { createClusterSource } from '../../discovery/key-source/cluster.ts';
import { createFilesSource } from '../../discovery/key-source/files.ts';
import { mergeKeys } from '../../discovery/merge-keys.ts';
import { describeRefused, type PublicKey } from '../../discovery/public-key.ts';
import { clusterOwner } from '../../discovery/publish/cluster-owner.ts';
import { configMapOf } from '../../discovery/publish/config-map.ts';
import { gcpJwks } from '../../discovery/publish/gcp-jwks.ts';
import { publicFindings } from '../../discovery/publish/public-view.ts';
import { publishTo } from '../../discovery/publish/publish-to.ts';
import { refuseToShrink } from '../../discovery/publish/shrink.ts';
import { openTarget } from '../../discovery/publish/target/open.ts';
import type { CommandSettings } from '../catalog/commands.ts';
import { keySourcesOf } from '../checks.ts';
import { Failure, messageOf, quote } from '../fault.ts';
import { readCertificates } from '../runtime/certificates.ts';
import { httpGet } from '../runtime/http.ts';
import type { KubeClient } from '../runtime/kube-client.ts';
import { toYaml } from './manifests/text.ts';
import type { Terminal } from './terminal.ts';

type Settings = CommandSettings<'publish'>;

/** What is to be published, read once. */
interface Issue {
  readonly issuer: string;
  readonly owner: string;
  readonly keys: readonly PublicKey[];
  readonly documents: Documents;
}

const TARGET_TIMEOUT_MS = 60_000;

export async function runPublish(settings: Settings, terminal: Terminal): Promise<number> {
  const ca = settings.ca === undefined ? undefined : readCertificates(settings.ca);
  const client = keySourcesOf(settings).includes('cluster') ? await openCluster(settings, terminal) : undefined;
  let faults = 0;
  const fault = (message: string) => {
    faults += 1;
    terminal.err(`${message}\n`);
  };
  try {
    const issue = await read(settings, client, fault, terminal);
    print(issue, settings, fault, terminal);
    for (const to of settings.to) {
      await write(to, issue, settings, terminal).catch((error) => {
        if (!(error instanceof Failure)) throw error;
        fault(`podpass publish: ${error.message}`);
      });
    }
    if (settings.verifyPublic) {
      const get = (url: string) => httpGet(url, { ca, accept: '*/*' });
      for (const finding of await publicFindings(issue.issuer, issue.documents, get)) fault(`not public: ${finding}`);
    }
  } finally {
    client?.close();
  }
  return faults === 0 ? 0 : 1;
}

async function openCluster({ kubeconfig }: Settings, { env }: Terminal): Promise<KubeClient> {
  const { createKubeClient, loadKubeConfig } = await import('../runtime/kube-client.ts');
  return createKubeClient(loadKubeConfig({ kubeconfig, env }));
}

/** A source that fails is the end: half of the keys are worse than those that are published. */
async function read(
  settings: Settings,
  client: KubeClient | undefined,
  fault: (message: string) => void,
  terminal: Terminal,
): Promise<Issue> {
  const never = new AbortController().signal;
  const { keys: paths, allowPrivateKeys, allowHttpIssuer } = settings;
  const readings = [];
  for (const kind of keySourcesOf(settings)) {
    const source =
      kind === 'cluster' ? createClusterSource(known(client).get) : createFilesSource({ paths, allowPrivateKeys });
    readings.push(await source.read(never));
  }
  for (const refused of readings.flatMap((reading) => reading.refused)) fault(`refused: ${describeRefused(refused)}`);
  const merged = mergeKeys(readings.flatMap((reading) => reading.keys));
  for (const kid of merged.conflicts) {
    terminal.err(`warning: the kid ${quote(kid)} has more than one key; the last one counts\n`);
  }
  const keys = [...merged.keys.values()].filter(({ kid }) => !settings.revoke.includes(kid));
  if (keys.length === 0) throw new Failure('every key is revoked; an empty set is never published');
  const issuer = settings.issuer ?? (await discoveredIssuer(known(client).get, allowHttpIssuer));
  const owner = client !== undefined && settings.to.length > 0 ? await clusterOwner(client.get) : issuer;
  return { issuer, owner, keys, documents: createDocuments(issuer, keys) };
}

function known(client: KubeClient | undefined): KubeClient {
  if (client === undefined) throw new TypeError('no cluster is configured');
  return client;
}

function print(
  { documents, keys }: Issue,
  { output, namespace }: Settings,
  fault: (message: string) => void,
  terminal: Terminal,
): void {
  if (output === 'configmap') terminal.out(toYaml([configMapOf(documents, namespace)]));
  if (output !== 'gcp-jwks') return;
  const { text, unusable } = gcpJwks(keys);
  for (const { kid, alg } of unusable) fault(`left out: the key ${quote(kid)} is for ${alg}; accepted: RS256, ES256`);
  if (unusable.length < keys.length) terminal.out(text);
}

async function write(to: string, issue: Issue, settings: Settings, terminal: Terminal): Promise<void> {
  const { documents, keys } = issue;
  const target = await openTarget(to, { s3Endpoint: settings.s3Endpoint, env: terminal.env });
  const revoked = new Set(settings.revoke);
  const signal = AbortSignal.timeout(TARGET_TIMEOUT_MS);
  const request = {
    ...issue,
    cacheControl: cacheControl(settings.cacheMaxAge),
    decide(published: Parameters<typeof refuseToShrink>[0]) {
      if (!settings.allowShrink) refuseToShrink(published, keys, revoked, target.name);
      return documents;
    },
  };
  const written = await publishTo(target, request, signal).catch((error) => {
    if (!signal.aborted) throw error;
    throw new Failure(`${target.name}: not done within ${TARGET_TIMEOUT_MS / 1000} s: ${messageOf(error)}`);
  });
  const said = written.length === 0 ? 'nothing to do' : `wrote ${written.join(', ')}`;
  terminal.err(`${target.name}: ${said}\n`);
}
