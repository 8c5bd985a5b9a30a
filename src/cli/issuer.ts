import { isLoopback } from '../codec.ts';
import type { Problem } from '../fault.ts';

/** An http issuer proves nothing, as anyone on the way can change its keys; on loopback there is no way. */
export function issuerProblem(command: string, issuer: string, accepted: string): Problem | undefined {
  if (!issuer.startsWith('http:') || isLoopback(new URL(issuer).hostname)) return undefined;
  return { object: `podpass ${command}`, key: '--issuer', value: issuer, wrong: 'is not https', accepted };
}
