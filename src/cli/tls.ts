import type { Log } from '../log.ts';
import type { Metrics } from '../runtime/metrics.ts';
import type { Service } from '../runtime/service.ts';
import { type TlsFiles, type TlsPair, watchPair } from '../runtime/tls-files.ts';

/** The files that were named; undefined where none were. */
export function tlsFilesOf({
  tlsCert,
  tlsKey,
}: {
  readonly tlsCert?: string | undefined;
  readonly tlsKey?: string | undefined;
}) {
  return tlsCert === undefined || tlsKey === undefined ? undefined : { cert: tlsCert, key: tlsKey };
}

/** Keeps a service's certificate as new as its files, and counts what could not be used. */
export function followPair(
  files: { readonly cert: string; readonly key: string },
  pair: TlsPair,
  service: Service,
  metrics: Metrics,
  log: Log,
): TlsFiles {
  const error = () => metrics.count('podpass_certificate_reload_errors_total', {});
  return watchPair(files.cert, files.key, pair, { pair: service.usePair, error }, log);
}
