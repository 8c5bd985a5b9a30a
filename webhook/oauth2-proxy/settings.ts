import type { CommandSettings } from '../../src/catalog/commands.ts';

/** What all Pods with oauth2-proxy have in common. */
export interface ProxySettings {
  readonly image: string;
  readonly mode: CommandSettings<'webhook'>['oauth2ProxyMode'];
  /** Of the callers' tokens; absent while nobody knows it. */
  readonly issuer: string | undefined;
  /** For Pods that name none. */
  readonly caConfigMap: string | undefined;
  /** The y of Kubernetes 1.y; absent while nobody knows it, and then taken to be a new one. */
  readonly minor: number | undefined;
}

/** What the API server tells of itself. */
export interface ClusterFacts {
  readonly issuer?: string | undefined;
  readonly minor?: number | undefined;
}

export function proxySettings(
  settings: Pick<
    CommandSettings<'webhook'>,
    'oauth2ProxyImage' | 'oauth2ProxyMode' | 'oauth2ProxyIssuer' | 'oauth2ProxyCaConfigMap'
  >,
  cluster: ClusterFacts = {},
): ProxySettings {
  return {
    image: settings.oauth2ProxyImage,
    mode: settings.oauth2ProxyMode,
    issuer: settings.oauth2ProxyIssuer ?? cluster.issuer,
    caConfigMap: settings.oauth2ProxyCaConfigMap,
    minor: cluster.minor,
  };
}
