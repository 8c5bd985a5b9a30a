import type { X509Certificate } from 'node:crypto';
import { lookup } from 'node:dns/promises';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { isIP, type LookupFunction } from 'node:net';
import { connect, createSecureContext, type SecureContext, type TLSSocket } from 'node:tls';
import { messageOf } from '../../fault.ts';
import { trustedCertificates } from '../../runtime/certificates.ts';
import { seenCertificate } from './certificate.ts';
import type { CertificateSeen, Failed, Fetched, TlsSeen } from './observation.ts';

const MAX_BYTES = 1024 * 1024;
const TIMEOUT_MS = 10_000;

/** CA certificates (PEM) to trust beside those that Node trusts. */
export type Trust = readonly string[] | undefined;

/** The addresses of a URL's host, and why there are none. */
export async function addressesOf(url: string): Promise<{ addresses: readonly string[]; failure?: Failed }> {
  const host = hostOf(url);
  if (isIP(host)) return { addresses: [host] };
  try {
    return { addresses: (await lookup(host, { all: true })).map(({ address }) => address) };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return { addresses: [], failure: { kind: 'dns', message: `the name ${host} has no address (${code})` } };
  }
}

/**
 * Fetches a document as somebody outside does, and remembers everything about the way. A certificate that is not good
 * is a thing to see, and no reason to stop: nothing is sent that is worth anything, and what comes is only judged.
 */
export async function fetchOutside(url: string, accept: string, ca: Trust): Promise<Fetched> {
  const { addresses, failure } = await addressesOf(url);
  if (failure !== undefined) return { url, addresses, failure, headers: {}, bytes: 0, milliseconds: 0 };
  const secureContext = contextFor(ca);
  const began = performance.now();
  const exchange = await get(url, accept, addresses, secureContext);
  const milliseconds = Math.round(performance.now() - began);
  const secure = new URL(url).protocol === 'https:' && exchange.fault !== 'none';
  const tls = secure ? await lookAtTls(url, addresses, ca, exchange.fault) : undefined;
  const { fault: _, body, ...rest } = exchange;
  return { url, addresses, milliseconds, ...rest, bytes: body?.length ?? 0, json: jsonObject(body), tls };
}

/** One more exchange at addresses that are known, without a look at the certificate. */
export async function exchangeOutside(
  url: string,
  accept: string | undefined,
  addresses: readonly string[],
  ca: Trust,
): Promise<Pick<Fetched, 'status' | 'failure' | 'headers' | 'json'>> {
  const { status, failure, headers, body } = await get(url, accept, addresses, contextFor(ca));
  return { status, failure, headers, json: jsonObject(body) };
}

interface Exchange {
  readonly failure?: Failed;
  readonly status?: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly skew?: number | undefined;
  readonly body?: Buffer;
  /** What Node says of the certificate; `none` where TLS was not reached. */
  readonly fault?: string | undefined;
}

function get(
  url: string,
  accept: string | undefined,
  addresses: readonly string[],
  secureContext: SecureContext,
): Promise<Exchange> {
  return new Promise((resolve) => {
    let fault: string | undefined = 'none';
    let answer: IncomingMessage | undefined;
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    const tls = { rejectUnauthorized: false, secureContext };
    const fail = (error: Error) => {
      const { statusCode: status } = answer ?? {};
      const known = status === undefined ? {} : { status };
      resolve({ ...known, failure: failed(error, signal), headers: headersOf(answer), fault });
    };
    const request = (new URL(url).protocol === 'https:' ? httpsRequest : httpRequest)(url, {
      headers: { ...(accept === undefined ? {} : { accept }), 'accept-encoding': 'identity', 'user-agent': 'podpass' },
      signal,
      agent: false,
      lookup: lookupIn(addresses),
      ...tls,
    });
    request.on('error', fail);
    request.on('socket', (socket) => {
      socket.once('secureConnect', () => {
        fault = faultOf(socket as TLSSocket);
      });
    });
    request.on('response', (response) => {
      answer = response;
      const skew = skewOf(response);
      const chunks: Buffer[] = [];
      let length = 0;
      response.on('error', fail);
      response.on('data', (chunk: Buffer) => {
        length += chunk.length;
        chunks.push(chunk);
        if (length <= MAX_BYTES) return;
        response.destroy();
        const failure: Failed = { kind: 'size', message: 'the answer is over 1 MiB' };
        resolve({ status: response.statusCode ?? 0, headers: headersOf(response), skew, failure, fault });
      });
      response.on('end', () => {
        const status = response.statusCode ?? 0;
        resolve({ status, headers: headersOf(response), skew, body: Buffer.concat(chunks), fault });
      });
    });
    request.end();
  });
}

/** A cache's copy has the date at which it was made, and tells its age beside (RFC 9111 sections 4.2.3 and 5.1). */
function skewOf({ headers }: IncomingMessage): number | undefined {
  const date = Date.parse(headers.date ?? '');
  const age = /^\d{1,9}$/.test(headers.age ?? '') ? Number(headers.age) : 0;
  return Number.isNaN(date) ? undefined : date + age * 1000 - Date.now();
}

/** The chain as it is sent, which an empty store shows, and whether it is good without `--ca`. */
async function lookAtTls(url: string, addresses: readonly string[], ca: Trust, fault?: string): Promise<TlsSeen> {
  const sent = await handshake(url, addresses, []);
  const publicly = ca === undefined ? fault === undefined : await handshake(url, addresses, undefined);
  return {
    ...(fault === undefined ? {} : { fault }),
    publicly: typeof publicly === 'boolean' ? publicly : publicly !== undefined && publicly.fault === undefined,
    chain: sent?.chain ?? [],
  };
}

function handshake(
  url: string,
  addresses: readonly string[],
  ca: readonly string[] | undefined,
): Promise<{ fault: string | undefined; chain: readonly CertificateSeen[] } | undefined> {
  const host = hostOf(url);
  return new Promise((resolve) => {
    const socket = connect({
      host,
      port: Number(new URL(url).port || 443),
      lookup: lookupIn(addresses),
      ...(isIP(host) ? {} : { servername: host }),
      rejectUnauthorized: false,
      secureContext: createSecureContext(ca === undefined ? {} : { ca: [...ca] }),
    });
    const done = (seen: Parameters<typeof resolve>[0]) => {
      clearTimeout(timer);
      resolve(seen);
      socket.destroy();
    };
    const timer = setTimeout(() => done(undefined), TIMEOUT_MS);
    socket.once('error', () => done(undefined));
    socket.once('secureConnect', () => done({ fault: faultOf(socket), chain: chainOf(socket, host) }));
  });
}

function chainOf(socket: TLSSocket, host: string): CertificateSeen[] {
  const chain: CertificateSeen[] = [];
  for (let one: X509Certificate | undefined = socket.getPeerX509Certificate(); one; one = one.issuerCertificate) {
    chain.push(seenCertificate(one, host));
    if (one.issuerCertificate?.fingerprint256 === one.fingerprint256) break;
  }
  return chain;
}

const contexts = new WeakMap<readonly string[], SecureContext>();

/** Made once: reading all CAs takes longer than an exchange, whose time is measured. */
function contextFor(ca: Trust): SecureContext {
  if (ca === undefined) return createSecureContext();
  const known = contexts.get(ca) ?? createSecureContext({ ca: [...trustedCertificates(), ...ca] });
  contexts.set(ca, known);
  return known;
}

function faultOf(socket: TLSSocket): string | undefined {
  if (socket.authorized) return undefined;
  const error: unknown = socket.authorizationError;
  return typeof error === 'string' ? error : error instanceof Error ? messageOf(error) : 'unknown';
}

/** The addresses that were seen are the ones that are asked. */
function lookupIn(addresses: readonly string[]): LookupFunction {
  const all = addresses.map((address) => ({ address, family: isIP(address) }));
  return (_, { all: every }, answer) => {
    const [first] = all;
    if (every) answer(null, all);
    else answer(null, first?.address ?? '', first?.family ?? 4);
  };
}

function failed(error: Error, signal: AbortSignal): Failed {
  if (signal.aborted) return { kind: 'time', message: `no answer within ${TIMEOUT_MS / 1000} s` };
  // Several addresses failed, each with an error of its own.
  if (error instanceof AggregateError) {
    return { kind: 'connection', message: error.errors.map(messageOf).join('; ') || error.message };
  }
  const { code = '' } = error as NodeJS.ErrnoException;
  return { kind: /SSL|TLS|EPROTO/.test(code) ? 'tls' : 'connection', message: error.message.split('\n')[0] ?? '' };
}

function headersOf(response: IncomingMessage | undefined): Readonly<Record<string, string>> {
  const entries = Object.entries(response?.headers ?? {});
  return Object.fromEntries(entries.map(([name, value]) => [name, [value ?? ''].flat().join(', ')]));
}

export function jsonObject(body: Buffer | undefined): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(body?.toString('utf8') ?? '');
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : undefined;
  } catch {
    // A parser's message quotes its input.
    return undefined;
  }
}

function hostOf(url: string): string {
  return new URL(url).hostname.replace(/^\[|\]$/g, '');
}
