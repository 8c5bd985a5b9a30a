import type { RequestListener, ServerResponse } from 'node:http';
import { type Check, check } from './check.ts';
import type { Metrics } from './metrics.ts';

/** That it answers is all that /healthz is about. */
const PING = check('ping', true, '');

/**
 * `/metrics`, `/healthz` and `/readyz` over plain HTTP. `checks` says what the service needs in order to be ready; it is
 * asked at each request and must not wait for anything. `?verbose` lists the checks, in the words of the API server:
 * https://kubernetes.io/docs/reference/using-api/health-checks/
 */
export function createStatusApp(metrics: Metrics, checks: () => readonly Check[]): RequestListener {
  // All who ask meanwhile get the same: a flood of scrapes must not take the time of Pod creations.
  let exposing: ReturnType<Metrics['expose']> | undefined;
  const expose = () => {
    exposing ??= metrics.expose().finally(() => {
      exposing = undefined;
    });
    return exposing;
  };
  return (request, response) => {
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.setHeader('Allow', 'GET, HEAD');
      return send(response, 405, 'only GET and HEAD\n');
    }
    const [path = '', query] = (request.url ?? '').split('?');
    const verbose = new URLSearchParams(query).has('verbose');
    switch (path) {
      case '/healthz':
        return send(response, 200, verbose ? listed('healthz', [PING]) : 'ok\n');
      case '/readyz': {
        const all = checks();
        const reasons = all.flatMap((each) => (each.tolerated === undefined ? each.reasons : []));
        const status = reasons.length === 0 ? 200 : 503;
        if (verbose) return send(response, status, listed('readyz', [PING, ...all]));
        return send(response, status, status === 200 ? 'ok\n' : `not ready: ${reasons.join('; ')}\n`);
      }
      case '/metrics':
        expose().then(
          ({ contentType, text }) => send(response, 200, text, contentType),
          () => send(response, 500, 'the metrics could not be read\n'),
        );
        return;
      default:
        return send(response, 404, 'only /metrics, /healthz and /readyz are here\n');
    }
  };
}

function listed(what: 'healthz' | 'readyz', checks: readonly Check[]): string {
  const lines = checks.map(({ name, reasons, tolerated }) => {
    if (reasons.length === 0) return `[+]${name} ok`;
    return `[-]${name} failed${tolerated === undefined ? '' : `, ${tolerated}`}: ${reasons.join('; ')}`;
  });
  const passed = checks.every(({ reasons, tolerated }) => tolerated !== undefined || reasons.length === 0);
  return `${[...lines, `${what} check ${passed ? 'passed' : 'failed'}`].join('\n')}\n`;
}

function send(response: ServerResponse, status: number, text: string, contentType = 'text/plain; charset=utf-8'): void {
  const body = Buffer.from(text);
  response.writeHead(status, {
    'Content-Type': contentType,
    'Content-Length': body.length,
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
  });
  response.end(body);
}
