import { PRIVATE_MEMBERS } from '../../../../discovery/jwk-key.ts';
import { quote } from '../../../fault.ts';
import { isKnown, isUsable, keysOf, nameOfKey, rsaBits } from '../keys.ts';
import type { Jwk, Observation } from '../observation.ts';
import type { Rule, Sighting } from '../rule.ts';
import { readable, show } from './document.ts';

/** Rules for the JWK Set as a whole and for each key in it. */

const LARGE = 51_200;
const MANY = 100;

function about(see: (keys: readonly Jwk[], bytes: number) => readonly string[]) {
  return ({ jwks }: Observation): readonly Sighting[] => {
    const keys = readable(jwks) ? keysOf(jwks) : undefined;
    if (jwks === undefined || keys === undefined) return [];
    return see(keys, jwks.bytes).map((seen) => ({ subject: jwks.url, seen }));
  };
}

const ofEachKey = (see: (key: Jwk) => string | false) =>
  about((keys) =>
    keys.flatMap((key, index) => {
      const seen = see(key);
      return seen === false ? [] : [`${nameOfKey(key, index)} ${seen}`];
    }),
  );
const hasKid = ({ kid }: Jwk) => typeof kid === 'string' && kid !== '';

export const keyRules: readonly Rule[] = [
  {
    code: 'jwks-not-json',
    severity: 'error',
    find: ({ jwks }) =>
      readable(jwks) && keysOf(jwks) === undefined
        ? [{ subject: jwks.url, seen: `${jwks.bytes} bytes that are not a JSON object with a list "keys"` }]
        : [],
    why: 'Verifiers find no key in it and refuse every token.',
    next: 'Open the URL with curl and see who answers. The JWK Set must be served as it is.',
  },
  {
    code: 'jwks-empty',
    severity: 'error',
    find: about((keys) => (keys.length === 0 ? ['no keys'] : [])),
    why: 'Verifiers take that for the truth and refuse every token.',
    next: 'Publish the keys of the API server again: "podpass jwks --kubeconfig FILE" prints them. podpass discovery never serves an empty set.',
  },
  {
    code: 'key-private',
    severity: 'error',
    find: ofEachKey((key) => {
      const found = PRIVATE_MEMBERS.filter((name) => Object.hasOwn(key, name));
      return found.length > 0 && `has the private ${found.length === 1 ? 'member' : 'members'} ${found.join(', ')}`;
    }),
    why: 'Whoever has read it can sign tokens for every ServiceAccount, also for the API server itself. Caches may keep it.',
    next: 'Take it down now. Then give the API server a new signing key, drop this one everywhere at once (--revoke), and restart verifiers that keep keys for ever.',
  },
  {
    code: 'key-duplicate-kid',
    severity: 'error',
    targets: ['jose'],
    others: true,
    find: about((keys) => {
      const kids = keys.filter(hasKid).map(({ kid }) => kid as string);
      const repeated = kids.filter((kid, index) => kids.indexOf(kid) !== index);
      return [...new Set(repeated)].map(
        (kid) => `the kid ${quote(kid)} is there ${kids.filter((each) => each === kid).length} times`,
      );
    }),
    why: 'a token then fits several keys: jose refuses it, others try only one of them.',
    next: 'Publish each key once. API servers repeat a key that is in two key files; podpass discovery does not.',
  },
  {
    code: 'key-without-kid',
    severity: 'error',
    targets: ['aws', 'gcp', 'authentik', 'minio', 'kafka', 'pyjwt', 'nimbus', 'jose'],
    others: true,
    find: ofEachKey((key) => !hasKid(key) && 'has no kid'),
    why: 'the key is looked up by the kid in the header of the token, so it is never found.',
    next: 'Publish the key with the kid that the API server gives it.',
  },
  {
    code: 'key-without-use',
    severity: 'error',
    targets: ['keycloak'],
    others: true,
    find: ofEachKey(({ use }) => use === undefined && 'has no "use"'),
    why: 'keys without "use": "sig" are ignored, and the client is refused.',
    next: 'Publish the key with "use": "sig".',
  },
  {
    code: 'key-without-use',
    severity: 'error',
    targets: ['keycloak', 'kafka', 'pyjwt'],
    others: true,
    find: ofEachKey(({ use }) => use !== undefined && use !== 'sig' && `has "use" ${show(use)}`),
    why: 'a key for another use is ignored, and its tokens are refused.',
    next: 'Publish the key with "use": "sig".',
  },
  {
    code: 'key-without-alg',
    severity: 'warning',
    targets: ['authentik'],
    find: ofEachKey(({ alg }) => alg === undefined && 'has no alg'),
    why: 'without it the algorithm is taken from the token, which its sender chooses.',
    next: 'Publish the key with its "alg".',
  },
  {
    code: 'key-unsupported',
    severity: 'error',
    targets: ['minio', 'go-oidc', 'oauth2-proxy', 'vault'],
    others: true,
    find: ofEachKey((key) => !isKnown(key) && key.kty !== 'EC' && `is of type ${show(key.kty)}`),
    why: 'some versions refuse the whole set because of one such key, and with it every token.',
    next: 'Take the key out. API servers sign with RSA, P-256, P-384 and P-521 only.',
  },
  {
    code: 'key-unsupported',
    severity: 'error',
    // The last two skip other types, and stop at a curve.
    targets: ['minio', 'go-oidc', 'oauth2-proxy', 'vault', 'nimbus', 'keycloak'],
    others: true,
    find: ofEachKey((key) => !isKnown(key) && key.kty === 'EC' && `is of type "EC" on ${show(key.crv)}`),
    why: 'some versions refuse the whole set because of one such key, and with it every token.',
    next: 'Take the key out. API servers sign with RSA, P-256, P-384 and P-521 only.',
  },
  {
    code: 'key-unusable',
    severity: 'error',
    find: ofEachKey(
      (key) => isKnown(key) && !isUsable(key) && `cannot be used as ${show(key.kty)} with "alg" ${show(key.alg)}`,
    ),
    why: 'Its tokens are refused everywhere, and some verifiers refuse the whole set because of it.',
    next: 'Publish the key again from the API server or from its key file.',
  },
  {
    code: 'key-weak',
    severity: 'error',
    find: ofEachKey((key) => {
      const bits = rsaBits(key) ?? 2048;
      return bits < 2048 && `is RSA with ${bits} bits`;
    }),
    why: 'RFC 7518 section 3.3 asks for 2048 bits. Strict verifiers, jose among them, refuse its tokens, and it can be broken.',
    next: 'Give the API server a signing key of 2048 bits or more, and drop this one when its tokens are gone.',
  },
  {
    code: 'key-exponent',
    severity: 'error',
    targets: ['envoy'],
    others: true,
    find: ofEachKey(({ kty, e }) => kty === 'RSA' && e !== 'AQAB' && e !== 'Aw' && `has the exponent ${show(e)}`),
    why: 'RSA keys must have 3 or 65537 as their exponent.',
    next: 'Give the API server a signing key with the exponent 65537.',
  },
  {
    code: 'key-certificate',
    severity: 'warning',
    targets: ['gcp'],
    find: ofEachKey((key) => {
      const found = Object.keys(key).filter((name) => name.startsWith('x5'));
      return found.length > 0 && `has ${found.join(', ')}`;
    }),
    why: 'an uploaded JWK Set with these members is refused.',
    next: 'Publish keys without certificates.',
  },
  {
    code: 'jwks-large',
    severity: 'error',
    targets: ['nimbus'],
    find: about((_, bytes) => (bytes > LARGE ? [`${bytes} bytes`] : [])),
    why: `it reads at most ${LARGE} bytes.`,
    next: 'Drop keys whose tokens are gone.',
  },
  {
    code: 'keys-many',
    severity: 'error',
    targets: ['aws'],
    find: about((keys) =>
      ['RSA', 'EC'].flatMap((kty) => {
        const count = keys.filter((key) => key.kty === kty).length;
        return count > MANY ? [`${count} keys of type ${kty}`] : [];
      }),
    ),
    why: `at most ${MANY} keys of each type are taken.`,
    next: 'Drop keys whose tokens are gone.',
  },
  {
    code: 'keys-many',
    severity: 'error',
    targets: ['azure'],
    find: about((keys) => (keys.length > MANY ? [`${keys.length} keys`] : [])),
    why: `only the first ${MANY} keys are kept.`,
    next: 'Drop keys whose tokens are gone.',
  },
];
