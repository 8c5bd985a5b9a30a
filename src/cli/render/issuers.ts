import { issuerBase } from '../../issuer-paths.ts';
import { audiencesOf, type Facts, subjectsOf } from './facts.ts';

/** An issuer whose tokens are taken, and whose they must be. */
export interface TrustedIssuer {
  /** A name for configurations: a letter, then letters, digits and dashes. */
  readonly id: string;
  readonly issuer: string;
  readonly audiences: readonly string[];
  readonly subjects: readonly string[];
  /** Where its keys are; absent where nobody knows without its document. */
  readonly jwksUrl?: string;
  /** The keys themselves, as a JWK Set, where they are to be written. */
  readonly jwks?: string;
}

/** Where others have their keys: their own discovery documents. */
const KEYS: Readonly<Record<string, string>> = {
  'https://token.actions.githubusercontent.com': '/.well-known/jwks',
  'https://gitlab.com': '/oauth/discovery/keys',
};

/** Where the keys of a known issuer are. */
export function knownJwksUrl(issuer: string): string | undefined {
  const path = KEYS[issuer];
  return path === undefined ? undefined : issuerBase(issuer) + path;
}

/** Ours first, then the others in the order in which they were named. */
export function trustedIssuers(facts: Facts): readonly TrustedIssuer[] {
  const { issuer, jwksUrl, keys, inlineKeys, options } = facts;
  const audiences = audiencesOf(facts);
  const ours: TrustedIssuer = {
    ...{ id: 'podpass', issuer, audiences, subjects: subjectsOf(facts), jwksUrl },
    ...(inlineKeys && keys !== undefined ? { jwks: keys.jwks } : {}),
  };
  const others = new Map<string, string[]>();
  for (const { issuer: other, subject } of options.otherCaller ?? [])
    others.set(other, [...(others.get(other) ?? []), subject]);
  return [
    ours,
    ...[...others].map(([other, subjects], index): TrustedIssuer => {
      const url = knownJwksUrl(other);
      return {
        ...{ id: `other-${index + 1}`, issuer: other, audiences, subjects: [...new Set(subjects)] },
        ...(url === undefined ? {} : { jwksUrl: url }),
      };
    }),
  ];
}
