import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import express, { type ErrorRequestHandler } from 'express';
import { Fault, faultBody } from '../src/fault.ts';
import { DOCUMENT_PATHS, type DocumentPath } from '../src/issuer-paths.ts';
import type { Log } from '../src/log.ts';
import type { Document } from './document.ts';
import { ifNoneMatch } from './if-none-match.ts';
import type { Route, Routes } from './routes.ts';

/** A path as metrics name it: under the issuer, or none that is served. */
type PathLabel = DocumentPath | 'other';

export interface DiscoveryAppOptions {
  /** The issuers that are known; asked at every request. */
  readonly routes: () => Routes;
  /** False while an issuer is not known: nobody can say then that there is no such document. */
  readonly complete: () => boolean;
  readonly log: Log;
  /** Called once for each answer. */
  readonly onRequest?: (path: PathLabel, code: number) => void;
}

type Headers = Readonly<Record<string, string | number>>;
interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body?: Buffer;
}

const METHODS = 'GET, HEAD, OPTIONS';
/** On every answer: browsers of any origin may read the documents and our refusals. */
const ALWAYS: Headers = { 'Access-Control-Allow-Origin': '*', 'X-Content-Type-Options': 'nosniff' };
/** Fetch standard, CORS-preflight; `*` does not stand for Authorization, which some clients send everywhere. */
const PREFLIGHT: Headers = {
  ...ALWAYS,
  Allow: METHODS,
  'Access-Control-Allow-Methods': METHODS,
  'Access-Control-Allow-Headers': '*, Authorization',
  'Access-Control-Max-Age': 86_400,
};
const RETRY_AFTER_SECONDS = 5;

/**
 * Serves the documents of the issuers. Express only carries the one handler: its own routing would decode paths, its answers
 * would add parameters to content types.
 */
export function createDiscoveryApp(options: DiscoveryAppOptions): RequestListener {
  const { routes, complete, log, onRequest } = options;

  function handle(request: IncomingMessage, response: ServerResponse): void {
    const { path, host } = target(request);
    const route = routes()(path, host);
    let answer: Answer;
    try {
      answer = answerTo(route, request);
    } catch (error) {
      answer = refuse(asFault(error));
    }
    response.writeHead(answer.status, answer.headers);
    response.end(answer.body);
    onRequest?.(route?.path ?? 'other', answer.status);
  }

  function answerTo(route: Route | undefined, { method = '', headers }: IncomingMessage): Answer {
    if (route === undefined) {
      throw complete()
        ? new Fault('not_found', 'there is no such document')
        : unavailable('an issuer is not known yet');
    }
    if (method === 'OPTIONS') return { status: 204, headers: PREFLIGHT };
    if (method !== 'GET' && method !== 'HEAD') {
      throw new Fault('method_not_allowed', `accepted: ${METHODS}`, { headers: { Allow: METHODS } });
    }
    const document = route.documents()?.[DOCUMENT_PATHS[route.path]];
    if (document === undefined) throw unavailable('there is no key to publish yet');
    return found(document, route.cacheControl, headers['if-none-match']);
  }

  function asFault(error: unknown): Fault {
    if (error instanceof Fault) return error;
    log.error({ err: error }, 'request failed');
    return new Fault('internal', 'internal error');
  }

  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.set('query parser', false);
  app.use((request, response) => handle(request, response));
  const onError: ErrorRequestHandler = (error, _request, response, _next) => {
    log.error({ err: error }, 'request failed');
    response.destroy();
  };
  app.use(onError);
  // Express would parse any other form of target as a URL with a host, and pass on those that are none.
  return (request, response) => {
    if (request.url?.startsWith('/')) app(request, response);
    else handle(request, response);
  };
}

function unavailable(message: string): Fault {
  return new Fault('unavailable', message, { headers: { 'Retry-After': String(RETRY_AFTER_SECONDS) } });
}

/**
 * The path of a request's target without its query, not decoded and not normalised, and the host. The absolute form must
 * be understood as well, and its host replaces the Host field (RFC 9112 section 3.2.2). Of two such fields none counts, as
 * others on the way may have taken either.
 */
function target({ url = '', headersDistinct }: IncomingMessage): {
  readonly path: string;
  readonly host: string | undefined;
} {
  const [, authority, rest] = url.startsWith('/') ? [] : (/^https?:\/\/([^/?#]+)(\/.*)$/is.exec(url) ?? ['', '', '']);
  const path = rest ?? url;
  const query = path.indexOf('?');
  const { host = [] } = headersDistinct;
  return {
    path: query === -1 ? path : path.slice(0, query),
    host: authority ?? (host.length === 1 ? host[0] : undefined),
  };
}

function found({ bytes, contentType, etag }: Document, cache: string, condition: string | undefined): Answer {
  const headers = { ...ALWAYS, ETag: etag, 'Cache-Control': cache };
  // No Content-Type and no Content-Length: RFC 9110 section 15.4.5.
  if (ifNoneMatch(condition, etag)) return { status: 304, headers };
  return {
    status: 200,
    headers: { ...headers, 'Content-Type': contentType, 'Content-Length': bytes.length },
    body: bytes,
  };
}

function refuse({ status, code, message, headers }: Fault): Answer {
  const body = faultBody({ code, message });
  return {
    status,
    headers: {
      ...ALWAYS,
      ...headers,
      'Cache-Control': 'no-store',
      'Content-Type': 'application/json',
      'Content-Length': body.length,
    },
    body,
  };
}
