import { request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { Failure, messageOf } from '../fault.ts';
import { trustedCertificates } from './certificates.ts';

export interface HttpOptions {
  /** CA certificates (PEM) to trust beside those that Node trusts. */
  readonly ca?: readonly string[] | undefined;
  readonly accept: string;
  /** Gives up earlier. */
  readonly signal?: AbortSignal;
}

export interface ConditionalOptions extends HttpOptions {
  /** An entity tag: the body is only wanted where it has another one by now. */
  readonly ifNoneMatch?: string | undefined;
}

export interface HttpAnswer {
  /** 304, without a body, only to a request with `ifNoneMatch`. */
  readonly status: 200 | 304;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

const MAX_BYTES = 1024 * 1024;
const TIMEOUT_MS = 10_000;

/**
 * The body of a document on the web, at most 1 MiB within 10 s. No redirect is followed, as most verifiers follow none.
 * Throws a Failure that names the URL and the reason.
 */
export async function httpGet(url: string, options: HttpOptions): Promise<Buffer> {
  return (await exchange('GET', url, options)).body;
}

/** As `httpGet`, with the headers of the answer, and with a condition where one is given (RFC 9110 section 13.1.2). */
export function httpGetAnswer(url: string, options: ConditionalOptions): Promise<HttpAnswer> {
  return exchange('GET', url, options);
}

/** The answer to a JSON document, within the limits of `httpGet`. */
export async function httpPostJson(url: string, body: unknown, options: HttpOptions): Promise<Buffer> {
  return (await exchange('POST', url, options, JSON.stringify(body))).body;
}

/** A URL as logs and errors may have it: some queries are secrets. */
export function withoutQuery(url: string): string {
  return url.replace(/\?.*/s, '');
}

function exchange(
  method: 'GET' | 'POST',
  url: string,
  { ca, accept, signal, ifNoneMatch }: ConditionalOptions,
  body?: string,
): Promise<HttpAnswer> {
  const timeout = AbortSignal.timeout(TIMEOUT_MS);
  return new Promise((resolve, reject) => {
    const fail = (why: string, cause?: unknown) =>
      reject(new Failure(`${method} ${withoutQuery(url)}: ${why}`, { cause }));
    const secure = new URL(url).protocol === 'https:';
    const options = {
      method,
      headers: {
        accept,
        'accept-encoding': 'identity',
        'user-agent': 'podpass',
        ...(ifNoneMatch === undefined ? {} : { 'if-none-match': ifNoneMatch }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      signal: signal === undefined ? timeout : AbortSignal.any([timeout, signal]),
      agent: false as const,
    };
    const trust = ca === undefined ? {} : { ca: [...trustedCertificates(), ...ca] };
    const request = secure ? httpsRequest(url, { ...options, ...trust }) : httpRequest(url, options);
    request.on('error', (error) => fail(reason(error), error));
    request.on('response', (response) => {
      const { statusCode = 0, headers } = response;
      const isUnchanged = statusCode === 304 && ifNoneMatch !== undefined;
      if (statusCode !== 200 && !isUnchanged) {
        response.destroy();
        const where =
          headers.location === undefined ? '' : ` (a redirect to ${headers.location}, which is not followed)`;
        return fail(`the answer is ${statusCode}${where}, not 200`);
      }
      const chunks: Buffer[] = [];
      let length = 0;
      response.on('error', (error) => fail(reason(error), error));
      response.on('data', (chunk: Buffer) => {
        length += chunk.length;
        chunks.push(chunk);
        if (length <= MAX_BYTES) return;
        response.destroy();
        fail('the answer is over 1 MiB');
      });
      const status = isUnchanged ? 304 : 200;
      response.on('end', () => resolve({ status, headers, body: Buffer.concat(chunks) }));
    });
    request.end(body);
  });
}

function reason(error: Error): string {
  if (error.name === 'TimeoutError' || error.name === 'AbortError') return `no answer within ${TIMEOUT_MS / 1000} s`;
  // Several addresses failed, each with an error of its own.
  if (error instanceof AggregateError) return error.errors.map(messageOf).join('; ');
  return error.message;
}
