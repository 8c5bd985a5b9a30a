import type { PresetName } from '../../catalog/presets.ts';
import { settingRows } from '../../catalog/settings.ts';

/** A Kubernetes object as it is written into a file. */
export interface KubeObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly [field: string]: unknown;
}

/** What differs between installations. */
export interface Installation {
  readonly namespace: string;
  readonly image: string;
  /** The issuer that discovery serves; without it, it asks the cluster. */
  readonly issuer?: string | undefined;
  /** Where the webhook's certificate comes from: itself, or a Secret that cert-manager keeps. */
  readonly tls: 'managed' | 'cert-manager';
  /** The presets that take the place of the clouds' own webhooks; absent: the default, beside podpass' own annotations. */
  readonly presets?: readonly PresetName[];
  /** Debug containers get tokens too. */
  readonly ephemeralContainers?: boolean;
  /** discovery keeps its state in a ConfigMap. */
  readonly keyState?: boolean;
  /** discovery may read the mark by which copies of its documents are known as this cluster's. */
  readonly publishing?: boolean;
  /** discovery may resolve names, for copies and key sources outside the cluster. */
  readonly dns?: boolean;
}

/**
 * The webhook runs as two halves, each with a Service of its own, so that the registration can lead a second try away from
 * where the first one went (registration.ts).
 */
export const HALVES = ['a', 'b'] as const;
export type Half = (typeof HALVES)[number];

export type Service = 'webhook' | 'discovery';

/** Every name that objects refer to each other by. Names of cluster-wide objects are the same in every namespace. */
export const names = {
  /** Both halves. */
  webhook: 'podpass-webhook',
  halves: { a: 'podpass-webhook-a', b: 'podpass-webhook-b' },
  discovery: 'podpass-discovery',
  /** Of `--tls-mode managed` it is created empty, as a right to create Secrets could not be narrowed to a name. */
  tlsSecret: 'podpass-webhook-tls',
  /** cert-manager's, of another type: a Secret cannot change its type. */
  certificateSecret: 'podpass-webhook-certificate',
  /** Settings of the webhook as environment variables, for who has no other way to say them; it need not be there. */
  settings: 'podpass-webhook-settings',
  /** The ConfigMap of `--state`, and the Role for it. It is created empty, for the same reason as the Secret. */
  keyState: 'podpass-keys',
  publishing: 'podpass-discovery-publishing',
  /** The MutatingWebhookConfiguration, and the policy that looks at what it left. */
  registration: 'podpass',
  /** The policy that looks whether oauth2-proxy is there. */
  proxyPolicy: 'podpass-oauth2-proxy',
  certificate: 'podpass-webhook',
  certificateAuthority: 'podpass-webhook-ca',
  selfSigned: 'podpass-webhook-self-signed',
} as const;

/** What selects the Pods of a service; it can never change, as a Deployment's selector cannot. */
export function selectorOf(service: Service): Readonly<Record<string, string>> {
  return { 'app.kubernetes.io/name': 'podpass', 'app.kubernetes.io/component': service };
}

/** On the Pods of a half, beside what selects the Pods of both. */
export const HALF_LABEL = `${settingRows.annotationPrefix.default}/half`;

/** The metadata of an object of a service; `namespace` only for one that is in one. */
export function metadataOf(service: Service, name: string, namespace?: string) {
  return { name, ...(namespace === undefined ? {} : { namespace }), labels: selectorOf(service) };
}
