import { readFileSync } from 'node:fs';
import type { Socket } from 'node:net';

/** The open connections of one server. */
export interface Connections {
  /** A new one, before its TLS handshake. Where it is one too many, the one that has been idle longest is cut. */
  add(socket: Socket): void;
  /** The connection of a socket, which may also be the TLS one above it; undefined when it is gone. */
  of(socket: Socket): Connection | undefined;
  /** Cuts all of them, also those that are still in their handshake, which `closeAllConnections()` does not know. */
  cut(): void;
}

/** A connection, idle or with requests in the works. */
export interface Connection {
  begin(): void;
  end(): void;
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
  // By the addresses of both ends, as a TLS socket does not tell which socket is below it.
  const open = new Map<string, Tracked>();
  // The same for each request on a connection.
  const known = new WeakMap<Socket, Tracked>();
  let changes = 0;
  const track = (key: string, socket: Socket): Tracked => ({
    ...{ key, socket, working: 0, since: ++changes },
    begin() {
      this.working += 1;
      if (this.working === 1) this.since = ++changes;
    },
    end() {
      this.working -= 1;
      if (this.working === 0) this.since = ++changes;
    },
  });
  const forget = (tracked: Tracked) => {
    if (open.get(tracked.key) === tracked) open.delete(tracked.key);
  };
  return {
    add(socket) {
      // It has gone already.
      if (socket.remotePort === undefined) return void socket.destroy();
      const tracked = track(keyOf(socket), socket);
      open.set(tracked.key, tracked);
      socket.once('close', () => forget(tracked));
      if (open.size <= max) return;
      const dispensable = leastMissed(open);
      if (dispensable === undefined) return;
      forget(dispensable);
      dispensable.socket.destroy();
    },
    of(socket) {
      const tracked = known.get(socket) ?? open.get(keyOf(socket));
      if (tracked !== undefined) known.set(socket, tracked);
      return tracked;
    },
    cut() {
      for (const { socket } of open.values()) socket.destroy();
    },
  };
}

interface Tracked extends Connection {
  readonly key: string;
  readonly socket: Socket;
  /** Requests in the works. */
  working: number;
  /** The number of the change, of all connections', by which it became idle or busy. */
  since: number;
}

/** The one that has been idle longest, or busy where none is idle. Looked for among all, as that happens seldom. */
function leastMissed(open: ReadonlyMap<string, Tracked>): Tracked | undefined {
  let found: Tracked | undefined;
  for (const each of open.values()) {
    const isIdle = each.working === 0;
    const isFoundIdle = found?.working === 0;
    if (found === undefined || (isIdle === isFoundIdle ? each.since < found.since : isIdle)) found = each;
  }
  return found;
}

function keyOf({ localAddress, remoteAddress, remotePort }: Socket): string {
  return `${localAddress} ${remoteAddress} ${remotePort}`;
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
