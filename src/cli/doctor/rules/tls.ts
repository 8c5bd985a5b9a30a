import { quote } from '../../../fault.ts';
import type { CertificateSeen, Fetched, Lifetime, Observation } from '../observation.ts';
import type { Rule, Sighting } from '../rule.ts';
import { exchanges, ofEach } from './answers.ts';

/** Rules for the certificates of the two documents. A host that serves both is told once. */

const SOON_MS = 14 * 86_400_000;

/** Whether it should have been renewed: 14 days before the end, of short ones after two thirds of their life. */
export function endsSoon({ notBefore, notAfter }: Lifetime, now: number): boolean {
  return notAfter - now < Math.min(SOON_MS, (notAfter - notBefore) / 3);
}

export const day = (time: number) => new Date(time).toISOString().replace(/\.\d+Z$/, 'Z');

function ofEachHost(see: (tls: NonNullable<Fetched['tls']>, now: number) => readonly string[]) {
  return (observation: Observation): readonly Sighting[] => {
    const all = exchanges(observation).flatMap(({ url, tls }) =>
      tls === undefined ? [] : see(tls, observation.now).map((seen) => ({ subject: new URL(url).origin, seen })),
    );
    return all.filter(
      ({ subject, seen }, index) => all.findIndex((each) => each.subject === subject && each.seen === seen) === index,
    );
  };
}

function expired(certificates: readonly CertificateSeen[], now: number): readonly string[] {
  return certificates
    .filter(({ notAfter }) => notAfter <= now)
    .map(({ subject, notAfter }) => `the certificate of ${quote(subject)} expired at ${day(notAfter)}`);
}

/** OpenSSL's words for a chain that ends before a trusted CA. */
const INCOMPLETE = [
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_GET_ISSUER_CERT',
];
/** Faults that rules of their own tell. */
const TOLD = [...INCOMPLETE, 'CERT_HAS_EXPIRED', 'CERT_NOT_YET_VALID', 'ERR_TLS_CERT_ALTNAME_INVALID'];

export const tlsRules: readonly Rule[] = [
  {
    code: 'tls-failed',
    severity: 'error',
    find: ofEach(({ failure }) => (failure?.kind === 'tls' ? failure.message : undefined)),
    why: 'Client and server found no version or cipher in common, or the server does not speak TLS on this port.',
    next: 'Check that this port speaks HTTPS, and TLS 1.2 or 1.3.',
  },
  {
    code: 'tls-expired',
    severity: 'error',
    find: ofEachHost(({ chain, fault }, now) => expired(fault === undefined ? chain.slice(0, 1) : chain, now)),
    why: 'Every verifier refuses the connection. Those that still have the keys fail when their copy is old.',
    next: 'Renew the certificate now, and see that the server loads it. Then find out why it was not renewed.',
  },
  {
    code: 'tls-expired',
    severity: 'warning',
    find: ofEachHost(({ chain, fault }, now) => (fault === undefined ? expired(chain.slice(1), now) : [])),
    why: 'It is sent beside a way to a trusted CA that is good. Older TLS libraries try only the one that is sent, and refuse it.',
    next: 'Take the expired certificate out of what the server sends.',
  },
  {
    code: 'tls-not-yet-valid',
    severity: 'error',
    find: ofEachHost(({ chain }, now) =>
      chain
        .filter(({ notBefore }) => notBefore > now)
        .map(({ subject, notBefore }) => `the certificate of ${quote(subject)} is valid from ${day(notBefore)}`),
    ),
    why: 'Every verifier refuses the connection until then.',
    next: 'Check the clock here and where the certificate was issued; put the old certificate back until then.',
  },
  {
    code: 'tls-expires-soon',
    severity: 'warning',
    find: ofEachHost(({ chain }, now) =>
      chain
        .filter((certificate) => certificate.notAfter > now && endsSoon(certificate, now))
        .map(({ subject, notAfter }) => `the certificate of ${quote(subject)} expires at ${day(notAfter)}`),
    ),
    why: 'It should have been renewed by now. When it ends, every verifier refuses the connection.',
    next: 'Look at what renews it, and whether the server loads the renewed one.',
  },
  {
    code: 'tls-wrong-host',
    severity: 'error',
    find: ofEachHost(({ chain: [own] }) =>
      own === undefined || own.forHost ? [] : [`the certificate is for ${quote(own.subject)} and not for this host`],
    ),
    why: 'Every verifier refuses the connection.',
    next: 'Issue a certificate with this host as a subject alternative name, or mend the DNS record or the SNI rule that leads to the wrong server.',
  },
  {
    code: 'tls-chain-incomplete',
    severity: 'error',
    find: ofEachHost(({ fault, chain }) =>
      fault !== undefined && INCOMPLETE.includes(fault)
        ? [`${chain.length} sent, and nobody here knows the CA ${quote(chain.at(-1)?.issuer ?? '')} (${fault})`]
        : [],
    ),
    why: 'Browsers fetch a missing intermediate certificate by themselves; verifiers do not.',
    next: 'Let the server send the whole chain (its own certificate first, then the intermediate ones). For a CA of your own name it with --ca.',
  },
  {
    code: 'tls-untrusted',
    severity: 'error',
    find: ofEachHost(({ fault, chain }) =>
      fault === undefined || TOLD.includes(fault)
        ? []
        : [`the certificate of ${quote(chain[0]?.subject ?? '')} from ${quote(chain[0]?.issuer ?? '')}: ${fault}`],
    ),
    why: 'A verifier trusts the issuer only by its certificate.',
    next: 'Use a certificate of a public CA. For a CA of your own name it with --ca, and give it to every verifier.',
  },
  {
    code: 'tls-private-ca',
    severity: 'error',
    targets: ['azure', 'gcp', 'istio'],
    others: true,
    find: ofEachHost(({ fault, publicly }) =>
      fault === undefined && !publicly ? ['the certificate is trusted with --ca only'] : [],
    ),
    why: 'a CA of your own is not known to them.',
    next: 'Use a certificate of a public CA for verifiers that take no other. To all others give your CA; istiod needs it as an extra root.',
  },
  {
    code: 'thumbprint',
    severity: 'info',
    targets: ['aws'],
    find: ofEachHost(({ chain }) => chain.slice(-1).map(({ subject, sha1 }) => `${sha1} (${quote(subject)})`)),
    why: 'IAM takes the SHA-1 of the last certificate that is sent. It looks at public CAs first, so the thumbprint counts with others only, and pinning a public one has caused outages.',
    next: 'With a CA of your own use this as the thumbprint of the IAM OIDC provider, one for each host. Otherwise leave it to IAM.',
  },
];
