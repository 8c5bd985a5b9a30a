import type { IncomingMessage } from 'node:http';
import { Fault } from '../src/fault.ts';

const MiB = 1024 * 1024;

/** The API server escapes `<`, `>` and `&` as six bytes each: a Pod of 2.9 MiB makes a review of 17.4 MiB. */
export const MAX_BODY = 20 * MiB;

/** What all requests together may hold in memory; beyond it, the API server is asked to come again. */
export const MAX_IN_FLIGHT = 64 * MiB;

/** How much of a refused body is read and dropped, so that its sender gets to see the answer. */
const MAX_DROPPED = 4 * MAX_BODY;

/** Reads request bodies within one common limit. */
export interface BodyReader {
  /**
   * Hands the whole body to `use`, and counts it as held until that is done. Throws a Fault: `unsupported_media_type`,
   * `payload_too_large`, `overloaded`, or `bad_request` where the sender went away.
   */
  read<T>(request: IncomingMessage, use: (body: Buffer) => Promise<T>): Promise<T>;
}

export function createBodyReader(maxBody: number = MAX_BODY, maxInFlight: number = MAX_IN_FLIGHT): BodyReader {
  let inFlight = 0;
  return {
    async read(request, use) {
      checkType(request);
      const chunks: Buffer[] = [];
      let length = 0;
      try {
        for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
          length += chunk.length;
          inFlight += chunk.length;
          if (length > maxBody) throw new Fault('payload_too_large', `the body is over ${maxBody} bytes`);
          if (inFlight > maxInFlight) {
            throw new Fault('overloaded', 'too many requests at once', { headers: { 'Retry-After': '1' } });
          }
          chunks.push(chunk);
        }
        return await use(Buffer.concat(chunks, length));
      } catch (error) {
        if (request.errored !== null) throw new Fault('bad_request', 'the body ended too early', { cause: error });
        throw error;
      } finally {
        inFlight -= length;
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
 * Reads and drops what is left of a refused body. To answer and close earlier would reset the connection, and the
 * sender would see the reset instead of the answer.
 */
export async function dropRest(request: IncomingMessage): Promise<void> {
  if (request.complete || request.destroyed) return;
  let dropped = 0;
  await new Promise<void>((resolve) => {
    request.on('data', (chunk: Buffer) => {
      dropped += chunk.length;
      if (dropped > MAX_DROPPED) resolve();
    });
    for (const event of ['end', 'close', 'error']) request.once(event, () => resolve());
    request.resume();
  });
}
