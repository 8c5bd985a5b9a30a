/** One connection over TLS, with one request under way at a time: Node's own client would cost more than the servers. */
import { connect, type TLSSocket } from 'node:tls';
import { responseLength, statusOf } from './response.ts';

export class Connection {
  readonly #socket: TLSSocket;
  #received: Buffer | undefined;
  #answered: ((response: Buffer) => void) | undefined;
  #failed: ((error: Error) => void) | undefined;
  #broken: Error | undefined;

  private constructor(socket: TLSSocket) {
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.on('data', (chunk) => this.#receive(chunk));
    socket.on('error', (error) => this.#fail(error));
    socket.on('close', () => this.#fail(new Error('the server ended the connection')));
  }

  /** Without a CA any certificate is good. */
  static open(port: number, ca: string | undefined): Promise<Connection> {
    return new Promise((fulfil, reject) => {
      // Go and Node prefer different ciphers; this is the one that an API server gets from a server of Go.
      const ciphers = 'TLS_AES_128_GCM_SHA256';
      const trust = ca === undefined ? { rejectUnauthorized: false } : { ca };
      const socket = connect({ host: '127.0.0.1', port, ciphers, ...trust }, () => {
        socket.off('error', reject);
        fulfil(new Connection(socket));
      });
      socket.once('error', reject);
    });
  }

  /** Calls `answered` with the whole answer, or `failed`. */
  send(request: Buffer, answered: (response: Buffer) => void, failed: (error: Error) => void): void {
    if (this.#broken !== undefined) {
      failed(this.#broken);
      return;
    }
    this.#answered = answered;
    this.#failed = failed;
    this.#socket.write(request);
  }

  ask(request: Buffer): Promise<Buffer> {
    return new Promise((fulfil, reject) => this.send(request, (response) => fulfil(Buffer.from(response)), reject));
  }

  close(): void {
    this.#socket.destroy();
  }

  /** The server has left, or what it said made no sense. */
  get broken(): boolean {
    return this.#broken !== undefined;
  }

  #receive(chunk: Buffer): void {
    // Such as Node's 408 to who has never asked anything.
    if (this.#answered === undefined) return void this.#fail(new Error('the server said something by itself'));
    const received = this.#received === undefined ? chunk : Buffer.concat([this.#received, chunk]);
    this.#received = received;
    let length: number | undefined;
    try {
      length = responseLength(received);
    } catch (error) {
      return void this.#fail(error as Error);
    }
    if (length === undefined) return;
    if (received.length > length) return void this.#fail(new Error('more than was asked for'));
    this.#received = undefined;
    const answered = this.#answered;
    this.#answered = undefined;
    answered(received);
  }

  #fail(error: Error): void {
    this.#broken ??= error;
    if (this.#answered === undefined) return;
    this.#answered = undefined;
    this.#failed?.(error);
  }
}

/** Throws for every status but 200 and 201. */
export function checkStatus(response: Buffer): void {
  const status = statusOf(response);
  if (status !== 200 && status !== 201) throw new Error(`answered with ${status}: ${response.toString()}`);
}
