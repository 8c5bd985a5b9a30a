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

/**
 * A body that has been on its way for this long, in milliseconds, makes room when there is none: the API server sends at
 * once, and whoever sends slowly must not keep it out.
 */
const SLOW_MS = 1_000;

/** What a piece of a body takes in memory beside its bytes; a client may send a million of one byte each. */
const PIECE = 512;

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

/** A body that is held. */
interface Body {
  /** When it was seen to come in several pieces. */
  since: number;
  chunks: Buffer[];
  length: number;
  kind: 'ordinary' | 'large';
  /** Ends the reading of it. */
  refuse(fault: Fault): void;
}

/** What is held of a body, in bytes. */
const costOf = ({ length, chunks }: Body) => length + chunks.length * PIECE;

export function createBodyReader(maxBody: number = MAX_BODY, maxInFlight: number = MAX_IN_FLIGHT): BodyReader {
  const held = { ordinary: 0, large: 0 };
  /** Those of which a piece is still to come, the oldest first. Most bodies come in one piece and are never in it. */
  const receiving = new Set<Body>();
  let largeOnes: Promise<unknown> = Promise.resolve();

  function release(body: Body): void {
    held[body.kind] -= costOf(body);
    body.length = 0;
    body.chunks = [];
  }

  function makeRoom({ kind }: Body): void {
    const now = performance.now();
    for (const other of receiving) {
      if (held[kind] <= maxInFlight || now - other.since < SLOW_MS) return;
      if (other.kind === kind) {
        other.refuse(overloaded());
        release(other);
      }
    }
  }

  function take(body: Body, chunk: Buffer, expected: number): void {
    if (body.chunks.length === 0 && chunk.length !== expected) {
      body.since = performance.now();
      receiving.add(body);
    }
    body.length += chunk.length;
    body.chunks.push(chunk);
    held[body.kind] += chunk.length + PIECE;
    if (body.length > maxBody) body.refuse(tooLarge(maxBody));
    if (body.kind === 'ordinary' && costOf(body) > LARGE) {
      held.ordinary -= costOf(body);
      held.large += costOf(body);
      body.kind = 'large';
    }
    if (held[body.kind] > maxInFlight) makeRoom(body);
    if (held[body.kind] > maxInFlight) body.refuse(overloaded());
  }

  return {
    async read(request, use) {
      checkType(request);
      const body: Body = { since: 0, chunks: [], length: 0, kind: 'ordinary', refuse() {} };
      const expected = Number(request.headers['content-length']);
      try {
        await receive(request, body, {
          take: (chunk) => take(body, chunk, expected),
          settled: () => receiving.delete(body),
        });
        const [first] = body.chunks;
        const whole = () => use(first?.length === body.length ? first : Buffer.concat(body.chunks, body.length));
        if (body.kind === 'ordinary') return await whole();
        const turn = largeOnes.then(whole);
        largeOnes = turn.catch(() => {});
        return await turn;
      } finally {
        release(body);
      }
    },
  };
}

/** Hands on the chunks of a request until its end, or until the body is refused; then it is settled, once. */
function receive(
  request: IncomingMessage,
  body: Body,
  { take, settled }: { take: (chunk: Buffer) => void; settled: () => void },
): Promise<void> {
  return new Promise((resolve, reject) => {
    let isSettled = false;
    const settle = () => {
      isSettled = true;
      settled();
    };
    body.refuse = (fault) => {
      if (isSettled) return;
      settle();
      request.off('data', take).pause();
      reject(fault);
    };
    const end = () => {
      settle();
      resolve();
    };
    const broken = (cause?: unknown) => {
      // After its end it is closed, too.
      if (isSettled) return;
      body.refuse(new Fault('bad_request', 'the body ended too early', cause === undefined ? {} : { cause }));
    };
    if (request.destroyed) return broken();
    request.on('data', take).on('end', end).on('close', broken).on('error', broken);
  });
}

function overloaded(): Fault {
  return new Fault('overloaded', 'too many requests at once', { headers: { 'Retry-After': '1' } });
}

function tooLarge(maxBody: number): Fault {
  return new Fault('payload_too_large', `the body is over ${maxBody} bytes`);
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
