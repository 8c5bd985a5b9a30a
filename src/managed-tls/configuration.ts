import { X509Certificate } from 'node:crypto';
import { type Authority, newestFirst, pemBlocks, readAuthority } from './authority.ts';

/** A caBundle, taken apart. */
export interface Bundle {
  readonly authorities: readonly Authority[];
  /** Certificates that are not of ours, in PEM: others put them there, as before a move to managed certificates. */
  readonly others: readonly string[];
  /** There is something that is no certificate. */
  readonly garbage: boolean;
}

/** Of a MutatingWebhookConfiguration, what concerns certificates. */
export interface Configuration {
  readonly version: string;
  readonly bundles: readonly Bundle[];
}

interface WebhookConfigurationObject {
  readonly metadata?: { readonly resourceVersion?: unknown };
  readonly webhooks?: readonly { readonly clientConfig?: { readonly caBundle?: unknown } }[] | null;
}

/** Reads the object as the API server gives it. */
export function readConfiguration(object: object): Configuration {
  const { metadata, webhooks } = object as WebhookConfigurationObject;
  const bundles = (webhooks ?? []).map(({ clientConfig }) => readBundle(clientConfig?.caBundle));
  return { version: String(metadata?.resourceVersion ?? ''), bundles };
}

function readBundle(caBundle: unknown): Bundle {
  const text = typeof caBundle === 'string' ? Buffer.from(caBundle, 'base64').toString('utf8') : '';
  const { blocks, rest } = pemBlocks(text);
  const authorities: Authority[] = [];
  const others: string[] = [];
  let garbage = rest;
  for (const pem of blocks) {
    const authority = readAuthority(pem);
    if (authority !== undefined) authorities.push(authority);
    else if (isCertificate(pem)) others.push(`${pem}\n`);
    else garbage = true;
  }
  return { authorities: newestFirst(authorities), others, garbage };
}

function isCertificate(pem: string): boolean {
  try {
    return new X509Certificate(pem).raw.length > 0;
  } catch {
    return false;
  }
}

export interface PatchOperation {
  readonly op: 'test' | 'add';
  readonly path: string;
  readonly value: string;
}

/**
 * The JSON Patch (RFC 6902) that sets the caBundle of these entries, certificates of others kept, and nothing else. It applies only to the version that
 * was read, since entries have no other address than their place in the list.
 */
export function patchBundles(
  { version, bundles }: Configuration,
  entries: readonly number[],
  authorities: readonly Authority[],
): readonly PatchOperation[] {
  const ours = authorities.map(({ cert }) => cert);
  const value = (entry: number) =>
    Buffer.from([...ours, ...(bundles[entry]?.others ?? [])].join('')).toString('base64');
  return [
    { op: 'test', path: '/metadata/resourceVersion', value: version },
    ...entries.map((entry) => {
      return { op: 'add' as const, path: `/webhooks/${entry}/clientConfig/caBundle`, value: value(entry) };
    }),
  ];
}
