import type { IncomingMessage } from 'node:http';
import { Fault } from '../src/fault.ts';
import { sleep } from '../src/sleep.ts';

const MiB = 1024 * 1024;

/** The API server escapes `<`, `>` and `&` as six bytes each: a Pod of 2.9 MiB makes a review of 17.4 MiB. */
export const MAX_BODY = 20 * MiB;

/** What all ordinary requests, and all large ones, may hold in memory together; beyond it, the API server is asked to come again. */
export const MAX_IN_FLIGHT = 64 * MiB;

/**
 * Above this a body is one of few. They have a budget of their own, so that they cannot keep the ordinary ones out, and
 * are worked on one after the other, as JSON takes many times its size in memory.
 */
const LARGE = MiB;

/** How much of a refused body is read and dropped, so that its sender gets to see the answer. */
const MAX_DROPPED = 4 * MAX_BODY;
/** For how long, in milliseconds. */
const DROP_MS = 1_000;

/** Reads request bodies within one common limit. */
export interface BodyReader {
  /**
   * Hands the whole body to `use`, and counts it as held until that is done. Throws a Fault: `unsupported_media_type`,
   * `payload_too_large`, `overloaded`, or `bad_request` where the sender went away.
   */
  read<T>(request: IncomingMessage, use: (body: Buffer) => Promise<T>): Promise<T>;
}

export function createBodyReader(maxBody: number = MAX_BODY, maxInFlight: number = MAX_IN_FLIGHT): BodyReader {
  const held = { ordinary: 0, large: 0 };
  let largeOnes: Promise<unknown> = Promise.resolve();
  return {
    async read(request, use) {
      checkType(request);
      const chunks: Buffer[] = [];
      let length = 0;
      let kind: keyof typeof held = 'ordinary';
      try {
        for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
          length += chunk.length;
          held[kind] += chunk.length;
          if (length > maxBody) throw new Fault('payload_too_large', `the body is over ${maxBody} bytes`);
          if (kind === 'ordinary' && length > LARGE) {
            held.ordinary -= length;
            held.large += length;
            kind = 'large';
          }
          if (held[kind] > maxInFlight) {
            throw new Fault('overloaded', 'too many requests at once', { headers: { 'Retry-After': '1' } });
          }
          chunks.push(chunk);
        }
        if (kind === 'ordinary') return await use(Buffer.concat(chunks, length));
        const turn = largeOnes.then(() => use(Buffer.concat(chunks, length)));
        largeOnes = turn.catch(() => {});
        return await turn;
      } catch (error) {
        if (request.errored !== null) throw new Fault('bad_request', 'the body ended too early', { cause: error });
        throw error;
      } finally {
        held[kind] -= length;
      }
    },
  };
}

/** `application/json`, with or without parameters, as it is: no compression. */
function checkType({ headers }: IncomingMessage): void {
  const type = headers['content-type']?.split(';')[0]?.trim().toLowerCase();
  if (type !== 'application/json') {
    throw new Fault('unsupported_media_type', 'the Content-Type must be application/json');
  }
  const encoding = headers['content-encoding']?.trim().toLowerCase() ?? 'identity';
  if (encoding !== 'identity') throw new Fault('unsupported_media_type', 'the body must not be compressed');
}

/**
 * Reads and drops what is left of a refused body, for a moment. To answer and close earlier would reset the connection
 * while the API server still sends, and it would see the reset instead of the answer.
 */
export async function dropRest(request: IncomingMessage): Promise<void> {
  if (request.complete || request.destroyed) return;
  let dropped = 0;
  const ended = new AbortController();
  const end = () => ended.abort();
  request.on('data', (chunk: Buffer) => {
    dropped += chunk.length;
    if (dropped > MAX_DROPPED) end();
  });
  for (const event of ['end', 'close', 'error']) request.once(event, end);
  request.resume();
  await sleep(DROP_MS, ended.signal);
}
