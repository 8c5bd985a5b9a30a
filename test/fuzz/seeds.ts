import { readdirSync, readFileSync } from 'node:fs';

/** A vector, as far as targets begin with it. */
export interface Seed {
  readonly pod: Readonly<Record<string, unknown>> & { readonly spec: Readonly<Record<string, unknown>> };
  readonly account: Readonly<Record<string, string>>;
  readonly debugContainers?: readonly object[];
}

interface Vector {
  readonly pod: Seed['pod'];
  readonly serviceAccount?: { readonly annotations: Seed['account'] };
  readonly debugContainers?: readonly object[];
}

const folder = new URL('../vectors/', import.meta.url);

/** The Pods of the vectors, with the annotations of their ServiceAccounts. */
export function podSeeds(): Seed[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith('.json'))
    .sort()
    .map((name) => JSON.parse(readFileSync(new URL(name, folder), 'utf8')) as Vector)
    .map(({ pod, serviceAccount, debugContainers }) => ({
      pod,
      account: serviceAccount?.annotations ?? {},
      ...(debugContainers === undefined ? {} : { debugContainers }),
    }));
}

export const bytesOf = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
