import type { PresetName } from './presets.ts';
import type { SettingKey } from './settings.ts';
import type { Target } from './targets.ts';

/**
 * Every consumer that `podpass render` knows: one row each, with its formats. The argument's list, the options that a
 * consumer takes, the README's table and docs/consumers.md read it.
 */

/** How a format is written, and how it has comments; JSON has none. */
export type Syntax = 'yaml' | 'json' | 'toml' | 'nginx' | 'shell' | 'hcl' | 'properties' | 'python' | 'text';

/**
 * How it is known that the output is right: `run` by the consumer itself in a test, `schema` by the consumer's own check
 * of its configuration or its API's schema in a test, `read` by its documentation or source.
 */
export type Evidence = 'run' | 'schema' | 'read';

export interface FormatRow {
  /** What is printed. */
  readonly about: string;
  readonly syntax: Syntax;
  readonly evidence: Evidence;
  /** The test of it, from the root of the repository; absent where it was `read`. */
  readonly provenBy?: string;
  /** `false` where it has no place for callers: whose tokens they are is not its business, or nothing can tell. */
  readonly callers?: false;
  /** `one` where it has a place for one alone, `none` where it does not know any. */
  readonly audiences?: 'one' | 'none';
  /** It can hold the keys themselves. */
  readonly inline?: true;
  /** Settings that it has to say something about: where one is not given, its stand-in is written. */
  readonly needs?: readonly Needed[];
}

export interface ConsumerRow {
  readonly summary: string;
  /** Whose limits count, as `podpass doctor` knows them. */
  readonly target?: Target;
  /** The preset of the webhook whose tokens it takes, with their audience where none is given. */
  readonly preset?: PresetName;
  /** The first one is the default. */
  readonly formats: Readonly<Record<string, FormatRow>>;
  /** Of the settings that only some consumers take. */
  readonly options: readonly OptionKey[];
}

/** The settings that only some consumers take. */
export const optionKeys = [
  ...(['authUrl', 'serviceUrl', 'tokenUrl', 'clientId', 'name', 'namespace', 'selector', 'gateway'] as const),
  ...(['otherCaller', 'account', 'workloadIdentityProvider'] as const),
] as const satisfies readonly SettingKey[];
export type OptionKey = (typeof optionKeys)[number];

/**
 * What is written for an option that a format needs and nobody has given, so that issuer, audience and callers are enough
 * to see the whole; also what the documentation shows. Each leads nowhere by itself.
 */
export const standIns = {
  authUrl: 'http://oauth2-proxy.oauth2-proxy.svc.cluster.local:4180',
  serviceUrl: 'http://service.example.svc.cluster.local:8080',
  tokenUrl: 'https://authentik.example.com/application/o/token/',
  clientId: 'podpass',
  gateway: 'gateway',
  account: '111122223333',
  workloadIdentityProvider: 'projects/111122223333/locations/global/workloadIdentityPools/podpass/providers/podpass',
} as const satisfies Partial<Record<OptionKey, string>>;
export type Needed = keyof typeof standIns;

const NGINX = { evidence: 'run', provenBy: 'test/http/render-nginx.test.ts' } as const;
const OBJECTS = { evidence: 'schema', provenBy: 'test/cluster/render-schemas.test.ts' } as const;
const SCHEMAS = { evidence: 'schema', provenBy: 'test/cluster/render-envoy.test.ts' } as const;
const MINIO = { evidence: 'run', provenBy: 'test/cluster/render-minio.test.ts' } as const;
const PROMTOOL = { evidence: 'schema', provenBy: 'test/cluster/render.test.ts' } as const;
const VAULT = { evidence: 'run', provenBy: 'test/cluster/render-vault.test.ts' } as const;
const TRAEFIK = { evidence: 'run', provenBy: 'test/cluster/render-traefik.test.ts' } as const;
const KAFKA = { evidence: 'run', provenBy: 'test/cluster/render-kafka.test.ts' } as const;
const KEYCLOAK = { evidence: 'run', provenBy: 'test/cluster/render-keycloak.test.ts' } as const;

export const consumerRows = {
  'oauth2-proxy': {
    summary: 'oauth2-proxy, which lets in these callers and nobody else',
    target: 'oauth2-proxy',
    formats: {
      flags: { about: 'its command line', syntax: 'shell', evidence: 'read', callers: false },
      toml: { about: 'its file (--config)', syntax: 'toml', evidence: 'read', callers: false },
      alpha: { about: 'the part of it that --alpha-config takes', syntax: 'yaml', evidence: 'read', callers: false },
      'alpha-toml': {
        about: 'the part of it that stays in --config then',
        ...{ syntax: 'toml', evidence: 'read', callers: false },
      },
      callers: { about: 'the file of the callers', syntax: 'text', evidence: 'read', audiences: 'none' },
    },
    options: ['serviceUrl', 'otherCaller'],
  },
  nginx: {
    summary: 'nginx, which asks oauth2-proxy about each request',
    formats: {
      'auth-request': {
        about: 'a server with auth_request',
        ...{ syntax: 'nginx', ...NGINX, audiences: 'none', needs: ['authUrl', 'serviceUrl'] },
      },
      ingress: {
        about: 'the annotations of an Ingress for ingress-nginx, or for the provider of that name in Traefik',
        ...{ syntax: 'yaml', evidence: 'read', audiences: 'none', needs: ['authUrl'] },
      },
    },
    options: ['authUrl', 'serviceUrl'],
  },
  traefik: {
    summary: 'Traefik, which asks oauth2-proxy about each request',
    formats: {
      kubernetes: {
        about: 'a Middleware with forwardAuth',
        ...{ syntax: 'yaml', ...OBJECTS, audiences: 'none', needs: ['authUrl'] },
      },
      file: {
        about: 'the same for the dynamic configuration in a file',
        ...{ syntax: 'yaml', ...TRAEFIK, audiences: 'none', needs: ['authUrl'] },
      },
    },
    options: ['authUrl', 'name', 'namespace'],
  },
  istio: {
    summary: 'Istio, which verifies tokens itself, or asks oauth2-proxy or authentik about each request',
    target: 'istio',
    formats: {
      jwt: {
        about: 'a RequestAuthentication and the AuthorizationPolicy without which it lets in requests without a token',
        ...{ syntax: 'yaml', ...OBJECTS, inline: true },
      },
      'ext-authz': {
        about: 'an AuthorizationPolicy that has oauth2-proxy asked',
        ...{ syntax: 'yaml', ...OBJECTS, callers: false, audiences: 'none', needs: ['authUrl'] },
      },
      'ext-authz-mesh': {
        about: "its provider, as values of istiod's chart",
        ...{ syntax: 'yaml', ...SCHEMAS, callers: false, audiences: 'none', needs: ['authUrl'] },
      },
      authentik: {
        about: 'an AuthorizationPolicy that has the authentik outpost asked',
        ...{ syntax: 'yaml', ...OBJECTS, callers: false, audiences: 'none', needs: ['authUrl'] },
      },
      'authentik-mesh': {
        about: "its provider, as values of istiod's chart",
        ...{ syntax: 'yaml', ...SCHEMAS, callers: false, audiences: 'none', needs: ['authUrl'] },
      },
    },
    options: ['authUrl', 'name', 'namespace', 'selector', 'otherCaller'],
  },
  envoy: {
    summary: 'Envoy, which verifies tokens itself, or asks oauth2-proxy about each request',
    target: 'envoy',
    formats: {
      jwt: {
        about: 'a bootstrap with jwt_authn, and rbac for the callers',
        ...{ syntax: 'yaml', ...SCHEMAS, inline: true, needs: ['serviceUrl'] },
      },
      'ext-authz': {
        about: 'a bootstrap with ext_authz',
        ...{ syntax: 'yaml', ...SCHEMAS, callers: false, audiences: 'none', needs: ['authUrl', 'serviceUrl'] },
      },
    },
    options: ['authUrl', 'serviceUrl', 'otherCaller'],
  },
  'envoy-gateway': {
    summary: 'Envoy Gateway, which verifies tokens itself, or asks oauth2-proxy about each request',
    target: 'envoy',
    formats: {
      jwt: {
        about: 'a SecurityPolicy with jwt, and authorization for the callers',
        ...{ syntax: 'yaml', ...OBJECTS, inline: true },
      },
      'ext-authz': {
        about: 'a SecurityPolicy with extAuth',
        ...{ syntax: 'yaml', ...OBJECTS, callers: false, audiences: 'none', needs: ['authUrl'] },
      },
    },
    options: ['authUrl', 'name', 'namespace', 'otherCaller'],
  },
  'gateway-api': {
    summary: 'an implementation of the Gateway API with ExternalAuth, which asks oauth2-proxy about each request',
    formats: {
      'external-auth': {
        about: 'an HTTPRoute with the filter ExternalAuth, of the experimental channel',
        ...{ syntax: 'yaml', ...OBJECTS, callers: false, audiences: 'none' },
        needs: ['authUrl', 'serviceUrl', 'gateway'],
      },
    },
    options: ['authUrl', 'serviceUrl', 'gateway', 'name', 'namespace'],
  },
  vault: {
    summary: 'HashiCorp Vault and OpenBao: the JWT auth method and a role',
    target: 'vault',
    formats: {
      shell: { about: 'commands of the vault CLI', syntax: 'shell', ...VAULT, inline: true },
      hcl: { about: "resources of Terraform's provider", syntax: 'hcl', evidence: 'read', inline: true },
    },
    options: ['name'],
  },
  aws: {
    summary: 'AWS IAM: the OIDC provider, and a role with its trust policy',
    target: 'aws',
    preset: 'aws',
    formats: {
      json: { about: 'the trust policy of a role', syntax: 'json', evidence: 'read', needs: ['account'] },
      shell: { about: 'commands of the aws CLI', syntax: 'shell', evidence: 'read', needs: ['account'] },
    },
    options: ['account', 'name'],
  },
  azure: {
    summary: 'Microsoft Entra ID: federated credentials of a managed identity or an application',
    target: 'azure',
    preset: 'azure',
    formats: {
      json: { about: 'a federated credential for each caller', syntax: 'json', evidence: 'read', audiences: 'one' },
      shell: {
        about: 'commands of the az CLI for a managed identity',
        ...{ syntax: 'shell', evidence: 'read', audiences: 'one' },
      },
    },
    options: [],
  },
  gcp: {
    summary: 'Google Cloud: a workload identity provider, and the credential file of a program',
    target: 'gcp',
    preset: 'gcp',
    formats: {
      shell: {
        about: 'commands of the gcloud CLI',
        ...{ syntax: 'shell', evidence: 'read', inline: true, needs: ['workloadIdentityProvider'] },
      },
      json: {
        about: 'a credential file (external_account)',
        ...{ syntax: 'json', evidence: 'read', callers: false, audiences: 'one', needs: ['workloadIdentityProvider'] },
      },
    },
    options: ['workloadIdentityProvider'],
  },
  keycloak: {
    summary: 'Keycloak 26.5 and later: an identity provider of the kind kubernetes, and a client for each caller',
    target: 'keycloak',
    formats: {
      json: { about: 'a partial import for the realm', syntax: 'json', ...KEYCLOAK, audiences: 'one' },
      shell: { about: 'commands of kcadm.sh', syntax: 'shell', ...KEYCLOAK, audiences: 'one' },
    },
    options: ['name'],
  },
  authentik: {
    summary: 'authentik: the source, the provider, and the policy without which any token with a known key is taken',
    target: 'authentik',
    formats: {
      blueprint: {
        about: 'a blueprint of all of it',
        ...{ syntax: 'yaml', evidence: 'read', inline: true, needs: ['clientId'] },
      },
      policy: { about: 'the expression policy alone', syntax: 'python', evidence: 'read' },
      registry: {
        about: 'the configuration of a container registry that takes tokens of authentik',
        ...{ syntax: 'yaml', evidence: 'read', callers: false, audiences: 'none', needs: ['tokenUrl', 'serviceUrl'] },
      },
    },
    options: ['clientId', 'tokenUrl', 'serviceUrl', 'name'],
  },
  minio: {
    summary: 'MinIO: an OpenID provider with a role policy',
    target: 'minio',
    formats: {
      env: {
        about: 'variables of the server',
        ...{ syntax: 'shell', ...MINIO, callers: false, audiences: 'one' },
      },
      policy: {
        about: 'a policy that lets these callers read and write in the bucket --name',
        ...{ syntax: 'json', ...MINIO, audiences: 'none' },
      },
    },
    options: ['name'],
  },
  prometheus: {
    summary: 'Prometheus, which sends a token with what it asks and writes',
    formats: {
      scrape: {
        about: 'a scrape_config with credentials_file',
        ...{ syntax: 'yaml', ...PROMTOOL, callers: false, audiences: 'one', needs: ['serviceUrl'] },
      },
      'remote-write': {
        about: 'a remote_write with credentials_file',
        ...{ syntax: 'yaml', ...PROMTOOL, callers: false, audiences: 'one', needs: ['serviceUrl'] },
      },
      oauth2: {
        about: 'a remote_write that gets a token of authentik for its own one',
        ...{ syntax: 'yaml', ...PROMTOOL, callers: false, audiences: 'one' },
        needs: ['serviceUrl', 'tokenUrl', 'clientId'],
      },
    },
    options: ['serviceUrl', 'tokenUrl', 'clientId', 'name'],
  },
  kafka: {
    summary: 'Apache Kafka with SASL/OAUTHBEARER',
    target: 'kafka',
    formats: {
      broker: { about: 'properties of the broker', syntax: 'properties', ...KAFKA, callers: false },
      client: {
        about: 'properties of a client, which sends its token',
        ...{ syntax: 'properties', ...KAFKA, callers: false, audiences: 'one' },
      },
      acl: {
        about: 'commands that let the callers read and write topics whose names begin with --name',
        ...{ syntax: 'shell', evidence: 'read', audiences: 'none' },
      },
    },
    options: ['name'],
  },
  'github-actions': {
    summary: 'a workflow of GitHub Actions, which calls with a token of its own issuer beside ours',
    formats: {
      workflow: {
        about: 'a workflow with a token for the audience',
        ...{ syntax: 'yaml', evidence: 'read', callers: false, audiences: 'one', needs: ['serviceUrl'] },
      },
    },
    options: ['serviceUrl', 'name'],
  },
  'gitlab-ci': {
    summary: 'a job of GitLab CI, which calls with a token of its own issuer beside ours',
    formats: {
      job: {
        about: 'a job with a token for the audience',
        ...{ syntax: 'yaml', evidence: 'read', callers: false, audiences: 'one', needs: ['serviceUrl'] },
      },
    },
    options: ['serviceUrl'],
  },
} as const satisfies Record<string, ConsumerRow>;

export type ConsumerName = keyof typeof consumerRows;
export const consumerNames = Object.keys(consumerRows) as ConsumerName[];

export type FormatName<C extends ConsumerName> = keyof (typeof consumerRows)[C]['formats'];
