/** What oauth2-proxy answers at /oauth2/auth, by its own pkg/middleware and oauthproxy.go: 202, 401 or 403. */
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A request as a server got it. */
export interface Seen {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export interface Recorder {
  readonly url: string;
  /** All so far, the latest one at the end. */
  readonly seen: Seen[];
  close(): Promise<void>;
}

export interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** A server on the loopback that remembers what it is asked. */
export async function recorder(answer: (request: Seen) => Answer): Promise<Recorder> {
  const seen: Seen[] = [];
  const server: Server = createServer(async (incoming, outgoing) => {
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk as Buffer);
    const { method = '', url = '', headers } = incoming;
    const request = { method, url, headers, body: Buffer.concat(chunks).toString() };
    seen.push(request);
    const { status, headers: more = {}, body = '' } = answer(request);
    outgoing.writeHead(status, more).end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** `tokens` are those that it takes, with the "sub" of each; a word that is none of them is no good token. */
export function oauth2Proxy(tokens: Readonly<Record<string, string>>): Promise<Recorder> {
  return recorder(({ url, headers }) => {
    const { pathname, searchParams } = new URL(url, 'http://proxy');
    if (pathname !== '/oauth2/auth') return { status: 200, body: 'the application' };
    const [, token] = /^Bearer (.+)$/.exec(headers.authorization ?? '') ?? [];
    if (headers.authorization === undefined) return { status: 401, body: 'Unauthorized' };
    const subject = token === undefined ? undefined : tokens[token];
    const allowed = searchParams.get('allowed_emails')?.split(',');
    if (subject === undefined || (allowed !== undefined && !allowed.includes(subject))) return { status: 403 };
    return { status: 202, headers: { 'X-Auth-Request-User': subject, 'X-Auth-Request-Email': subject } };
  });
}
