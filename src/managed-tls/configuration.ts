import { type Authority, newestFirst, pemBlocks, readAuthority } from './authority.ts';

/** A caBundle: the CAs of ours in it, and whether there is anything else. */
export interface Bundle {
  readonly authorities: readonly Authority[];
  readonly foreign: boolean;
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
  const authorities = blocks.flatMap((pem) => readAuthority(pem) ?? []);
  return { authorities: newestFirst(authorities), foreign: rest || authorities.length < blocks.length };
}

export interface PatchOperation {
  readonly op: 'test' | 'add';
  readonly path: string;
  readonly value: string;
}

/**
 * The JSON Patch (RFC 6902) that sets the caBundle of these entries and nothing else. It applies only to the version that
 * was read, since entries have no other address than their place in the list.
 */
export function patchBundles(
  { version }: Configuration,
  entries: readonly number[],
  authorities: readonly Authority[],
): readonly PatchOperation[] {
  const value = Buffer.from(authorities.map(({ cert }) => cert).join('')).toString('base64');
  return [
    { op: 'test', path: '/metadata/resourceVersion', value: version },
    ...entries.map((entry) => ({ op: 'add' as const, path: `/webhooks/${entry}/clientConfig/caBundle`, value })),
  ];
}
