import type { PresetName } from './presets.ts';
import type { SettingKey } from './settings.ts';
import type { Target } from './targets.ts';

/**
 * Every consumer that `podpass render` knows: one row each, with its formats. The argument's list, the options that a
 * consumer takes, the README's table and docs/consumers.md read it.
 */

/** How a format is written, and how it has comments; JSON has none. */
export type Syntax = 'yaml' | 'json' | 'toml' | 'nginx' | 'shell' | 'hcl' | 'properties' | 'python';

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
  /** `false` where it has no place for callers: whose tokens they are is not its business, or nothing can tell. */
  readonly callers?: false;
  /** `one` where it has a place for one alone, `none` where it does not know any. */
  readonly audiences?: 'one' | 'none';
  /** Settings without which it has nothing to say. */
  readonly needs?: readonly OptionKey[];
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
export const optionKeys = ['authUrl', 'serviceUrl', 'name', 'account'] as const satisfies readonly SettingKey[];
export type OptionKey = (typeof optionKeys)[number];

export const consumerRows = {
  nginx: {
    summary: 'nginx, which asks oauth2-proxy about each request',
    formats: {
      'auth-request': {
        about: 'a server with auth_request',
        ...{ syntax: 'nginx', evidence: 'schema', audiences: 'none', needs: ['authUrl', 'serviceUrl'] },
      },
      ingress: {
        about: 'the annotations of an Ingress for ingress-nginx, or for Traefik with its provider of that name',
        ...{ syntax: 'yaml', evidence: 'read', audiences: 'none', needs: ['authUrl'] },
      },
    },
    options: ['authUrl', 'serviceUrl'],
  },
  vault: {
    summary: 'HashiCorp Vault and OpenBao: the JWT auth method and a role',
    target: 'vault',
    formats: {
      shell: { about: 'commands of the vault CLI', syntax: 'shell', evidence: 'read' },
      hcl: { about: "resources of Terraform's provider", syntax: 'hcl', evidence: 'read' },
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
  prometheus: {
    summary: 'Prometheus, which sends a token with what it asks and writes',
    formats: {
      scrape: {
        about: 'a scrape_config with credentials_file',
        ...{ syntax: 'yaml', evidence: 'schema', callers: false, audiences: 'one', needs: ['serviceUrl'] },
      },
      'remote-write': {
        about: 'a remote_write with credentials_file',
        ...{ syntax: 'yaml', evidence: 'schema', callers: false, audiences: 'one', needs: ['serviceUrl'] },
      },
    },
    options: ['serviceUrl', 'name'],
  },
} as const satisfies Record<string, ConsumerRow>;

export type ConsumerName = keyof typeof consumerRows;
export const consumerNames = Object.keys(consumerRows) as ConsumerName[];

export const formatNames = [
  ...new Set(Object.values(consumerRows).flatMap(({ formats }) => Object.keys(formats))),
] as readonly string[];

export type FormatName<C extends ConsumerName> = keyof (typeof consumerRows)[C]['formats'];
