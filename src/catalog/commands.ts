import { consumerNames, optionKeys } from './consumers.ts';
import type { SettingKey, SettingValue } from './settings.ts';

/** Every command: what it does, and the settings it takes, in the order of its help. */
export interface CommandRow {
  readonly summary: string;
  readonly about: string;
  /** What follows the flags, as in `TOKEN|-`; absent where nothing may. */
  readonly argument?: string;
  readonly settings: readonly SettingKey[];
  /** Settings without which the command cannot run. */
  readonly required?: readonly SettingKey[];
  /** Takes `issuers` in the config file, a list of objects with any settings but these, which are the process's own. */
  readonly issuers?: { readonly whole: readonly SettingKey[] };
  /** Settings that belong to some values of another setting: refused with the others, or also needed with their own. */
  readonly modes?: {
    readonly of: SettingKey;
    readonly values: Readonly<
      Record<string, { readonly needs?: readonly SettingKey[]; readonly takes?: readonly SettingKey[] }>
    >;
  };
}

/** What decides what happens to a Pod; the same for the webhook and for `mutate`. */
const admission = [
  ...(['annotationPrefix', 'mountPath', 'tokenExpiration', 'reservedAudiences', 'presets'] as const),
  ...(['awsAnnotationPrefix', 'awsTokenAudience', 'awsTokenExpiration', 'awsMountPath', 'awsDefaultRegion'] as const),
  ...(['awsStsRegionalEndpoint', 'awsContainerCredentialsConfig', 'awsContainerCredentialsAudience'] as const),
  ...(['awsContainerCredentialsMountPath', 'awsContainerCredentialsFullUri'] as const),
  ...(['azureTenantId', 'azureAuthorityHost', 'azureTokenAudience', 'azureTokenExpiration'] as const),
  ...(['gcpAnnotationPrefix', 'gcpTokenAudience', 'gcpTokenExpiration', 'gcpDefaultRegion'] as const),
  ...(['oauth2ProxyIssuer', 'oauth2ProxyCaConfigMap', 'oauth2ProxyImage', 'oauth2ProxyMode'] as const),
] as const;
/** What `--tls-mode managed` goes by. */
const managedTls = [
  ...(['tlsSecret', 'tlsService', 'tlsName', 'tlsCertLifetime', 'tlsCaLifetime'] as const),
  'webhookConfiguration',
] as const;
const always = ['config', 'help'] as const;

export const commandRows = {
  webhook: {
    summary: 'serves the mutating admission webhook over HTTPS',
    about:
      'Answers POST /mutate (AdmissionReview v1) and adds the tokens that annotations ask for to Pods at their creation.',
    settings: [
      ...(['kubeconfig', 'bindAddress', 'port', 'metricsPort', 'tlsMode', 'tlsCert', 'tlsKey'] as const),
      ...(['namespace', ...managedTls] as const),
      ...admission,
      ...(['serviceAccountLookupTimeout', 'ephemeralContainers', 'shutdownDelay', 'logLevel'] as const),
      ...always,
    ],
    modes: { of: 'tlsMode', values: { files: { needs: ['tlsCert', 'tlsKey'] }, managed: { takes: managedTls } } },
  },
  discovery: {
    summary: 'serves the documents of an issuer, or of several, and keeps copies of them up to date',
    about:
      "Serves <issuer>/.well-known/openid-configuration and the JWK Set of the API server's public signing keys, so that anyone can verify its tokens. With issuers in the config file, the same for each of them.",
    settings: [
      ...([
        'issuer',
        'keySource',
        'kubeconfig',
        'context',
        'keys',
        'jwksUrl',
        'pollInterval',
        'holdDown',
        'revoke',
        'bindAddress',
        'port',
      ] as const),
      ...(['tlsCert', 'tlsKey', 'metricsPort', 'cacheMaxAge', 'allowHttpIssuer', 'allowPrivateKeys'] as const),
      ...(['publishTo', 's3Endpoint', 'state', 'shutdownDelay', 'logLevel'] as const),
      ...always,
    ],
    issuers: {
      whole: [
        'state',
        'bindAddress',
        'port',
        'tlsCert',
        'tlsKey',
        'metricsPort',
        'shutdownDelay',
        'logLevel',
        ...always,
      ],
    },
  },
  demo: {
    summary: 'shows the whole way of a token on loopback, without a cluster',
    about:
      'Starts both services with an embedded development issuer, sends a Pod through the webhook, mints and verifies its tokens, and keeps serving.',
    settings: ['once', 'help'],
  },
  mutate: {
    summary: 'prints what the webhook would do to the Pods and workloads in a file',
    about:
      'Reads Pods, Deployments, StatefulSets, DaemonSets, ReplicaSets, Jobs, CronJobs and Lists; other kinds stay as they are. ServiceAccounts in the same input count; with --kubeconfig the others are read from the cluster.',
    settings: ['file', 'output', 'kubeconfig', ...admission, 'serviceAccountLookupTimeout', ...always],
    required: ['file'],
  },
  jwks: {
    summary: 'prints the JWK Set of key files or of a cluster',
    about:
      'A key that cannot be published is named on standard error; the good ones are printed, and the exit code is 1.',
    settings: ['keys', 'kubeconfig', 'allowPrivateKeys', ...always],
  },
  keys: {
    summary: 'shows every key of an issuer, and how far a rotation has come',
    about:
      'Shows why each key is or is not published and when it goes, whether it is safe to sign with it, and whether it is safe to remove it, with the times that decide it. Reads the state that discovery keeps, the key sources that are named, or both.',
    settings: [
      ...(['state', 'issuer', 'keySource', 'kubeconfig', 'context', 'keys', 'jwksUrl', 'revoke'] as const),
      ...(['signingKid', 'rotatedAt', 'verifierCache', 'tokenLifetime', 'cacheMaxAge', 'pollInterval'] as const),
      ...(['holdDown', 'allowHttpIssuer', 'allowPrivateKeys', 'output'] as const),
      ...always,
    ],
    issuers: { whole: ['state', 'signingKid', 'rotatedAt', 'output', ...always] },
  },
  publish: {
    summary: "writes an issuer's documents to folders and buckets, once",
    about:
      'Writes what discovery would serve, the JWK Set first, where something has changed. A key that cannot be published is named on standard error; the good ones are written, and the exit code is 1. With a state, keys that vanished stay for the hold-down and go after it.',
    settings: [
      ...(['to', 'output', 'issuer', 'keySource', 'kubeconfig', 'context', 'keys', 'jwksUrl', 'revoke'] as const),
      ...([
        'state',
        'holdDown',
        'cacheMaxAge',
        'allowShrink',
        'verifyPublic',
        'ca',
        's3Endpoint',
        'namespace',
      ] as const),
      ...(['allowHttpIssuer', 'allowPrivateKeys'] as const),
      ...always,
    ],
    issuers: { whole: ['output', 'state', 'verifyPublic', 'ca', 'namespace', ...always] },
  },
  verify: {
    summary: 'verifies a token as an outsider would, from the issuer URL alone',
    about: 'Prints the claims as JSON, or the exact reason why the token is refused.',
    argument: 'TOKEN|-',
    settings: ['issuer', 'audience', 'ca', ...always],
    required: ['issuer', 'audience'],
  },
  doctor: {
    summary: 'checks a live installation from inside and from outside, and explains what it finds',
    about:
      'Fetches what an issuer has public as an outsider does, without credentials. With --kubeconfig it also looks into the cluster, asks for a token, verifies it from outside, and creates a Pod as a dry run; it changes nothing. Exit code 1 if there are errors.',
    settings: ['issuer', 'token', 'audience', 'ca', 'kubeconfig', 'target', 'output', ...always],
  },
  render: {
    summary: 'prints the configuration of a consumer: what trusts the tokens, or what sends them',
    about: `Prints ready configuration, with what to check, and refuses what is known to fail. Nothing is asked over the network unless --kubeconfig is given. Consumers: ${consumerNames.join(', ')}.`,
    argument: 'CONSUMER',
    settings: [
      ...(['issuer', 'audience', 'serviceAccount', 'fromPod', 'fromServiceAccount', 'kubeconfig', 'context'] as const),
      ...(['keys', 'jwksUrl', 'inlineKeys', 'ca', 'format'] as const),
      ...optionKeys,
      ...admission,
      ...always,
    ],
  },
  manifests: {
    summary: "prints the installation's YAML",
    about:
      'Prints what manifests/base holds, for kubectl apply: namespace, webhook with its registration, and discovery.',
    settings: ['namespace', 'image', 'issuer', 'ephemeralContainers', ...always],
  },
} as const satisfies Record<string, CommandRow>;

export type CommandName = keyof typeof commandRows;

export type CommandSettings<C extends CommandName> = {
  readonly [K in (typeof commandRows)[C]['settings'][number]]: (typeof commandRows)[C] extends {
    readonly required: readonly (infer R)[];
  }
    ? K extends R
      ? NonNullable<SettingValue<K, C>>
      : SettingValue<K, C>
    : SettingValue<K, C>;
};
