/** What the API server answers, as far as it is read here. */
import type { KubeErrorCode } from '../../src/runtime/kube-client.ts';

/** All ServiceAccounts. */
export const PATH = '/api/v1/serviceaccounts';

export interface Metadata {
  readonly namespace?: string;
  readonly name?: string;
  readonly resourceVersion?: string;
  readonly annotations?: Readonly<Record<string, string>> | null;
}

export interface KubeObject {
  readonly kind?: string;
  readonly metadata?: Metadata;
  readonly code?: number;
  readonly reason?: string;
}

/** One object is at most 1.5 MiB in etcd, and JSON may write a byte of it as six: 9 MiB, with room for the rest. */
export const MAX_BYTES = 16 * 1024 * 1024;

/** The server's history does not reach back to where we are, or where we are cannot be told: list again. */
export class OutOfStep extends Error {}

/** Throws OutOfStep for anything but an object. */
export function parse<T extends object>(bytes: Buffer): T {
  try {
    const value: unknown = JSON.parse(bytes.toString());
    if (typeof value === 'object' && value !== null) return value as T;
  } catch {
    // The parser's message quotes its input, so it is not passed on.
  }
  throw new OutOfStep('the API server sent something that is not a JSON object');
}

/** The code of a KubeError. */
export function codeOf(error: unknown): KubeErrorCode | undefined {
  return error instanceof Error && error.name === 'KubeError'
    ? (error as Error & { code: KubeErrorCode }).code
    : undefined;
}
