/** A small client of the API server that hides nothing: statuses, headers and unknown fields arrive as sent. */
import { Agent, request } from 'node:https';

export interface ApiResponse<T = unknown> {
  status: number;
  headers: NodeJS.Dict<string | string[]>;
  /** Texts of the Warning headers. */
  warnings: string[];
  /** Parsed if the answer says it is JSON, else the text. */
  body: T;
}

export interface RequestOptions {
  /** Default application/json. */
  contentType?: string;
  /** Bearer token; null for an anonymous request. */
  token?: string | null;
  /** Default 30 s. */
  timeoutMs?: number;
}

export class ApiError extends Error {
  override name = 'ApiError';
  readonly status: number;
  readonly body: unknown;

  constructor(method: string, path: string, response: ApiResponse) {
    const { status, body } = response;
    const told = typeof body === 'object' && body !== null && 'message' in body ? body.message : body;
    super(`${method} ${path}: ${status} ${told}`);
    this.status = status;
    this.body = body;
  }
}

export class ApiClient {
  readonly #url: string;
  readonly #token: string;
  readonly #agent: Agent;

  constructor(url: string, caPem: string, token: string) {
    this.#url = url;
    this.#token = token;
    this.#agent = new Agent({ keepAlive: true, ca: caPem, maxSockets: 64 });
  }

  request<T = unknown>(
    method: string,
    path: string,
    body?: unknown,
    options: RequestOptions = {},
  ): Promise<ApiResponse<T>> {
    const token = options.token === undefined ? this.#token : options.token;
    const payload = body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body);
    const timeoutMs = options.timeoutMs ?? 30_000;
    const signal = AbortSignal.timeout(timeoutMs);
    return new Promise((fulfil, reject) => {
      const outgoing = request(this.#url + path, {
        method,
        agent: this.#agent,
        signal,
        headers: {
          // Alone, application/json is refused where another JSON is served, as at /openid/v1/jwks.
          accept: 'application/json, */*',
          ...(token === null ? {} : { authorization: `Bearer ${token}` }),
          ...(payload === undefined
            ? {}
            : {
                'content-type': options.contentType ?? 'application/json',
                'content-length': Buffer.byteLength(payload),
              }),
        },
      });
      const fail = (error: Error) => {
        reject(signal.aborted ? new Error(`${method} ${path}: no answer within ${timeoutMs} ms`) : error);
      };
      outgoing.on('error', fail);
      outgoing.on('response', (incoming) => {
        const chunks: Buffer[] = [];
        incoming.on('error', fail);
        incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
        incoming.on('end', () => {
          const text = Buffer.concat(chunks).toString('utf8');
          const isJson = /^application\/(?:[\w.+-]+\+)?json\b/.test(incoming.headers['content-type'] ?? '');
          try {
            fulfil({
              status: incoming.statusCode ?? 0,
              headers: incoming.headers,
              warnings: (incoming.headersDistinct.warning ?? []).map(warningText),
              body: (isJson ? JSON.parse(text) : text) as T,
            });
          } catch (error) {
            reject(error);
          }
        });
      });
      outgoing.end(payload);
    });
  }

  /** Like request, but any status outside 2xx is an ApiError. */
  async expect<T = unknown>(method: string, path: string, body?: unknown, options?: RequestOptions): Promise<T> {
    const response = await this.request<T>(method, path, body, options);
    if (response.status < 200 || response.status > 299) throw new ApiError(method, path, response);
    return response.body;
  }

  close(): void {
    this.#agent.destroy();
  }
}

/** `299 - "text"`, with backslashes before quotes and backslashes. */
function warningText(header: string): string {
  const quoted = header.match(/^\d{3} \S+ "((?:[^"\\]|\\.)*)"/)?.[1];
  return quoted === undefined ? header : quoted.replace(/\\(.)/g, '$1');
}
