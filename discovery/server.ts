import { STATUS_CODES } from '../src/catalog/metrics.ts';
import { Failure } from '../src/fault.ts';
import { issuerPlace } from '../src/issuer-paths.ts';
import type { Log } from '../src/log.ts';
import { type Check, check } from '../src/runtime/check.ts';
import type { Metrics } from '../src/runtime/metrics.ts';
import { type Service, type ServiceOptions, startService } from '../src/runtime/service.ts';
import { createDiscoveryApp } from './app.ts';
import { createIssuer, type Issuer, type IssuerOptions } from './issuer.ts';
import { type Cluster, createIssuerWatch, type IssuerVerdict } from './issuer-watch.ts';
import type { KeyRingState } from './key-ring.ts';
import type { KeyStateStore } from './key-state-store.ts';
import { createRoutes, type Routes, type ServedIssuer } from './routes.ts';

/** One issuer of the service. */
export interface DiscoveredIssuer extends Omit<IssuerOptions, 'onKnown' | 'keyStates' | 'clock' | 'log'> {
  readonly cacheMaxAgeSeconds: number;
  /** The cluster of the source `cluster`, where there is one. */
  readonly cluster?: Cluster | undefined;
}

export interface DiscoveryServiceOptions extends Omit<ServiceOptions, 'handler' | 'checks'> {
  readonly issuers: readonly DiscoveredIssuer[];
  /** Where what is known of keys survives a restart. */
  readonly keyStates?: KeyStateStore | undefined;
  readonly clock: () => number;
  readonly metrics: Metrics;
  readonly log: Log;
}

/**
 * Starts to listen, and to read the keys of each issuer as soon as that is known. Throws a Failure where it cannot listen.
 * No issuer waits for another.
 */
export async function startDiscovery(options: DiscoveryServiceOptions): Promise<Service> {
  const { clock, metrics, log } = options;
  const served: ServedIssuer[] = [];
  let routes: Routes = createRoutes([]);
  const watch = createIssuerWatch(
    (cluster) => namesOf(issuers.filter((_, index) => options.issuers[index]?.cluster === cluster)),
    log,
  );
  const issuers = options.issuers.map((each) => {
    const { cluster } = each;
    const issuer: Issuer = createIssuer({
      ...each,
      sources: each.sources.map((source) =>
        source.name === 'cluster' && cluster !== undefined ? watch.beside(source, cluster) : source,
      ),
      keyStates: options.keyStates,
      clock,
      log,
      onKnown(name) {
        const other = served.find((before) => issuerPlace(before.issuer) === issuerPlace(name));
        if (other !== undefined) throw new Failure(`it has the host and path of ${other.issuer}`);
        const { cacheMaxAgeSeconds } = each;
        served.push({ issuer: name, documents: () => issuer.documents(), cacheMaxAgeSeconds });
        routes = createRoutes(served);
      },
    });
    return issuer;
  });
  metrics.set(
    'podpass_key_source_poll_interval_seconds',
    {},
    Math.max(...options.issuers.map(({ pollIntervalMs }) => pollIntervalMs)) / 1000,
  );
  metrics.onExpose(() => expose(issuers, watch.verdicts(), metrics));
  const service = await startService({
    ...options,
    handler: createDiscoveryApp({
      routes: () => routes,
      complete: () => !issuers.some(({ pending }) => pending),
      log,
      onRequest: (path, code) => metrics.count('podpass_http_requests_total', { path, code: codeLabel(code) }),
    }),
    checks: () => [...checksOf(issuers), ...watch.verdicts().map(tokensCheck)],
  });
  for (const issuer of issuers) issuer.start();
  return {
    ...service,
    get lastRequest() {
      return service.lastRequest;
    },
    async stop(graceMs) {
      watch.stop();
      await Promise.all([service.stop(graceMs), ...issuers.map((issuer) => issuer.stop())]);
    },
  };
}

/**
 * Two for each issuer. Once every source was tried and one issuer has documents, the others are listed and keep nobody
 * waiting: they answer 503 by themselves.
 */
function checksOf(issuers: readonly Issuer[]): Check[] {
  const ready = issuers.every(({ tried }) => tried) && issuers.some(({ missing }) => missing === undefined);
  return issuers.flatMap((each, index) => {
    const { issuer, missing = '' } = each;
    const name = issuers.length === 1 ? 'issuer' : `issuers[${index}]`;
    const known = check(name, issuer !== undefined, missing);
    const checks = issuer === undefined ? [known] : [known, check(`documents of ${issuer}`, missing === '', missing)];
    return checks.map((one) => (ready ? { ...one, tolerated: 'the others serve' } : one));
  });
}

/** One for each cluster that has told its issuer. It keeps nobody waiting: an old issuer is rightly served for a while. */
function tokensCheck({ server, mismatch = '' }: IssuerVerdict): Check {
  return { ...check(`tokens of ${server}`, mismatch === '', mismatch), tolerated: 'only a warning' };
}

/** The issuers' names; nothing while one is asked for. */
function namesOf(issuers: readonly Issuer[]): readonly string[] | undefined {
  if (issuers.some(({ pending }) => pending)) return undefined;
  return issuers.flatMap(({ issuer }) => issuer ?? []);
}

/** A closed set, as every label. */
function codeLabel(code: number): (typeof STATUS_CODES)[number] {
  return STATUS_CODES.find((each) => each === String(code)) ?? '500';
}

/** While the issuer is not known. */
const UNKNOWN: KeyRingState = { keys: { published: 0, held: 0, refused: 0 }, sources: [] };

/** The sum of the keys, and the oldest success: which issuer it is, the log and `/readyz?verbose` tell. */
function expose(issuers: readonly Issuer[], verdicts: readonly IssuerVerdict[], metrics: Metrics): void {
  const states = issuers.map((issuer) => issuer.state() ?? UNKNOWN);
  for (const state of ['published', 'held', 'refused'] as const) {
    const sum = states.reduce((before, { keys }) => before + keys[state], 0);
    metrics.set('podpass_keys', { state }, sum);
  }
  const differs = verdicts.some(({ mismatch }) => mismatch !== undefined);
  metrics.set('podpass_cluster_issuer_mismatch', {}, differs ? 1 : 0);
  const successes = states.flatMap(({ sources }) =>
    sources.length === 0 ? [0] : sources.map(({ lastSuccess }) => lastSuccess ?? 0),
  );
  metrics.set('podpass_key_source_last_success_timestamp_seconds', {}, Math.min(...successes));
}
