import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
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
/** Names and values in turns. */
type Fields = (string | number)[];
interface Answer {
  readonly status: number;
  readonly headers: Headers | Fields;
  /** A text has a character for each byte. */
  readonly body?: Buffer | string;
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
 * Serves the documents of the issuers, without a framework: docs/decisions/0022-discovery-without-a-framework.md.
 */
export function createDiscoveryApp(options: DiscoveryAppOptions): RequestListener {
  const { routes, complete, log, onRequest } = options;

  function handle(request: IncomingMessage, response: ServerResponse): void {
    const { path, authority } = target(request.url);
    const route = routes()(path, () => authority ?? onlyHost(request));
    let answer: Answer;
    try {
      answer = answerTo(route, request);
    } catch (error) {
      answer = refuse(asFault(error));
    }
    response.writeHead(answer.status, answer.headers);
    // Of a text Node makes one write with the head.
    response.end(answer.body, 'latin1');
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

  return (request, response) => {
    try {
      handle(request, response);
    } catch (error) {
      log.error({ err: error }, 'the answer could not be written');
      response.destroy();
    }
  };
}

function unavailable(message: string): Fault {
  return new Fault('unavailable', message, { headers: { 'Retry-After': String(RETRY_AFTER_SECONDS) } });
}

/**
 * The path of a request's target without its query, not decoded and not normalised. The absolute form must be understood as
 * well, and its host replaces the Host field (RFC 9112 section 3.2.2).
 */
function target(url = ''): { readonly path: string; readonly authority?: string } {
  if (url.startsWith('/')) return { path: withoutQuery(url) };
  const [, authority = '', path = ''] = /^https?:\/\/([^/?#]+)(\/.*)$/is.exec(url) ?? [];
  return { path: withoutQuery(path), authority };
}

function withoutQuery(path: string): string {
  const query = path.indexOf('?');
  return query === -1 ? path : path.slice(0, query);
}

/** Of two Host fields none counts, as others on the way may have taken either. */
function onlyHost({ headersDistinct: { host = [] } }: IncomingMessage): string | undefined {
  return host.length === 1 ? host[0] : undefined;
}

function found(document: Document, cache: string, condition: string | undefined): Answer {
  // No Content-Type and no Content-Length: RFC 9110 section 15.4.5.
  if (ifNoneMatch(condition, document.etag)) return { status: 304, headers: shared(document, cache) };
  const { fields, text } = whole(document, cache);
  return { status: 200, headers: fields, body: text };
}

function shared({ etag }: Document, cache: string): Headers {
  return { ...ALWAYS, ETag: etag, 'Cache-Control': cache };
}

/** A whole answer, made once for a document; Node takes a list of fields at once. */
interface Whole {
  readonly cache: string;
  readonly fields: Fields;
  readonly text: string;
}

const made = new WeakMap<Document, Whole>();

function whole(document: Document, cache: string): Whole {
  const known = made.get(document);
  if (known?.cache === cache) return known;
  const { contentType, bytes } = document;
  const headers: Headers = { ...shared(document, cache), 'Content-Type': contentType, 'Content-Length': bytes.length };
  const answer = { cache, fields: Object.entries(headers).flat(), text: bytes.toString('latin1') };
  made.set(document, answer);
  return answer;
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
