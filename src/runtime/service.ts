import type { RequestListener } from 'node:http';
import { type Check, check } from './check.ts';
import type { Drainable } from './lifecycle.ts';
import { type Listener, type ListenerOptions, listen } from './listener.ts';
import type { Metrics } from './metrics.ts';
import { createStatusApp } from './status-app.ts';
import type { TlsPair } from './tls-files.ts';

export interface ServiceOptions {
  readonly handler: RequestListener;
  readonly address: string;
  readonly port: number;
  /** The port of /metrics, /healthz and /readyz, in plain HTTP. */
  readonly metricsPort: number;
  readonly metrics: Metrics;
  /** What it needs in order to be ready, at this moment. Not being shut down comes on top. */
  readonly checks: () => readonly Check[];
  /** HTTPS with this pair, or with the one of `usePair` later; without it HTTP. */
  readonly pair?: TlsPair | 'later' | undefined;
}

/** A running service with its two listeners. */
export interface Service extends Drainable {
  readonly port: number;
  readonly metricsPort: number;
  /** New handshakes use this pair. */
  usePair(pair: TlsPair): void;
}

/** Starts to listen on both ports. Throws a Failure, and leaves nothing open, where it cannot. */
export async function startService(options: ServiceOptions): Promise<Service> {
  const { handler, address, port, metricsPort, metrics, checks, pair } = options;
  let draining = false;
  const main = await listen({ handler, address, port, ...(pair === undefined ? {} : { tls: pair }) });
  const all = () => [check('shutdown', !draining, 'shutting down'), ...checks()];
  const status = await listenOrClose(main, { handler: createStatusApp(metrics, all), address, port: metricsPort });
  const noteValidity = ({ notBefore, notAfter }: TlsPair) => {
    metrics.set('podpass_certificate_not_before_timestamp_seconds', {}, notBefore / 1000);
    metrics.set('podpass_certificate_expiry_timestamp_seconds', {}, notAfter / 1000);
  };
  if (pair !== undefined && pair !== 'later') noteValidity(pair);
  return {
    port: main.port,
    metricsPort: status.port,
    usePair(next) {
      main.usePair(next);
      noteValidity(next);
    },
    drain() {
      draining = true;
      main.drain();
    },
    get lastRequest() {
      return main.lastRequest;
    },
    async stop(graceMs) {
      await main.close(graceMs);
      await status.close(0);
    },
  };
}

async function listenOrClose(first: Listener, options: ListenerOptions): Promise<Listener> {
  try {
    return await listen(options);
  } catch (error) {
    await first.close(0);
    throw error;
  }
}
