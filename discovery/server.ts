import type { RequestListener } from 'node:http';
import { STATUS_CODES } from '../src/catalog/metrics.ts';
import { messageOf } from '../src/fault.ts';
import type { Log } from '../src/log.ts';
import { type Check, check } from '../src/runtime/check.ts';
import type { Metrics } from '../src/runtime/metrics.ts';
import { type Service, type ServiceOptions, startService } from '../src/runtime/service.ts';
import { sleep } from '../src/sleep.ts';
import { createDiscoveryApp, issuerUnknown } from './app.ts';
import { createDiscovery, type Discovery } from './discovery.ts';
import type { KeyRingState } from './key-ring.ts';
import type { KeySource } from './key-source/key-source.ts';

export interface DiscoveryServiceOptions extends Omit<ServiceOptions, 'handler' | 'checks'> {
  /** The issuer, or how to ask for it; that is tried until it answers. */
  readonly issuer: string | ((signal: AbortSignal) => Promise<string>);
  readonly sources: readonly KeySource[];
  readonly pollIntervalMs: number;
  readonly holdDownMs: number;
  readonly revoked: readonly string[];
  readonly cacheMaxAgeSeconds: number;
  readonly clock: () => number;
  readonly metrics: Metrics;
  readonly log: Log;
}

const FIRST_RETRY_MS = 500;
const LAST_RETRY_MS = 10_000;

/** Starts to listen, and to read the keys as soon as the issuer is known. Throws a Failure where it cannot listen. */
export async function startDiscovery(options: DiscoveryServiceOptions): Promise<Service> {
  const { issuer, metrics, log } = options;
  const stopping = new AbortController();
  let discovery: Discovery | undefined;
  let app: RequestListener = issuerUnknown;
  let documents: () => Check[] = () => [];
  const checks = () => [check('issuer', discovery !== undefined, 'the issuer is not known yet'), ...documents()];
  metrics.set('podpass_key_source_poll_interval_seconds', {}, options.pollIntervalMs / 1000);
  metrics.onExpose(() => expose(discovery, metrics));
  const service = await startService({ ...options, handler: (request, response) => app(request, response), checks });

  const serve = (known: string) => {
    if (stopping.signal.aborted) return;
    const started = createDiscovery({ ...options, issuer: known });
    discovery = started;
    app = createApp(options, known, started);
    documents = () => [
      check(`documents of ${known}`, started.ready, 'a key source has not been tried yet, or none has given a key'),
    ];
    void started.start();
    log.info({ issuer: known, sources: options.sources.map(({ name }) => name) }, 'reading keys');
  };
  if (typeof issuer === 'string') serve(issuer);
  const found = typeof issuer === 'string' ? Promise.resolve() : findIssuer(issuer, serve, stopping.signal, log);
  return {
    ...service,
    get lastRequest() {
      return service.lastRequest;
    },
    async stop(graceMs) {
      stopping.abort();
      await Promise.all([service.stop(graceMs), found]);
      await discovery?.stop();
    },
  };
}

function createApp(options: DiscoveryServiceOptions, issuer: string, discovery: Discovery): RequestListener {
  return createDiscoveryApp({
    issuer,
    documents: () => discovery.documents(),
    cacheMaxAgeSeconds: options.cacheMaxAgeSeconds,
    log: options.log,
    onRequest: (path, code) => options.metrics.count('podpass_http_requests_total', { path, code: codeLabel(code) }),
  });
}

/** A closed set, as every label. */
function codeLabel(code: number): (typeof STATUS_CODES)[number] {
  return STATUS_CODES.find((each) => each === String(code)) ?? '500';
}

async function findIssuer(
  ask: (signal: AbortSignal) => Promise<string>,
  found: (issuer: string) => void,
  signal: AbortSignal,
  log: Log,
): Promise<void> {
  for (let retryMs = FIRST_RETRY_MS; !signal.aborted; retryMs = Math.min(retryMs * 2, LAST_RETRY_MS)) {
    try {
      return found(await ask(signal));
    } catch (error) {
      if (signal.aborted) return;
      log.warn({ reason: messageOf(error), retryMs }, 'the issuer could not be read from the cluster');
      await sleep(retryMs, signal);
    }
  }
}

/** While the issuer is not known. */
const UNKNOWN: KeyRingState = { keys: { published: 0, held: 0, refused: 0 }, sources: [] };

function expose(discovery: Discovery | undefined, metrics: Metrics): void {
  const { keys, sources } = discovery?.state() ?? UNKNOWN;
  for (const state of ['published', 'held', 'refused'] as const) metrics.set('podpass_keys', { state }, keys[state]);
  const oldest = sources.length === 0 ? 0 : Math.min(...sources.map(({ lastSuccess }) => lastSuccess ?? 0));
  metrics.set('podpass_key_source_last_success_timestamp_seconds', {}, oldest);
}
