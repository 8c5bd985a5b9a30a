import { type KeyReport, keyReport } from '../../discovery/key-report.ts';
import { type KeyRecord, KeyRing } from '../../discovery/key-ring.ts';
import { KeySourceFailure } from '../../discovery/key-source/key-source.ts';
import { type KeyStates, parseKeyState } from '../../discovery/key-state.ts';
import { describeRefused, type RefusedKey } from '../../discovery/public-key.ts';
import type { CommandSettings } from '../catalog/commands.ts';
import { messageOf } from '../fault.ts';
import { type NamedIssuer, openIssuers } from './key-sources.ts';
import { openState } from './key-state.ts';
import type { Terminal } from './terminal.ts';

type Settings = CommandSettings<'keys'>;

interface IssuerReport {
  readonly issuer: string;
  readonly keys: readonly KeyReport[];
  readonly refused: readonly RefusedKey[];
}

export async function runKeys(
  settings: Settings,
  terminal: Terminal,
  _argument: string | undefined,
  all: readonly Settings[],
): Promise<number> {
  const faults: string[] = [];
  const states = await readState(settings, terminal, faults);
  const reports = namesSource(settings, all)
    ? await fromSources(all, states, terminal, faults)
    : fromState(settings, states, faults);
  for (const fault of faults) terminal.err(`podpass keys: ${fault}\n`);
  terminal.out(settings.output === 'json' ? jsonOf(reports, settings) : textOf(reports, settings));
  return faults.length === 0 && reports.every(({ refused }) => refused.length === 0) ? 0 : 1;
}

/** With a state alone no cluster is asked. */
function namesSource({ state }: Settings, all: readonly Settings[]): boolean {
  return (
    state === undefined ||
    all.length > 1 ||
    all.some(({ keySource, kubeconfig, context, keys, jwksUrl }) => {
      return [...keySource, ...keys].length > 0 || [kubeconfig, context, jwksUrl].some((each) => each !== undefined);
    })
  );
}

async function readState(settings: Settings, terminal: Terminal, faults: string[]): Promise<KeyStates> {
  const opened = openState(settings, terminal);
  if (opened === undefined) return new Map();
  const { place, close } = opened;
  try {
    const found = await place.read();
    if (found === undefined) faults.push(`${place.name}: there is no state yet`);
    return parseKeyState(found?.text ?? '');
  } catch (error) {
    faults.push(`${place.name}: ${messageOf(error)}`);
    return new Map();
  } finally {
    close();
  }
}

function fromState(settings: Settings, states: KeyStates, faults: string[]): IssuerReport[] {
  const { issuer } = settings;
  const wanted = [...states].filter(([name]) => issuer === undefined || name === issuer);
  if (wanted.length === 0 && faults.length === 0) faults.push(`the state has nothing of ${issuer ?? 'any issuer'}`);
  return wanted.map(([name, records]) => ({ issuer: name, keys: reportOf(settings, records, records), refused: [] }));
}

async function fromSources(
  all: readonly Settings[],
  states: KeyStates,
  terminal: Terminal,
  faults: string[],
): Promise<IssuerReport[]> {
  const { issuers, close } = openIssuers(all, terminal);
  try {
    const reports = await Promise.all(
      issuers.map(async (each, index) => {
        const settings = all[index];
        return settings === undefined ? [] : await fromOne(each, settings, states, faults);
      }),
    );
    return reports.flat();
  } finally {
    close();
  }
}

async function fromOne(
  { issuer: named, sources }: NamedIssuer,
  settings: Settings,
  states: KeyStates,
  faults: string[],
): Promise<IssuerReport[]> {
  const { signal } = new AbortController();
  let issuer: string;
  try {
    issuer = typeof named === 'string' ? named : await named(signal);
  } catch (error) {
    faults.push(messageOf(error));
    return [];
  }
  const remembered = states.get(issuer) ?? [];
  const ring = new KeyRing({
    sources: sources.map(({ name }) => name),
    holdDownMs: settings.holdDown * 1000,
    revoked: settings.revoke,
    clock: Date.now,
  });
  ring.restore(remembered);
  const refused: RefusedKey[] = [];
  await Promise.all(
    sources.map(async (source) => {
      try {
        const reading = await source.read(signal);
        refused.push(...reading.refused);
        ring.succeeded(source.name, reading);
      } catch (error) {
        faults.push(`${issuer}: ${messageOf(error)}`);
        const partial = error instanceof KeySourceFailure ? error.partial : undefined;
        refused.push(...(partial?.refused ?? []));
        ring.failed(source.name, partial);
      }
    }),
  );
  return [{ issuer, keys: reportOf(settings, ring.records(), remembered), refused }];
}

function reportOf(settings: Settings, records: readonly KeyRecord[], state: readonly KeyRecord[]): KeyReport[] {
  return keyReport({
    records,
    remembered: new Set(state.map(({ key }) => key.kid)),
    revoked: new Set(settings.revoke),
    signingKid: settings.signingKid,
    rotatedAtMs: settings.rotatedAt,
    pollIntervalMs: settings.pollInterval * 1000,
    cacheMaxAgeMs: settings.cacheMaxAge * 1000,
    verifierCacheMs: settings.verifierCache * 1000,
    tokenLifetimeMs: settings.tokenLifetime * 1000,
    nowMs: Date.now(),
  });
}

// ---- output ----------------------------------------------------------------------------------------------------------

const time = (ms: number) => new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');

/** Where each number comes from. */
function timesOf({ pollInterval, cacheMaxAge, verifierCache, tokenLifetime, rotatedAt }: Settings) {
  return [
    { name: 'poll interval', value: `${pollInterval}s`, from: '--poll-interval of discovery' },
    { name: 'cache max-age', value: `${cacheMaxAge}s`, from: '--cache-max-age of discovery' },
    { name: 'verifier cache', value: `${verifierCache}s`, from: '--verifier-cache' },
    { name: 'token lifetime', value: `${tokenLifetime}s`, from: '--token-lifetime' },
    { name: 'rotated at', value: rotatedAt === undefined ? 'unknown' : time(rotatedAt), from: '--rotated-at' },
    { name: 'first seen, last seen', value: 'of each key', from: '--state; last seen also from the sources' },
  ];
}

function jsonOf(reports: readonly IssuerReport[], settings: Settings): string {
  const advice = ({ safe, atMs, why }: KeyReport['sign']) => ({
    safe: safe === 'unknown' ? null : safe,
    ...(atMs === undefined ? {} : { at: time(atMs) }),
    why,
  });
  const issuers = reports.map(({ issuer, keys, refused }) => ({
    issuer,
    keys: keys.map(({ firstSeenMs, lastSeenMs, untilMs, sign, remove, ...rest }) => ({
      ...rest,
      ...(firstSeenMs === undefined ? {} : { firstSeen: time(firstSeenMs) }),
      lastSeen: time(lastSeenMs),
      ...(untilMs === undefined ? {} : { until: time(untilMs) }),
      sign: advice(sign),
      remove: advice(remove),
    })),
    refused: refused.map(({ source, position, kid, reason, message }) => ({ source, position, kid, reason, message })),
  }));
  return `${JSON.stringify({ issuers, times: timesOf(settings) }, undefined, 2)}\n`;
}

function textOf(reports: readonly IssuerReport[], settings: Settings): string {
  const said = ({ safe, atMs, why }: KeyReport['sign']) => {
    const when = atMs === undefined ? '' : `${safe ? ' since' : ' before'} ${time(atMs)}`;
    return `${safe === 'unknown' ? 'unknown' : safe ? 'safe' : 'not safe'}${when} (${why})`;
  };
  const lines = reports.flatMap(({ issuer, keys, refused }) => [
    issuer,
    ...keys.flatMap((key) => [
      `  ${key.kid}  ${key.alg}  ${key.state}: ${key.why}`,
      `    seen     first ${key.firstSeenMs === undefined ? 'unknown' : time(key.firstSeenMs)}, last ${time(key.lastSeenMs)}, in ${key.source}`,
      ...(key.untilMs === undefined
        ? []
        : [`    ${key.state === 'dropped' ? 'went at' : 'goes at'}  ${time(key.untilMs)}`]),
      `    to sign  ${said(key.sign)}`,
      `    remove   ${said(key.remove)}`,
    ]),
    ...refused.map((each) => `  refused: ${describeRefused(each)}`),
    '',
  ]);
  const times = timesOf(settings).map(({ name, value, from }) => `  ${name}: ${value} (${from})`);
  return `${[...lines, 'Times:', ...times].join('\n')}\n`;
}
