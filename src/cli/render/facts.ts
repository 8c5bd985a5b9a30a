import type { CommandSettings } from '../../catalog/commands.ts';
import type { OptionKey } from '../../catalog/consumers.ts';
import { issuerBase, JWKS_PATH } from '../../issuer-paths.ts';

/** A ServiceAccount that may call. */
export interface Caller {
  readonly namespace: string;
  readonly name: string;
}

/** A token as a container sees it. */
export interface TokenFact {
  readonly audience: string;
  /** The path of its file. */
  readonly file: string;
  /** In seconds. */
  readonly lifetime: number;
}

/** The issuer's public keys. */
export interface KeyFacts {
  /** The JWK Set, as JSON in one line. */
  readonly jwks: string;
  /** The same keys as PEM (SPKI), in the same order. */
  readonly pem: readonly string[];
  /** Each algorithm once, such as `RS256`. */
  readonly algorithms: readonly string[];
}

export type Options = Partial<Pick<CommandSettings<'render'>, OptionKey>>;

/** All that an output is made from: the same facts, the same text. */
export interface Facts {
  /** Byte for byte as in the "iss" of the tokens. */
  readonly issuer: string;
  /** One for each audience; at least one, and exactly one where the format has a place for one alone. */
  readonly tokens: readonly TokenFact[];
  readonly callers: readonly Caller[];
  readonly jwksUrl: string;
  /** Absent where nobody said where the keys are. */
  readonly keys?: KeyFacts | undefined;
  /** Whether the keys are to be written themselves in place of their address. */
  readonly inlineKeys: boolean;
  /** The CA of the issuer's server (PEM), where it is not one that everybody trusts. */
  readonly ca?: string | undefined;
  /** Of podpass' annotations. */
  readonly annotationPrefix: string;
  readonly options: Options;
  /** The options that nobody has given, and what stands in their place. */
  readonly assumed?: readonly { readonly flag: string; readonly value: string }[];
}

/** What a consumer writes for them, before the header that all have. */
export interface Body {
  readonly text: string;
  /** What to check, a sentence each. */
  readonly checks: readonly string[];
}

/** The "sub" of a caller's tokens: kubernetes/staging/src/k8s.io/apiserver/pkg/authentication/serviceaccount/util.go. */
export function subjectOf({ namespace, name }: Caller): string {
  return `system:serviceaccount:${namespace}:${name}`;
}

export function subjectsOf({ callers }: Facts): string[] {
  return callers.map(subjectOf);
}

export function audiencesOf({ tokens }: Facts): string[] {
  return tokens.map(({ audience }) => audience);
}

/** The one token of a format that has a place for one alone. */
export function tokenOf({ tokens: [token] }: Facts): TokenFact {
  if (token === undefined) throw new TypeError('there is no token');
  return token;
}

/** An option that the format's row says it needs. */
export function needed<K extends OptionKey>({ options }: Facts, key: K): NonNullable<Options[K]> {
  const value = options[key];
  if (value === undefined) throw new TypeError(`${key} is missing`);
  return value;
}

export function nameOf({ options }: Facts): string {
  return options.name ?? 'podpass';
}

/** Where podpass serves the keys of an issuer. */
export function servedJwksUrl(issuer: string): string {
  return issuerBase(issuer) + JWKS_PATH;
}
