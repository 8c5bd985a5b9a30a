import { Forwarder } from './forwarder.ts';

/** So long a connection may be silent; what polls less often meets another server each time. */
const IDLE_MS = 300;

/** Sends each new connection to the next one of some ports of the loopback, and ends connections that are idle. */
export function alternate(ports: readonly number[]): Promise<Forwarder> {
  let turn = 0;
  return Forwarder.start(() => ports[turn++ % ports.length], IDLE_MS);
}
