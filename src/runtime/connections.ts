import { readFileSync } from 'node:fs';
import type { Socket } from 'node:net';

/** The open connections of one server. */
export interface Connections {
  /** A new one, before its TLS handshake. Where it is one too many, the one that has been idle longest is cut. */
  add(socket: Socket): void;
  /** A request is in the works on this connection (also the TLS one above it) until the returned function is called. */
  work(socket: Socket): () => void;
  /** Cuts all of them, also those that are still in their handshake, which `closeAllConnections()` does not know. */
  cut(): void;
}

/**
 * An idle connection over TLS holds some 60 KiB. Two thousand fit into the memory of the manifests, and are more than
 * several API servers have requests in flight.
 */
const MOST = 2_000;

/** How many connections a server may hold: no more than a third of the files that the process may open. */
export function connectionLimit(): number {
  return Math.min(MOST, Math.floor(openFilesLimit() / 3));
}

/** Refusing new ones instead would let whoever came first keep the API server out. */
export function trackConnections(max: number): Connections {
  // By the other end's address, as a TLS socket does not tell which socket is below it. The oldest comes first.
  const idle = new Map<string, Socket>();
  const busy = new Map<string, Socket>();
  // The same for each request on a connection.
  const keys = new WeakMap<Socket, string>();
  const move = (key: string, from: Map<string, Socket>, to: Map<string, Socket>) => {
    const socket = from.get(key);
    if (socket === undefined) return;
    from.delete(key);
    to.set(key, socket);
  };
  const forget = (key: string, socket: Socket) => {
    for (const state of [idle, busy]) if (state.get(key) === socket) state.delete(key);
  };
  return {
    add(socket) {
      // It has gone already.
      if (socket.remotePort === undefined) return void socket.destroy();
      const key = keyOf(socket);
      idle.set(key, socket);
      socket.once('close', () => forget(key, socket));
      if (idle.size + busy.size <= max) return;
      const [oldest] = idle.size > 0 ? idle : busy;
      if (oldest === undefined) return;
      forget(...oldest);
      oldest[1].destroy();
    },
    work(socket) {
      const key = keys.get(socket) ?? keyOf(socket);
      keys.set(socket, key);
      move(key, idle, busy);
      return () => move(key, busy, idle);
    },
    cut() {
      for (const socket of [...idle.values(), ...busy.values()]) socket.destroy();
    },
  };
}

function keyOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}

/** Linux tells it; elsewhere it is not known and does not matter. */
function openFilesLimit(): number {
  try {
    const [, soft] = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8')) ?? [];
    return soft === undefined ? Number.POSITIVE_INFINITY : Number(soft);
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}
