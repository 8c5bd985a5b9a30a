/** The servers that do less, and what they are to answer. */
import { fileURLToPath } from 'node:url';
import { AskedProcess, type Spawning } from './asked-process.ts';
import type { Running } from './podpass-process.ts';

const program = fileURLToPath(new URL('floor.mjs', import.meta.url));

export type FloorKind = 'echo' | 'uid' | 'parse' | 'express';

export interface FloorAnswer {
  readonly bytes: Buffer;
  readonly type: string;
  /** Operations of a JSON Patch. */
  readonly patch?: readonly object[];
  readonly auditAnnotations?: object;
}

export async function startFloor(
  kind: FloorKind,
  tls: { readonly certFile: string; readonly keyFile: string },
  spawning: Spawning,
): Promise<Running> {
  const floor = new AskedProcess(`the floor ${kind}`, [program, kind, tls.certFile, tls.keyFile], spawning);
  return { process: floor, port: (await floor.listening()).port };
}

export async function answerWith({ process }: Running, { bytes, ...rest }: FloorAnswer): Promise<void> {
  await process.ask('use', { ...rest, bytes: bytes.toString('base64') });
}
