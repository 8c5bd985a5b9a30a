import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import express, { type ErrorRequestHandler } from 'express';
import { Fault, faultBody } from '../src/fault.ts';
import { DOCUMENT_PATHS, type DocumentPath, issuerBase } from '../src/issuer-paths.ts';
import type { Log } from '../src/log.ts';
import { cacheControl, type Document, type Documents } from './document.ts';
import { ifNoneMatch } from './if-none-match.ts';

/** A path as metrics name it: under the issuer, or none that is served. */
type PathLabel = DocumentPath | 'other';

export interface DiscoveryAppOptions {
  readonly issuer: string;
  /** Asked at every request; must not wait for anything. */
  readonly documents: () => Documents | undefined;
  readonly cacheMaxAgeSeconds: number;
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
 * Serves the issuer's documents. Express only carries the one handler: its own routing would decode paths, its answers
 * would add parameters to content types.
 */
export function createDiscoveryApp(options: DiscoveryAppOptions): RequestListener {
  const { documents, log, onRequest } = options;
  const routes = routesOf(options.issuer);
  const cache = cacheControl(options.cacheMaxAgeSeconds);

  function handle(request: IncomingMessage, response: ServerResponse): void {
    const path = routes.get(targetPath(request.url ?? ''));
    let answer: Answer;
    try {
      answer = answerTo(path, request);
    } catch (error) {
      answer = refuse(asFault(error));
    }
    response.writeHead(answer.status, answer.headers);
    response.end(answer.body);
    onRequest?.(path ?? 'other', answer.status);
  }

  function answerTo(path: DocumentPath | undefined, { method = '', headers }: IncomingMessage): Answer {
    if (path === undefined) throw new Fault('not_found', 'there is no such document');
    if (method === 'OPTIONS') return { status: 204, headers: PREFLIGHT };
    if (method !== 'GET' && method !== 'HEAD') {
      throw new Fault('method_not_allowed', `accepted: ${METHODS}`, { headers: { Allow: METHODS } });
    }
    const document = documents()?.[DOCUMENT_PATHS[path]];
    if (document === undefined) throw unavailable('there is no key to publish yet');
    return found(document, cache, headers['if-none-match']);
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

/** Answers before the issuer is known, when nobody can say which paths there are. */
export const issuerUnknown: RequestListener = (_request, response) => {
  const answer = refuse(unavailable('the issuer is not known yet'));
  response.writeHead(answer.status, answer.headers);
  response.end(answer.body);
};

function unavailable(message: string): Fault {
  return new Fault('unavailable', message, { headers: { 'Retry-After': String(RETRY_AFTER_SECONDS) } });
}

/** `https://h/p/` → `/p/openid/v1/jwks` and the others, each as clients that append it to the issuer ask for it. */
function routesOf(issuer: string): ReadonlyMap<string, DocumentPath> {
  const base = issuerBase(new URL(issuer).pathname);
  return new Map((Object.keys(DOCUMENT_PATHS) as DocumentPath[]).map((path) => [base + path, path]));
}

/**
 * The path of a request target without its query, not decoded and not normalised. The absolute form must be understood
 * as well (RFC 9112 section 3.2.2); its host is as meaningless here as the Host field.
 */
function targetPath(target: string): string {
  const path = target.startsWith('/') ? target : (/^https?:\/\/[^/?#]+(\/.*)$/is.exec(target)?.[1] ?? '');
  const query = path.indexOf('?');
  return query === -1 ? path : path.slice(0, query);
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
