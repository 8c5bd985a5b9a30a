import type { RequestListener, ServerResponse } from 'node:http';
import type { Metrics } from './metrics.ts';

/** `/metrics`, `/healthz` and `/readyz` over plain HTTP. `unready` gives the reasons why the service is not ready. */
export function createStatusApp(metrics: Metrics, unready: () => readonly string[]): RequestListener {
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
    switch ((request.url ?? '').split('?')[0]) {
      case '/healthz':
        return send(response, 200, 'ok\n');
      case '/readyz': {
        const reasons = unready();
        return reasons.length === 0
          ? send(response, 200, 'ok\n')
          : send(response, 503, `not ready: ${reasons.join('; ')}\n`);
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
