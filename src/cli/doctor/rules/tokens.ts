import { targetLimits } from '../../../catalog/target-limits.ts';
import type { Target } from '../../../catalog/targets.ts';
import { quote } from '../../../fault.ts';
import { ALGORITHMS } from '../../verify.ts';
import { keysOf } from '../keys.ts';
import type { Observation, TokenSeen } from '../observation.ts';
import type { Rule } from '../rule.ts';
import { show } from './document.ts';
import { day } from './tls.ts';

/** Rules for a token: the one given, and the one that was asked for. */

const ACCOUNTS = 'system:serviceaccount:';
/** As much as API servers and Envoy allow by themselves. */
const LEEWAY_MS = 60_000;
/** What nginx takes of one header without a change of its settings, less the name and "Bearer". */
const HEADER = 8000;

function ofEach(see: (token: TokenSeen, observation: Observation) => string | false | undefined) {
  return (observation: Observation) =>
    observation.tokens.flatMap((token) => {
      const seen = see(token, observation);
      return seen ? [{ subject: token.name, seen }] : [];
    });
}

const time = (value: unknown): number | undefined =>
  typeof value === 'number' && Math.abs(value) < 8e12 ? value * 1000 : undefined;
const ago = (ms: number) => (ms < 7_200_000 ? `${Math.round(ms / 1000)} s` : `${Math.round(ms / 3_600_000)} h`);
const audiencesOf = (claims: TokenSeen['claims']): readonly unknown[] =>
  claims?.aud === undefined ? [] : [claims.aud].flat();
const lifetimeOf = (claims: TokenSeen['claims']) =>
  typeof claims?.exp === 'number' && typeof claims.iat === 'number' ? claims.exp - claims.iat : 0;

export const tokenRules: readonly Rule[] = [
  {
    code: 'token-malformed',
    severity: 'error',
    find: ofEach(
      ({ header, length }) => header === undefined && `${length} characters that are not three parts of a JWT`,
    ),
    why: 'It may be cut off, an opaque token, or the answer of something else in a token file.',
    next: 'Read the token file again, and give all of it on standard input: --token - < FILE.',
  },
  {
    code: 'token-algorithm',
    severity: 'error',
    find: ofEach(({ header, signature }) => signature === 'algorithm' && `"alg" is ${show(header?.alg)}`),
    why: `API servers sign with ${ALGORITHMS.join(', ')}; verifiers must refuse anything else.`,
    next: 'Find out where the token is from: it is not one of a ServiceAccount.',
  },
  {
    code: 'token-key-unknown',
    severity: 'error',
    find: ofEach(({ header, signature }, { jwks }) => {
      if (signature !== 'unknown-key') return false;
      const kids = (keysOf(jwks) ?? []).slice(0, 10).map(({ kid }) => show(kid));
      return `it is signed with the key ${show(header?.kid)}; the JWK Set has ${kids.join(', ') || 'none'}`;
    }),
    why: 'The API server signs with a key that is not public: after a change of its key, by another cluster, or by a signer that is ahead of what it publishes. Every verifier refuses the token.',
    next: 'Publish the key: look at the key source of podpass discovery (its log, podpass_keys), publish again, and check that the key file of every API server holds it.',
  },
  {
    code: 'token-signature',
    severity: 'error',
    find: ofEach(({ header, signature }) =>
      signature === 'bad'
        ? `the key ${show(header?.kid)} did not make the signature`
        : signature === 'unusable-key' && `the key ${show(header?.kid)} cannot verify ${show(header?.alg)}`,
    ),
    why: 'The token was changed or cut off, or the published key with this kid is another one than the one that signs.',
    next: 'Take a fresh token. If it stays, compare the published key with "podpass jwks --kubeconfig FILE".',
  },
  {
    code: 'token-issuer',
    severity: 'error',
    find: ofEach(
      ({ claims }, { issuer }) =>
        claims !== undefined &&
        issuer !== undefined &&
        claims.iss !== issuer &&
        `"iss" is ${show(claims.iss)}, not ${quote(issuer)}`,
    ),
    why: 'Verifiers compare it byte for byte, the slash at the end included, and refuse the token.',
    next: 'Use the "iss" of the tokens as the issuer everywhere. If the cluster has changed its issuer, the token may be from before: take a fresh one.',
  },
  {
    code: 'token-audience',
    severity: 'error',
    find: ofEach(
      ({ claims, audience }) =>
        claims !== undefined &&
        audience !== undefined &&
        !audiencesOf(claims).includes(audience) &&
        `"aud" is ${show(claims.aud)}, not ${quote(audience)}`,
    ),
    why: 'The verifier takes only tokens that are for it.',
    next: 'Ask for this audience in the annotation of the Pod or the ServiceAccount, byte for byte as the verifier has it.',
  },
  {
    code: 'token-audiences-several',
    severity: 'error',
    targets: ['keycloak'],
    others: true,
    find: ofEach(({ claims }) => audiencesOf(claims).length > 1 && `"aud" is ${show(claims?.aud)}`),
    why: 'a token must be for one audience alone; with several, each of them can use it towards the others.',
    next: 'Use one token for each audience.',
  },
  {
    code: 'token-claims-missing',
    severity: 'error',
    find: ofEach(({ claims }) => {
      const missing = ['iss', 'sub', 'aud', 'exp'].filter((name) => claims !== undefined && claims[name] === undefined);
      const account = typeof claims?.sub === 'string' && !claims.sub.startsWith(ACCOUNTS);
      if (account) return `"sub" is ${show(claims.sub)}, which is no ServiceAccount`;
      return missing.length > 0 && `no ${missing.join(', ')}`;
    }),
    why: 'Tokens of ServiceAccounts have them all. A token without "exp" is an old one from a Secret and never ends.',
    next: 'Use a projected token or "kubectl create token", and no token from a Secret.',
  },
  {
    code: 'token-claims-missing',
    severity: 'error',
    targets: ['kafka'],
    find: ofEach(({ claims }) => claims !== undefined && claims.iat === undefined && 'no iat'),
    why: 'brokers refuse a token that does not say when it was issued.',
    next: 'Use a projected token or "kubectl create token".',
  },
  {
    code: 'token-expired',
    severity: 'error',
    find: ofEach(({ claims }, { now }) => {
      const end = time(claims?.exp);
      return end !== undefined && end <= now && `it expired at ${day(end)}, ${ago(now - end)} ago`;
    }),
    why: 'Every verifier refuses it. The kubelet renews the file at 80 % of the lifetime; a program that reads it once keeps an old one.',
    next: 'Read the token file anew for each use. A subPath mount is never renewed: mount the folder. If the file itself is old, look at the kubelet.',
  },
  {
    code: 'token-not-yet-valid',
    severity: 'error',
    find: ofEach((token, { now }) => early(token, now, (ms) => ms > LEEWAY_MS)),
    why: 'The clock of the API server is ahead of this one, or this one is behind. Verifiers allow a minute at most.',
    next: 'Look at the time synchronisation of the control plane and of this machine.',
  },
  {
    code: 'token-not-yet-valid',
    severity: 'warning',
    find: ofEach((token, { now }) => early(token, now, (ms) => ms > 0 && ms <= LEEWAY_MS)),
    why: 'The clocks differ by a little. Verifiers without any leeway, such as jose, refuse a token that is just made.',
    next: 'Look at the time synchronisation of the control plane and of this machine; give such verifiers a leeway.',
  },
  tooOld('keycloak', targetLimits.keycloak.lifetime),
  tooOld('gcp', targetLimits.gcp.lifetime),
  tooWide('aws', 'aud', targetLimits.aws.audienceLength),
  tooWide('gcp', 'aud', targetLimits.gcp.audienceLength),
  tooWide('gcp', 'sub', targetLimits.gcp.subjectLength),
  tooLong(['aws'], 'error', 20_000, 'a token has at most 20000 characters.'),
  tooLong(undefined, 'warning', HEADER, 'Many servers take about 8 kB for a header, and the token travels in one.'),
  {
    code: 'token-verified',
    severity: 'info',
    find: ofEach(({ header, claims, signature, audience }, { now, issuer }) => {
      const current = (time(claims?.exp) ?? 0) > now && (time(claims?.nbf) ?? 0) <= now;
      const meant = audience === undefined || audiencesOf(claims).includes(audience);
      if (signature !== 'good' || !current || !meant || claims?.iss !== issuer) return false;
      return `${show(claims?.sub)} by the key ${show(header?.kid)}, for ${ago(lifetimeOf(claims) * 1000)}`;
    }),
    why: 'The signature is good by the keys that everybody gets from the issuer; issuer, audience and time are right.',
    next: 'Nothing.',
  },
];

/** What is ahead of the time here, if it is so by as much. */
function early({ claims }: TokenSeen, now: number, concerns: (ms: number) => boolean): string | false {
  const name = (['nbf', 'iat'] as const).find((each) => concerns((time(claims?.[each]) ?? 0) - now));
  return name !== undefined && `"${name}" is ${day(time(claims?.[name]) ?? 0)}, and here it is ${day(now)}`;
}

function tooOld(target: Target, { most, why }: { readonly most: number; readonly why: string }): Rule {
  return {
    code: 'token-lifetime',
    severity: 'error',
    targets: [target],
    find: ofEach(({ claims }) => lifetimeOf(claims) > most && `it lives for ${lifetimeOf(claims)} s`),
    why,
    next: 'Ask for a shorter lifetime in the annotation podpass.dev/expiration.',
  };
}

/** By what is known of its documents; what a cloud does with a longer one was not tried. */
function tooWide(target: Target, claim: 'aud' | 'sub', most: number): Rule {
  const what = claim === 'aud' ? 'an audience' : 'the subject';
  return {
    code: 'token-claim-long',
    severity: 'warning',
    targets: [target],
    find: ofEach(({ claims }) => {
      const values = claim === 'aud' ? audiencesOf(claims) : [claims?.sub];
      const long = values.find((each) => typeof each === 'string' && each.length > most);
      return typeof long === 'string' && `"${claim}" has ${long.length} characters`;
    }),
    why: `${what} has at most ${most} characters.`,
    next:
      claim === 'aud'
        ? 'Choose a shorter audience, in the annotation and in the verifier.'
        : 'Use shorter names for the namespace or the ServiceAccount, or map another claim to the subject.',
  };
}

function tooLong(
  targets: readonly Target[] | undefined,
  severity: 'error' | 'warning',
  most: number,
  why: string,
): Rule {
  return {
    code: 'token-large',
    severity,
    ...(targets === undefined ? {} : { targets }),
    find: ofEach(({ length }) => length > most && `${length} characters`),
    why,
    next: 'Shorten the audience, or the names of the namespace, the ServiceAccount and the Pod; an external signer may also use a shorter kid.',
  };
}
