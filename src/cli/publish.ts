import { cacheControl, createDocuments, type Documents } from '../../discovery/document.ts';
import { heldUntil, KeyRing } from '../../discovery/key-ring.ts';
import { createKeyStateStore, type KeyStateStore } from '../../discovery/key-state-store.ts';
import { mergeKeys } from '../../discovery/merge-keys.ts';
import { describeRefused, type PublicKey, sameMaterial } from '../../discovery/public-key.ts';
import { configMapOf } from '../../discovery/publish/config-map.ts';
import { gcpJwks } from '../../discovery/publish/gcp-jwks.ts';
import { publicFindings } from '../../discovery/publish/public-view.ts';
import { publishTo } from '../../discovery/publish/publish-to.ts';
import { refuseToShrink } from '../../discovery/publish/shrink.ts';
import { openTarget } from '../../discovery/publish/target/open.ts';
import type { CommandSettings } from '../catalog/commands.ts';
import { Failure, messageOf, quote } from '../fault.ts';
import { silentLog } from '../log.ts';
import { readCertificates } from '../runtime/certificates.ts';
import { httpGet } from '../runtime/http.ts';
import { type NamedIssuer, openIssuers } from './key-sources.ts';
import { openState } from './key-state.ts';
import { toYaml } from './manifests/text.ts';
import type { Terminal } from './terminal.ts';

type Settings = CommandSettings<'publish'>;

/** What is to be published, read once. */
interface Issue {
  readonly issuer: string;
  readonly owner: string;
  readonly keys: readonly PublicKey[];
  /** Keys that may go from where they are published: revoked, or their hold-down is over. */
  readonly mayGo: (key: PublicKey) => boolean;
  readonly documents: Documents;
}

const TARGET_TIMEOUT_MS = 60_000;

export async function runPublish(
  settings: Settings,
  terminal: Terminal,
  _argument: string | undefined,
  all: readonly Settings[],
): Promise<number> {
  const ca = settings.ca === undefined ? undefined : readCertificates(settings.ca);
  let faults = 0;
  const fault = (message: string) => {
    faults += 1;
    terminal.err(`${message}\n`);
  };
  const told = (error: unknown) => {
    if (!(error instanceof Failure)) throw error;
    fault(`podpass publish: ${error.message}`);
  };
  const { issuers, close } = openIssuers(all, terminal);
  const state = openState(settings, terminal);
  const warn = (fields: object, message: string) => {
    const { state: place, reason } = fields as { state: string; reason: string };
    fault(`podpass publish: ${place}: ${message}: ${reason}`);
  };
  const states = state && createKeyStateStore(state.place, Date.now, { ...silentLog, warn });
  try {
    for (const [index, named] of issuers.entries()) {
      const own = all[index] ?? settings;
      await read(named, own, states, fault, terminal).then((issue) => publish(issue, own), told);
    }
  } finally {
    close();
    state?.close();
  }
  return faults === 0 ? 0 : 1;

  async function publish(issue: Issue, own: Settings): Promise<void> {
    print(issue, own, fault, terminal);
    for (const to of own.to) await write(to, issue, own, terminal).catch(told);
    if (!own.verifyPublic) return;
    const get = (url: string) => httpGet(url, { ca, accept: '*/*' });
    for (const finding of await publicFindings(issue.issuer, issue.documents, get)) fault(`not public: ${finding}`);
  }
}

/** A source that fails is the end: half of the keys are worse than those that are published. */
async function read(
  { issuer: given, sources, owner }: NamedIssuer,
  { revoke, to, holdDown }: Settings,
  states: KeyStateStore | undefined,
  fault: (message: string) => void,
  terminal: Terminal,
): Promise<Issue> {
  const never = new AbortController().signal;
  const readings = [];
  for (const source of sources) readings.push({ name: source.name, reading: await source.read(never) });
  for (const refused of readings.flatMap(({ reading }) => reading.refused))
    fault(`refused: ${describeRefused(refused)}`);
  const merged = mergeKeys(readings.flatMap(({ reading }) => reading.keys));
  for (const kid of merged.conflicts) {
    terminal.err(`warning: the kid ${quote(kid)} has more than one key; the last one counts\n`);
  }
  const issuer = typeof given === 'string' ? given : await given(never);
  const holdDownMs = holdDown * 1000;
  const names = sources.map(({ name }) => name);
  const ring = new KeyRing({ sources: names, holdDownMs, revoked: revoke, clock: Date.now });
  const state = states?.of(issuer);
  ring.restore((await state?.load()) ?? []);
  for (const { name, reading } of readings) ring.succeeded(name, reading);
  const keys = ring.keys();
  if (keys.length === 0) throw new Failure('every key is revoked; an empty set is never published');
  const records = ring.records();
  await state?.save(records);
  const mayGo = (key: PublicKey) =>
    revoke.includes(key.kid) ||
    records.some((record) => {
      const until = heldUntil(record, holdDownMs);
      return until !== undefined && until <= Date.now() && record.key.kid === key.kid && sameMaterial(record.key, key);
    });
  const whose = to.length === 0 ? issuer : await owner(issuer, never);
  return { issuer, owner: whose, keys, mayGo, documents: createDocuments(issuer, keys) };
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
  const { documents, keys, mayGo } = issue;
  const target = await openTarget(to, { s3Endpoint: settings.s3Endpoint, env: terminal.env });
  const signal = AbortSignal.timeout(TARGET_TIMEOUT_MS);
  const request = {
    ...issue,
    cacheControl: cacheControl(settings.cacheMaxAge),
    decide(published: Parameters<typeof refuseToShrink>[0]) {
      if (!settings.allowShrink) refuseToShrink(published, keys, mayGo, target.name);
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
