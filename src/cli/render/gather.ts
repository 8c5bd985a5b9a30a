import { AZURE_TOKEN_FILE } from '../../../webhook/presets/azure.ts';
import { GCP_TOKEN_FILE } from '../../../webhook/presets/gcp.ts';
import type { CommandSettings } from '../../catalog/commands.ts';
import {
  type ConsumerName,
  type ConsumerRow,
  consumerRows,
  type FormatRow,
  type Needed,
  optionKeys,
  standIns,
} from '../../catalog/consumers.ts';
import { flagOf, settingRows } from '../../catalog/settings.ts';
import { fileNameOf } from '../../codec.ts';
import type { Problem } from '../../fault.ts';
import { readCertificates } from '../../runtime/certificates.ts';
import type { Terminal } from '../terminal.ts';
import { type Facts, type KeyFacts, servedJwksUrl, subjectOf } from './facts.ts';
import type { AskedToken, ObjectReading } from './read-object.ts';

type Settings = CommandSettings<'render'>;

/** A person waits, and no Pod. */
const LOOKUP_TIMEOUT_MS = 10_000;

/** What to print, as it was asked for. */
export interface Asked {
  readonly consumer: ConsumerName;
  readonly format: string;
}

/** The facts for an output, or everything that is missing or out of place. Asks a cluster only where one is named. */
export async function gather(
  { consumer, format }: Asked,
  settings: Settings,
  terminal: Terminal,
): Promise<{ readonly facts: Facts } | { readonly problems: readonly Problem[] }> {
  const consumerRow: ConsumerRow = consumerRows[consumer];
  const row = consumerRow.formats[format] as FormatRow;
  const object = `podpass render ${consumer}`;
  const problems = [...misplaced(consumer, settings)];
  const assumed = notGiven(row, settings);
  if (settings.fromPod !== undefined && settings.fromServiceAccount !== undefined) {
    const value = subjectOf(settings.fromServiceAccount);
    problems.push({
      object,
      key: '--from-service-account',
      value,
      wrong: 'stands beside --from-pod',
      accepted: 'one of the two',
    });
  }
  const missing = (key: string, accepted: string) => problems.push({ object, key, wrong: 'is missing', accepted });

  const reading = await readObject(settings, consumerRow, terminal);
  for (const warning of reading?.warnings ?? []) terminal.err(`warning: ${warning}\n`);
  const live = await liveFacts(settings, reading !== undefined, terminal);

  const issuer = settings.issuer ?? live?.issuer;
  if (issuer === undefined) missing('--issuer', 'the "iss" of the tokens, or a cluster that tells it (--kubeconfig)');
  const callers = unique([...settings.serviceAccount, ...(reading === undefined ? [] : [reading.caller])], subjectOf);
  if (row.callers !== false && callers.length === 0)
    missing('--service-account', 'each caller by its namespace and name; without any, every ServiceAccount could call');
  const tokens = tokensOf(consumerRow, settings, reading, object, problems);
  if (row.audiences !== 'none' && tokens.length === 0 && !problems.some(({ key }) => key === '--audience'))
    missing('--audience', 'the audience that the tokens must have');
  if (row.audiences === 'one' && tokens.length > 1) {
    const value = tokens.map(({ audience }) => audience).join(', ');
    problems.push({ object, key: '--audience', value, wrong: 'are several', accepted: 'one of them' });
  }
  if (settings.inlineKeys && row.inline !== true) {
    const accepted = 'without it: nothing here can hold keys';
    problems.push({ object, key: '--inline-keys', wrong: `is not for ${consumer} -o ${format}`, accepted });
  } else if (settings.inlineKeys && live?.keys === undefined)
    missing('--keys', 'the keys to write, by --keys or --kubeconfig');
  if (problems.length > 0 || issuer === undefined) return { problems };
  const facts: Facts = {
    ...{ issuer, tokens, callers, keys: live?.keys, inlineKeys: settings.inlineKeys },
    jwksUrl: settings.jwksUrl ?? servedJwksUrl(issuer),
    ca: settings.ca === undefined ? undefined : `${readCertificates(settings.ca).join('\n')}\n`,
    annotationPrefix: settings.annotationPrefix,
    options: {
      ...Object.fromEntries(optionKeys.map((key) => [key, settings[key]])),
      ...Object.fromEntries(assumed.map((key) => [key, standInOf(key)])),
    },
    assumed: assumed.map((key) => ({ flag: flagOf(key), value: standIns[key] })),
  };
  for (const { flag, value } of facts.assumed ?? [])
    terminal.err(`warning: ${object}: ${flag}: is not given; ${value} stands in its place\n`);
  return { facts };
}

/** Options for other consumers. */
function misplaced(consumer: ConsumerName, settings: Settings): Problem[] {
  const own: readonly string[] = consumerRows[consumer].options;
  return optionKeys
    .filter((key) => isGiven(settings[key]) && !own.includes(key))
    .map((key) => {
      const takers = Object.entries(consumerRows as Record<string, ConsumerRow>).filter(([, { options }]) =>
        options.includes(key),
      );
      const accepted = `it goes with ${takers.map(([name]) => name).join(', ')}`;
      return { object: `podpass render ${consumer}`, key: flagOf(key), wrong: `is not for ${consumer}`, accepted };
    });
}

const isGiven = (value: unknown) => (Array.isArray(value) ? value.length > 0 : value !== undefined);

function notGiven({ needs = [] }: FormatRow, settings: Settings): readonly Needed[] {
  return needs.filter((key) => settings[key] === undefined);
}

function standInOf(key: Needed): unknown {
  const parsed = settingRows[key].codec.parse(standIns[key]);
  if (!parsed.ok) throw new TypeError(`the stand-in of ${key} ${parsed.wrong}`);
  return parsed.value;
}

async function readObject(
  settings: Settings,
  { preset }: ConsumerRow,
  terminal: Terminal,
): Promise<ObjectReading | undefined> {
  const { fromPod, fromServiceAccount, kubeconfig, context } = settings;
  if (fromPod === undefined && fromServiceAccount === undefined) return undefined;
  const { createKubeClient, loadKubeConfig } = await import('../../runtime/kube-client.ts');
  const { readAccountObject, readPodObject } = await import('./read-object.ts');
  const { presetsOf } = await import('../../../webhook/presets/registry.ts');
  const presets = [...settings.presets, ...(preset === undefined ? [] : [preset])];
  const admission = {
    ...settings,
    reservedAudiences: new Set(settings.reservedAudiences),
    presets: presetsOf({ ...settings, presets }, () => false),
  };
  const client = createKubeClient(
    loadKubeConfig({ kubeconfig, env: terminal.env }),
    context === undefined ? {} : { context },
  );
  try {
    if (fromPod !== undefined) return await readPodObject(client, fromPod, admission, LOOKUP_TIMEOUT_MS);
    if (fromServiceAccount !== undefined)
      return await readAccountObject(client, fromServiceAccount, admission, LOOKUP_TIMEOUT_MS);
    return undefined;
  } finally {
    client.close();
  }
}

async function liveFacts(
  settings: Settings,
  fromObject: boolean,
  terminal: Terminal,
): Promise<{ readonly issuer: string | undefined; readonly keys: KeyFacts } | undefined> {
  const { kubeconfig, context, keys } = settings;
  const useCluster = fromObject || kubeconfig !== undefined || context !== undefined;
  if (!useCluster && keys.length === 0) return undefined;
  const { readKeys } = await import('./read-keys.ts');
  return readKeys(settings, useCluster, terminal);
}

/** The tokens that count: those asked for by name, else those of the consumer's preset, else podpass' own. */
function tokensOf(
  { preset }: ConsumerRow,
  settings: Settings,
  reading: ObjectReading | undefined,
  object: string,
  problems: Problem[],
): readonly AskedToken[] {
  const { audience: wanted } = settings;
  if (reading === undefined) {
    if (preset !== undefined && wanted.length === 0) return [presetToken(preset, settings)];
    return wanted.map((audience) => ({
      audience,
      file: `${settings.mountPath}/${fileNameOf(audience)}`,
      lifetime: settings.tokenExpiration,
    }));
  }
  const all = unique(reading.tokens, ({ audience }) => audience);
  for (const audience of wanted.filter((each) => !all.some((token) => token.audience === each))) {
    const accepted = `one of ${all.map((token) => token.audience).join(', ')}`;
    problems.push({ object, key: '--audience', value: audience, wrong: 'is not one that it asks for', accepted });
  }
  if (wanted.length > 0) return all.filter(({ audience }) => wanted.includes(audience));
  const own = all.filter((token) => token.preset === preset);
  return own.length > 0 ? own : all.filter((token) => token.preset === undefined);
}

function presetToken(preset: 'aws' | 'azure' | 'gcp', settings: Settings): AskedToken {
  const audience = settings[`${preset}TokenAudience`];
  const lifetime = settings[`${preset}TokenExpiration`];
  const files = { aws: `${settings.awsMountPath}/token`, azure: AZURE_TOKEN_FILE, gcp: GCP_TOKEN_FILE };
  return { audience, lifetime, file: files[preset], preset };
}

function unique<T>(items: readonly T[], key: (item: T) => string): readonly T[] {
  return [...new Map(items.map((item) => [key(item), item])).values()];
}
