import { Fault } from '../../src/fault.ts';

export type Annotations = Readonly<Record<string, string>>;

/** A ServiceAccount as far as it matters here: of its annotations only those under the prefixes asked for. */
export interface ServiceAccount {
  readonly namespace: string;
  readonly name: string;
  readonly annotations: Annotations;
}

export interface FoundServiceAccount {
  readonly found: true;
  /** From the cache its annotations are the same object until they change. */
  readonly serviceAccount: ServiceAccount;
  readonly source: 'cache' | 'live';
}

export type ServiceAccountLookup = FoundServiceAccount | { readonly found: false; readonly source: 'live' };

export interface ServiceAccountSource {
  /** Rejects with ServiceAccountUnavailable when nobody could tell in time. */
  get(namespace: string, name: string): Promise<ServiceAccountLookup>;
}

/** Neither the cache nor the API server could tell: HTTP 503, so that the webhook's failurePolicy decides. */
export class ServiceAccountUnavailable extends Fault {
  constructor(namespace: string, name: string, cause: unknown) {
    super('unavailable', `ServiceAccount ${namespace}/${name} cannot be read at the moment`, { cause });
    this.name = 'ServiceAccountUnavailable';
  }
}

export const NO_ANNOTATIONS: Annotations = Object.freeze({});

/** Whether an annotation of this key is read by anyone here. */
export type Wanted = (key: string) => boolean;

/** The annotations that are wanted, or NO_ANNOTATIONS itself. */
export function pick(annotations: Annotations | null | undefined, wanted: Wanted): Annotations {
  let picked: Record<string, string> | undefined;
  for (const key in annotations) {
    if (!wanted(key)) continue;
    const value: unknown = annotations[key];
    picked ??= {};
    // Not String(), which calls what an object has under `toString`.
    picked[key] = typeof value === 'string' ? value : JSON.stringify(value);
  }
  return picked === undefined ? NO_ANNOTATIONS : Object.freeze(picked);
}
