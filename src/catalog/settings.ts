import type { Codec } from '../codec.ts';
import * as codec from '../codec.ts';
import { DEFAULT_IMAGE, oauth2ProxyImage } from '../oauth2-proxy/rules.ts';
import { presetNames } from './presets.ts';
import { targetNames } from './targets.ts';

/**
 * Every setting a user can make: one row each. The parser, the types of the parsed settings, `--help` and the README's
 * tables read this list and nothing else. A row's key is the name in a config file; the flag and the environment
 * variable follow from it: `bindAddress`, `--bind-address`, `PODPASS_BIND_ADDRESS`.
 */
export interface SettingRow<T = unknown> {
  readonly codec: Codec<T>;
  /** Other values for some commands. */
  readonly codecs?: Readonly<Record<string, Codec<unknown>>>;
  readonly help: string;
  /** Other words for some commands. */
  readonly helps?: Readonly<Record<string, string>>;
  /** As text, the way a user would write it. A setting with neither default nor `repeatable` may be absent. */
  readonly default?: string;
  /** Other defaults for some commands. */
  readonly defaults?: Readonly<Record<string, string>>;
  /** May be given several times, each with one value: a list in a config file, commas in the environment. */
  readonly repeatable?: true;
  /** Commands for which it is so, where it is not for all. */
  readonly repeatableIn?: readonly string[];
  /** Repeatable, and one value may also hold several with commas between them. */
  readonly commas?: true;
  /** With `commas`: an empty value is an empty list, which is not the default. */
  readonly mayBeEmpty?: true;
  /** Another environment variable that is read where ours is not set. */
  readonly otherVariable?: string;
  /** What it was called in the cloud's own webhook, of which a preset takes the place. */
  readonly replaces?: string;
  /** A one-letter flag. */
  readonly short?: string;
  /** Only on the command line. */
  readonly flagOnly?: true;
  /** Never repeated in a message. */
  readonly secret?: true;
}

const row = <T, const R extends Omit<SettingRow<T>, 'codec'>>(
  c: Codec<T>,
  rest: R,
): { readonly codec: Codec<T> } & R => ({
  codec: c,
  ...rest,
});

const DAY = 86_400;

export const settingRows = {
  config: row(codec.filePath, { help: 'a YAML file of settings, by their names in camelCase' }),
  help: row(codec.flag, { help: 'prints this help', short: 'h', flagOnly: true }),
  kubeconfig: row(codec.filePath, {
    help: 'the cluster; without it: in-cluster, then $KUBECONFIG, then the file in the home folder',
    helps: {
      doctor: 'the cluster to look into; without it only what is seen from outside is checked',
      render:
        'the cluster to read the issuer and the keys from, and what --from-pod or --from-service-account names; without it none is asked',
      mutate: 'the cluster in which to look up ServiceAccounts and reserved audiences; without it none is asked',
    },
  }),
  context: row(codec.text, { help: 'the context of the kubeconfig; without it its current one' }),
  bindAddress: row(codec.bindAddress, { help: 'the address to listen on', default: '::' }),
  port: row(codec.port, {
    help: 'the port of the service',
    defaults: { webhook: '8443', discovery: '8080' },
  }),
  metricsPort: row(codec.port, {
    help: 'the port of /metrics, /healthz and /readyz (plain HTTP)',
    defaults: { webhook: '9090', discovery: '9091' },
  }),
  tlsMode: row(codec.choice('files', 'managed'), {
    help: 'where the certificate comes from: files, or a CA of its own in a Secret',
    default: 'files',
  }),
  tlsCert: row(codec.filePath, { help: 'the certificate chain (PEM); read again when it changes' }),
  tlsKey: row(codec.filePath, { help: 'its private key (PEM); read again when it changes' }),
  namespace: row(codec.dnsLabel, {
    help: "the namespace of the Secret and the Service; without it the Pod's own, else the kubeconfig context's, else podpass",
    helps: {
      manifests: 'the namespace to install into; without it podpass',
      publish: 'the namespace of the ConfigMap; without it none',
      render: 'the namespace of the objects; without it none',
    },
  }),
  tlsSecret: row(codec.objectName, { help: 'the Secret that keeps the CA', default: 'podpass-webhook-tls' }),
  tlsService: row(codec.dnsLabel, {
    help: 'a Service whose names the certificate is for',
    repeatable: true,
    commas: true,
    default: 'podpass-webhook,podpass-webhook-a,podpass-webhook-b',
  }),
  tlsName: row(codec.hostOrAddress, { help: 'another name or address that the certificate is for', repeatable: true }),
  tlsCertLifetime: row(codec.duration(10, 90 * DAY), {
    help: 'how long a certificate is valid; renewed at two thirds',
    default: '168h',
  }),
  tlsCaLifetime: row(codec.duration(30, 3650 * DAY), {
    help: 'how long a CA is valid, at least three times the certificates; renewed at two thirds',
    default: '8760h',
  }),
  webhookConfiguration: row(codec.objectName, {
    help: 'the MutatingWebhookConfiguration to keep the caBundle of',
    repeatable: true,
    default: 'podpass',
  }),
  annotationPrefix: row(codec.annotationPrefix, {
    help: 'the part of the annotations before the slash',
    default: 'podpass.dev',
  }),
  mountPath: row(codec.mountPath, {
    help: 'the folder of the token files in a container',
    default: '/var/run/secrets/podpass.dev/tokens',
  }),
  tokenExpiration: row(codec.tokenLifetime, { help: 'the lifetime of tokens without one of their own', default: '1h' }),
  serviceAccountLookupTimeout: row(codec.duration(1, 25), {
    help: 'how long one live read of a ServiceAccount may take',
    default: '1s',
  }),
  reservedAudiences: row(codec.audience, {
    help: "an audience to refuse, besides the API server's own",
    repeatable: true,
  }),
  ephemeralContainers: row(codec.flag, {
    help: 'gives tokens to debug containers too; the webhook must be registered for pods/ephemeralcontainers',
    helps: { manifests: 'debug containers get tokens too: registers the webhook for them' },
    default: 'false',
  }),
  presets: row(codec.choice(...presetNames), {
    help: "the clouds whose pod identity webhooks' annotations are obeyed; empty for none",
    repeatable: true,
    commas: true,
    mayBeEmpty: true,
    default: 'aws',
  }),
  awsAnnotationPrefix: row(codec.annotationPrefix, {
    help: 'the part of the AWS annotations before the slash',
    default: 'eks.amazonaws.com',
    replaces: '--annotation-prefix',
  }),
  awsTokenAudience: row(codec.audience, {
    help: 'the audience of tokens for IAM roles without one of their own',
    default: 'sts.amazonaws.com',
    replaces: '--token-audience',
  }),
  awsTokenExpiration: row(codec.tokenLifetime, {
    help: 'the lifetime of AWS tokens without one of their own',
    default: '24h',
    replaces: '--token-expiration',
  }),
  awsMountPath: row(codec.mountPath, {
    help: 'the folder of the token for an IAM role',
    default: '/var/run/secrets/eks.amazonaws.com/serviceaccount',
    replaces: '--token-mount-path',
  }),
  awsDefaultRegion: row(codec.text, {
    help: 'the value of AWS_DEFAULT_REGION and AWS_REGION; without it none is set',
    replaces: '--aws-default-region',
  }),
  awsStsRegionalEndpoint: row(codec.flag, {
    help: 'sets AWS_STS_REGIONAL_ENDPOINTS=regional where no annotation says otherwise',
    default: 'false',
    replaces: '--sts-regional-endpoint',
  }),
  awsContainerCredentialsConfig: row(codec.filePath, {
    help: 'a JSON file of the ServiceAccounts with EKS Pod Identity: {"identities": [{"namespace", "serviceAccount"}]}; the webhook reads it again when it changes',
    replaces: '--watch-container-credentials-config',
  }),
  awsContainerCredentialsAudience: row(codec.audience, {
    help: 'the audience of tokens for EKS Pod Identity',
    default: 'pods.eks.amazonaws.com',
    replaces: '--container-credentials-audience',
  }),
  awsContainerCredentialsMountPath: row(codec.mountPath, {
    help: 'the folder of the token for EKS Pod Identity',
    default: '/var/run/secrets/pods.eks.amazonaws.com/serviceaccount',
    replaces: '--container-credentials-token-mount-path',
  }),
  awsContainerCredentialsFullUri: row(codec.webUrl, {
    help: 'the value of AWS_CONTAINER_CREDENTIALS_FULL_URI',
    default: 'http://169.254.170.23/v1/credentials',
    replaces: '--container-credentials-full-uri',
  }),
  azureTenantId: row(codec.text, {
    help: 'the value of AZURE_TENANT_ID where no annotation says one',
    otherVariable: 'AZURE_TENANT_ID',
    replaces: 'AZURE_TENANT_ID',
  }),
  azureAuthorityHost: row(codec.webUrl, {
    help: 'the value of AZURE_AUTHORITY_HOST',
    default: 'https://login.microsoftonline.com/',
    replaces: 'AZURE_ENVIRONMENT',
  }),
  azureTokenAudience: row(codec.audience, {
    help: 'the audience of tokens for Azure',
    default: 'api://AzureADTokenExchange',
    replaces: '--audience',
  }),
  azureTokenExpiration: row(codec.duration(3600, DAY), {
    help: 'the lifetime of Azure tokens without one of their own',
    default: '1h',
  }),
  gcpAnnotationPrefix: row(codec.annotationPrefix, {
    help: 'the part of the Google Cloud annotations before the slash',
    default: 'cloud.google.com',
    replaces: '-annotation-prefix',
  }),
  gcpTokenAudience: row(codec.audience, {
    help: 'the audience of tokens for Google Cloud without one of their own',
    default: 'sts.googleapis.com',
    replaces: '-token-audience',
  }),
  gcpTokenExpiration: row(codec.duration(3600, 2 ** 32), {
    help: 'the lifetime of Google Cloud tokens without one of their own',
    default: '24h',
    replaces: '-token-expiration',
  }),
  gcpDefaultRegion: row(codec.text, {
    help: 'the value of CLOUDSDK_COMPUTE_REGION; without it, it is empty',
    replaces: '-gcp-default-region',
  }),
  oauth2ProxyIssuer: row(codec.issuerUrl, {
    help: "the issuer of callers' tokens, for oauth2-proxy; without it the cluster's own",
  }),
  oauth2ProxyCaConfigMap: row(codec.objectName, {
    help: "the ConfigMap in each Pod's namespace whose ca.crt is the CA of the issuer, for oauth2-proxy; without it what its image trusts",
  }),
  oauth2ProxyImage: row(oauth2ProxyImage, {
    help: 'the image of oauth2-proxy',
    default: DEFAULT_IMAGE,
  }),
  oauth2ProxyMode: row(codec.choice('auto', 'native', 'container'), {
    help: 'how oauth2-proxy runs: as a native sidecar, as a container, or as what the cluster can',
    default: 'auto',
  }),
  shutdownDelay: row(codec.duration(0, 25), {
    help: 'how long requests are still served after SIGTERM',
    default: '6s',
  }),
  logLevel: row(codec.choice('debug', 'info', 'warn', 'error'), {
    help: 'the least level that is logged',
    default: 'info',
  }),
  issuer: row(codec.issuerUrl, {
    help: 'the issuer, byte for byte as in the "iss" of the tokens',
    helps: {
      doctor: "the issuer to check, byte for byte as verifiers have it; without it the cluster's own",
      manifests: 'the issuer that discovery serves; without it, it asks the cluster when it starts',
    },
  }),
  keySource: row(codec.choice('cluster', 'files', 'url'), {
    help: 'where keys come from; without it: each that --kubeconfig, --keys and --jwks-url imply, else cluster',
    repeatable: true,
    commas: true,
  }),
  keys: row(codec.filesOrFolder, {
    help: 'a file or a folder with public keys (PEM) or a JWK Set',
    helps: { render: 'a file or a folder with the public keys (PEM) or the JWK Set, so that their algorithms count' },
    repeatable: true,
  }),
  jwksUrl: row(codec.documentUrl, {
    help: 'a JWK Set on the web; no redirect is followed, and NODE_EXTRA_CA_CERTS adds CAs',
    helps: { render: 'the address of the JWK Set for consumers that need it; without it the one that podpass serves' },
  }),
  pollInterval: row(codec.duration(1, DAY), { help: 'how often the key sources are read', default: '60s' }),
  holdDown: row(codec.duration(0, 365 * DAY), {
    help: 'how long a key stays published after it vanished from its source',
    helps: { publish: 'how long a key stays published after it vanished from its source; needs a state' },
    default: '15m',
  }),
  revoke: row(codec.text, { help: 'a kid to drop at once, whatever source gives it', repeatable: true }),
  cacheMaxAge: row(codec.duration(0, DAY), { help: 'max-age of the served documents', default: '5m' }),
  state: row(codec.statePlace, {
    help: 'where it is kept when each key was seen first and last, and how long one that vanished stays; without it a restart forgets',
    helps: {
      keys: 'the state that discovery keeps; without it only what the sources give now',
      publish:
        'the state that discovery keeps, or one of its own; without it a key that vanished is never dropped by itself',
    },
  }),
  verifierCache: row(codec.duration(0, 30 * DAY), {
    help: 'how long the slowest verifier uses a JWK Set before it asks again, and without asking for a kid it does not know',
    default: '3h',
  }),
  tokenLifetime: row(codec.duration(600, 2 ** 32), {
    help: 'the longest lifetime of a token that anyone was given',
    default: '24h',
  }),
  signingKid: row(codec.text, {
    help: 'the kid of the key that signs now; without it the one that was seen first last',
    flagOnly: true,
  }),
  rotatedAt: row(codec.instant, {
    help: 'when the last API server began to sign with that key',
    flagOnly: true,
  }),
  allowHttpIssuer: row(codec.flag, {
    help: 'accepts an http issuer, or an http address of keys, that is not on loopback',
    default: 'false',
  }),
  allowPrivateKeys: row(codec.flag, {
    help: 'takes the public half of private keys instead of refusing them',
    default: 'false',
  }),
  file: row(codec.filePath, { help: 'the file to read, - for standard input', short: 'f', flagOnly: true }),
  output: row(codec.choice('yaml', 'json', 'patch', 'diff'), {
    codecs: {
      keys: codec.choice('text', 'json'),
      publish: codec.choice('none', 'configmap', 'gcp-jwks'),
      doctor: codec.choice('text', 'json'),
    },
    help: 'what to print',
    helps: {
      publish:
        'what to print: a ConfigMap with both documents, or the JWK Set as Google Cloud takes it for a workload identity provider',
    },
    short: 'o',
    default: 'yaml',
    defaults: { keys: 'text', publish: 'none', doctor: 'text' },
    flagOnly: true,
  }),
  to: row(codec.publishTarget, { help: 'where to write the documents, which stands for the issuer', repeatable: true }),
  publishTo: row(codec.publishTarget, {
    help: 'where to keep a copy of the documents, which stands for the issuer',
    repeatable: true,
  }),
  s3Endpoint: row(codec.webUrl, {
    help: "the URL of an S3 that is not Amazon's; without it $AWS_ENDPOINT_URL",
    otherVariable: 'AWS_ENDPOINT_URL',
  }),
  allowShrink: row(codec.flag, {
    help: 'drops published keys that no source has any more',
    default: 'false',
  }),
  verifyPublic: row(codec.flag, {
    help: 'reads the documents from the issuer afterwards, without credentials; exit code 1 if they are not as published',
    default: 'false',
  }),
  token: row(codec.text, { help: 'a token to judge, or - for standard input', secret: true }),
  target: row(
    { ...codec.choice(...targetNames), metavar: 'NAME' },
    {
      help: `a verifier that must be content: what breaks it is an error, and the rules of others are left out; one of ${targetNames.join(', ')}`,
      repeatable: true,
      flagOnly: true,
    },
  ),
  audience: row(codec.audience, {
    help: 'the audience that the token must have',
    helps: {
      render: 'the audience of the tokens; with --from-pod or --from-service-account one of those that it asks for',
    },
    repeatableIn: ['render'],
  }),
  ca: row(codec.filePath, {
    help: 'CA certificates (PEM) to trust beside those that Node trusts',
    helps: { render: "the CA certificates (PEM) of the issuer's server, where it is not one that everybody trusts" },
  }),
  format: row(
    { ...codec.text, metavar: 'FORMAT' },
    { help: "what to print; without it the consumer's first", short: 'o', flagOnly: true },
  ),
  serviceAccount: row(codec.callerName, {
    help: 'who may call, or whose token it is: NAMESPACE/NAME of a ServiceAccount',
    repeatable: true,
  }),
  fromPod: row(codec.objectRef, {
    help: 'a Pod of the cluster, NAMESPACE/NAME: takes the caller, the audiences, files and lifetimes from it as the webhook reads it',
    flagOnly: true,
  }),
  fromServiceAccount: row(codec.objectRef, {
    help: 'the same from a ServiceAccount, as for a Pod of its own without annotations',
    flagOnly: true,
  }),
  inlineKeys: row(codec.flag, {
    help: 'writes the keys themselves in place of their address, where the consumer takes them; they must be written anew with each rotation',
    default: 'false',
    flagOnly: true,
  }),
  authUrl: row(codec.webUrl, {
    help: 'where the verifier is asked about a request: the URL of oauth2-proxy, or of the authentik outpost, without a path',
    flagOnly: true,
  }),
  serviceUrl: row(codec.webUrl, {
    help: 'the URL of the service: what is behind the proxy, or what a client asks',
    flagOnly: true,
  }),
  name: row(codec.objectName, {
    help: 'what the objects are called; without it podpass',
    flagOnly: true,
  }),
  tokenUrl: row(codec.webUrl, {
    help: "authentik's token endpoint: https://HOST/application/o/token/",
    flagOnly: true,
  }),
  clientId: row(codec.text, { help: "the client ID of authentik's provider", flagOnly: true }),
  selector: row(codec.labels, {
    help: 'the labels of the Pods that it is for; without it all of the namespace',
    flagOnly: true,
  }),
  gateway: row(codec.objectName, { help: 'the Gateway that the route belongs to', flagOnly: true }),
  otherCaller: row(codec.otherCaller, {
    help: 'a caller of another issuer beside ours, such as GitHub Actions, with a token for the same audience',
    repeatable: true,
    flagOnly: true,
  }),
  workloadIdentityProvider: row(codec.gcpProvider, {
    help: 'the workload identity provider of Google Cloud',
    flagOnly: true,
  }),
  account: row(codec.awsAccount, { help: 'the AWS account', flagOnly: true }),
  image: row(codec.image, {
    help: 'the image to run, where your nodes find it; without it podpass with the version of this command',
    flagOnly: true,
  }),
  once: row(codec.flag, {
    help: 'ends after the walk; exit code 1 if a step failed',
    default: 'false',
    flagOnly: true,
  }),
} as const satisfies Record<string, SettingRow>;

export type SettingKey = keyof typeof settingRows;

type RowOf<K extends SettingKey> = (typeof settingRows)[K];
type ValueOf<R, C extends string> = R extends { readonly codecs: { readonly [N in C]: Codec<infer T> } }
  ? T
  : R extends { readonly codec: Codec<infer T> }
    ? T
    : never;

/**
 * The parsed value of a command's setting: a list where it is repeatable, else a value, which may be absent without a
 * default.
 */
export type SettingValue<K extends SettingKey, C extends string = string> =
  RowOf<K> extends { readonly repeatable: true } | { readonly repeatableIn: readonly C[] }
    ? readonly ValueOf<RowOf<K>, C>[]
    : RowOf<K> extends { readonly default: string } | { readonly defaults: object }
      ? ValueOf<RowOf<K>, C>
      : ValueOf<RowOf<K>, C> | undefined;

/** What a command takes as the value of a setting. */
export function codecOf(command: string, key: SettingKey): Codec<unknown> {
  const { codec, codecs }: SettingRow = settingRows[key];
  return codecs?.[command] ?? codec;
}

/** Whether a command takes a setting several times. */
export function isRepeatable(command: string, key: SettingKey): boolean {
  const { repeatable, repeatableIn }: SettingRow = settingRows[key];
  return repeatable ?? repeatableIn?.includes(command) ?? false;
}

/** `bindAddress` → `--bind-address` */
export function flagOf(key: string): string {
  return `--${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

/** `bindAddress` → `PODPASS_BIND_ADDRESS` */
export function variableOf(key: string): string {
  return `PODPASS_${key.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`;
}
