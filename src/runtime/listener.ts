import {
  createServer as createHttpServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerResponse,
} from 'node:http';
import { createServer as createHttpsServer, type Server as HttpsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { Failure, faultBody } from '../fault.ts';
import { createBag, type InBag } from './bag.ts';
import { type Connection, connectionLimit, trackConnections } from './connections.ts';
import type { TlsPair } from './tls-files.ts';

/** A listening server that can be drained. */
export interface Listener {
  readonly port: number;
  /** New handshakes use this pair; live connections go on. */
  usePair(pair: TlsPair): void;
  /** From now on every answer carries `Connection: close`, so that clients leave by themselves. */
  drain(): void;
  /** When the last request came in, in milliseconds of `performance.now()`, which nobody can set back. */
  readonly lastRequest: number;
  /** Refuses new connections, lets running requests end for at most `graceMs`, then cuts what is left. */
  close(graceMs: number): Promise<void>;
}

export interface ListenerOptions {
  readonly handler: RequestListener;
  readonly address: string;
  readonly port: number;
  /** HTTPS with this pair, or with the one of `usePair` later, until which every handshake fails; without it HTTP. */
  readonly tls?: TlsPair | 'later';
}

/** Longer than the 90 s after which the API server drops an idle connection, or bursts near the end of it would fail. */
const KEEP_ALIVE_MS = 120_000;
const HEADERS_MS = 10_000;
const REQUEST_MS = 15_000;
const HANDSHAKE_MS = 10_000;
/** The time to read a whole answer. Whoever does not must not keep it in memory. */
const ANSWER_MS = 10_000;
/** For a refusal to reach its client. */
const LINGER_MS = 1_000;
/** Node looks at the two timeouts above this often; its own 30 s would make both coarse. */
const CHECK_MS = 1_000;

/** Starts to listen. Throws a Failure that names the address where it cannot. */
export async function listen({ handler, address, port, tls }: ListenerOptions): Promise<Listener> {
  let draining = false;
  let lastRequest = performance.now();
  const connections = trackConnections(connectionLimit());
  const unanswered = createBag<Unanswered>();
  const onRequest = (request: IncomingMessage, response: ServerResponse) => {
    lastRequest = performance.now();
    const connection = connections.of(request.socket);
    connection?.begin();
    const answer: Unanswered = { response, connection, place: -1, writtenAt: undefined };
    unanswered.add(answer);
    response.on('close', () => forget(answer));
    if (draining) response.setHeader('Connection', 'close');
    return handler(request, response);
  };
  const forget = (answer: Unanswered) => {
    if (unanswered.remove(answer)) answer.connection?.end();
  };
  /** One look at all of them: a timer for each answer costs a tenth of a small one. */
  const cutSlowReaders = () => {
    const now = performance.now();
    for (const answer of unanswered.all()) {
      // Until Node 24 an answer that waits for those before it is not closed with its connection.
      if (answer.response.req.socket.destroyed) forget(answer);
      if (!answer.response.writableEnded) continue;
      answer.writtenAt ??= now;
      if (now - answer.writtenAt >= ANSWER_MS) answer.response.socket?.destroy();
    }
  };
  const timeouts = {
    keepAliveTimeout: KEEP_ALIVE_MS,
    headersTimeout: HEADERS_MS,
    requestTimeout: REQUEST_MS,
    connectionsCheckingInterval: CHECK_MS,
  };
  const server: Server | HttpsServer =
    tls === undefined
      ? createHttpServer(timeouts, onRequest)
      : createHttpsServer(
          {
            ...timeouts,
            ...(tls === 'later' ? {} : { cert: tls.cert, key: tls.key }),
            minVersion: 'TLSv1.2',
            handshakeTimeout: HANDSHAKE_MS,
            ALPNProtocols: ['http/1.1'],
          },
          onRequest,
        );
  server.on('clientError', refuse);
  server.on('connection', (socket: Socket) => connections.add(socket));
  await bind(server, address, port);
  const looking = setInterval(cutSlowReaders, CHECK_MS).unref();
  return {
    port: (server.address() as AddressInfo).port,
    usePair({ cert, key }) {
      if ('setSecureContext' in server) server.setSecureContext({ cert, key, minVersion: 'TLSv1.2' });
    },
    drain() {
      draining = true;
      for (const { response } of unanswered.all()) if (!response.headersSent) response.setHeader('Connection', 'close');
    },
    get lastRequest() {
      return lastRequest;
    },
    async close(graceMs) {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      const cut = setTimeout(() => connections.cut(), graceMs);
      await closed;
      clearTimeout(cut);
      clearInterval(looking);
    },
  };
}

/** An answer that its client has not got to the end. */
interface Unanswered extends InBag {
  readonly connection: Connection | undefined;
  readonly response: ServerResponse;
  /** When it was first seen to be written to the end, in milliseconds. */
  writtenAt: number | undefined;
}

/** What Node's parser refuses never reaches the handler; it gets the same shape of answer. */
function refuse(error: NodeJS.ErrnoException, socket: Duplex): void {
  // After a failed handshake nothing can be written.
  if (!socket.writable || !/^(HPE_|ERR_HTTP_)/.test(error.code ?? '')) return void socket.destroy();
  const [status, reason] = REFUSALS[error.code ?? ''] ?? ['400 Bad Request', 'this is not HTTP'];
  const body = faultBody({ code: 'bad_request', message: reason });
  const head = `HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: ${body.length}`;
  // Without this the connection stays half open for as long as the client likes.
  socket.end(`${head}\r\n\r\n${body}`, () => socket.destroy());
  setTimeout(() => socket.destroy(), LINGER_MS).unref();
}

const REFUSALS: Readonly<Record<string, readonly [string, string]>> = {
  HPE_HEADER_OVERFLOW: ['431 Request Header Fields Too Large', 'the header is too large'],
  ERR_HTTP_REQUEST_TIMEOUT: ['408 Request Timeout', 'the request took too long'],
};

async function bind(server: Server, address: string, port: number): Promise<void> {
  try {
    await attempt(server, address, port);
  } catch (error) {
    // The default `::` also takes IPv4; a machine without IPv6 has only that.
    const code = (error as NodeJS.ErrnoException).code;
    if (address === '::' && (code === 'EAFNOSUPPORT' || code === 'EADDRNOTAVAIL')) return bind(server, '0.0.0.0', port);
    throw new Failure(`cannot listen on ${address} port ${port} (${code ?? 'unknown reason'})`, { cause: error });
  }
}

function attempt(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port }, () => {
      server.removeListener('error', reject);
      resolve();
    });
  });
}
