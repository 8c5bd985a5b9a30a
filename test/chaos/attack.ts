/** Clients that mean harm, in processes of their own: what keeps them busy must not slow down who counts. */
import { mkdtemp, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Guardian, Server } from '../cluster/servers.ts';

/** The files in attackers/. */
export type Attacker = 'slow-sockets' | 'connections' | 'bodies';

/**
 * Attacks a port of the loopback for so long, and returns what the attacker counted. It is killed when this process
 * ends, whatever ends it.
 */
export async function attack(attacker: Attacker, port: number, ms: number): Promise<Record<string, number>> {
  const folder = await mkdtemp(join(tmpdir(), 'podpass-attack-'));
  const guardian = new Guardian(folder);
  try {
    const script = fileURLToPath(new URL(`attackers/${attacker}.mjs`, import.meta.url));
    const log = join(folder, 'log');
    const server = new Server(guardian, attacker, process.execPath, [script, String(port), String(ms)], log);
    const how = await server.exited;
    const output = await readFile(log, 'utf8');
    if (how !== 'exit code 0') throw new Error(`the attacker ${attacker} ended with ${how}: ${output}`);
    return JSON.parse(output);
  } finally {
    await guardian.end();
  }
}
