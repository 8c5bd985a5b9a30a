import { isIP } from 'node:net';
import { targetLimits } from '../../../catalog/target-limits.ts';
import { quote } from '../../../fault.ts';
import { type Reach, reachOfAll } from '../address.ts';
import type { Fetched, Observation } from '../observation.ts';
import type { Rule, Sighting } from '../rule.ts';

/** Rules for both documents: the way to them, the answer, its headers. */

const SKEW_MS = 60_000;
const KAFKA_MS = targetLimits.kafka.leeway * 1000;
/** What the API server itself says; a new key should be public as long before it signs. */
const MAX_AGE_S = 3600;

/** Both exchanges, as far as there were some. */
export function exchanges({ document, jwks }: Pick<Observation, 'document' | 'jwks'>): readonly Fetched[] {
  return [document, jwks].filter((each) => each !== undefined);
}

/** What each exchange shows; nothing where it is `undefined`. */
export function ofEach(see: (fetched: Fetched) => string | undefined) {
  return (observation: Observation): readonly Sighting[] =>
    exchanges(observation).flatMap((fetched) => {
      const seen = see(fetched);
      return seen === undefined ? [] : [{ subject: fetched.url, seen }];
    });
}

const failure = (kind: string) => ofEach(({ failure: failed }) => (failed?.kind === kind ? failed.message : undefined));
const ok = ({ status, failure: failed }: Fetched) => status === 200 && failed === undefined;

export const answerRules: readonly Rule[] = [
  {
    code: 'dns-failed',
    severity: 'error',
    find: failure('dns'),
    why: 'Verifiers find the host by its name. Without an address they refuse every token.',
    next: 'Check the spelling of the issuer, then create or mend the DNS record of this host.',
  },
  {
    code: 'address-private',
    severity: 'error',
    targets: ['aws', 'azure', 'gcp'],
    find: at(['private']),
    why: 'verifiers outside this network do not reach such an address. Your resolver may also give another one than theirs.',
    next: 'Serve or publish the documents at a public address, or use only verifiers inside this network.',
  },
  {
    code: 'address-private',
    severity: 'error',
    targets: ['aws', 'azure', 'gcp', 'istio'],
    others: true,
    find: at(['loopback', 'link-local']),
    why: 'nobody beyond this machine or its network segment reaches such an address, and istiod refuses link-local ones.',
    next: 'Serve or publish the documents at an address that verifiers reach. For a trial on this machine: nothing.',
  },
  {
    code: 'address-ipv6-only',
    severity: 'warning',
    find: ofEach(({ url, addresses }) => {
      const only = addresses.length > 0 && addresses.every((each) => isIP(each) === 6);
      if (!only || reachOfAll(addresses) !== 'public') return undefined;
      return `${new URL(url).hostname} is ${addresses.join(', ')}, and has no IPv4 address`;
    }),
    why: 'Verifiers in networks without IPv6 do not reach it.',
    next: 'Give the host an A record too, unless all your verifiers have IPv6.',
  },
  {
    code: 'no-answer',
    severity: 'error',
    find: (observation) => [...failure('connection')(observation), ...failure('time')(observation)],
    why: 'Verifiers fetch this from outside. Without it they refuse every token as soon as their copy is old.',
    next: 'Check that something serves this address, then load balancer, firewall and the Pods of podpass-discovery.',
  },
  {
    code: 'redirect',
    severity: 'error',
    find: ofEach(({ status = 0, headers }) =>
      status >= 300 && status < 400
        ? `HTTP ${status} to ${quote(headers.location ?? 'nowhere')}, which was not followed`
        : undefined,
    ),
    why: 'Many verifiers follow no redirect, jose and PyJWT among them. Nothing behind it was checked.',
    next: 'Serve the document at this very URL: no redirect for slashes, hosts, languages or sign-in.',
  },
  {
    code: 'status-not-200',
    severity: 'error',
    find: ofEach(({ status, failure: failed }) =>
      status === undefined || failed || status === 200 || (status >= 300 && status < 400)
        ? undefined
        : `HTTP ${status}`,
    ),
    why: 'Verifiers take nothing but 200. 401 and 403 mean that somebody asks for a credential, which verifiers do not have; 503 of podpass-discovery means that it has no keys.',
    next: 'Open this path for everybody. For a bucket look at its public access; for 404 look at the path of the issuer; for 503 look at /readyz?verbose of podpass-discovery.',
  },
  {
    code: 'too-large',
    severity: 'error',
    find: failure('size'),
    why: 'No issuer needs as much, and verifiers stop reading.',
    next: 'Look at what is served here: most likely it is something else than the document.',
  },
  {
    code: 'content-type',
    severity: 'warning',
    find: ofEach((fetched) => {
      const type = (fetched.headers['content-type'] ?? '').split(';')[0]?.trim().toLowerCase();
      if (!ok(fetched) || type === 'application/json' || type === 'application/jwk-set+json') return undefined;
      return type ? `Content-Type: ${quote(type)}` : 'no Content-Type';
    }),
    why: 'Some verifiers refuse what is not declared as JSON.',
    next: 'Serve the document as application/json and the JWK Set as application/jwk-set+json.',
  },
  {
    code: 'compressed',
    severity: 'error',
    targets: ['pyjwt', 'nimbus'],
    others: true,
    find: ofEach(({ headers }) => {
      const encoding = headers['content-encoding'] ?? 'identity';
      return encoding === 'identity' ? undefined : `Content-Encoding: ${quote(encoding)} for Accept-Encoding: identity`;
    }),
    why: 'a client that did not ask for compression does not undo it and reads garbage.',
    next: 'Switch compression off for these paths, or let the server obey Accept-Encoding.',
  },
  {
    code: 'slow',
    severity: 'error',
    targets: ['aws', 'istio', 'jose'],
    others: true,
    find: slowerThan(5000),
    why: 'a verifier waits for about 5 s.',
    next: 'Serve the documents from memory or a CDN, near the verifiers; look at the load of what serves them.',
  },
  {
    code: 'slow',
    severity: 'warning',
    targets: ['nimbus'],
    find: slowerThan(500),
    why: 'it waits for 500 ms to connect and for 500 ms to read, if it is not told otherwise.',
    next: 'Measure from where the verifier runs. Give it longer limits, or bring the documents nearer.',
  },
  {
    code: 'cache-missing',
    severity: 'warning',
    find: ofEach((fetched) =>
      ok(fetched) && maxAge(fetched) === undefined && !isNotKept(fetched)
        ? `Cache-Control: ${quote(fetched.headers['cache-control'] ?? '')}`
        : undefined,
    ),
    why: 'Caches between choose a time of their own, so nobody knows when a new key is seen by all.',
    next: 'Send Cache-Control with a max-age of some minutes, as podpass discovery does.',
  },
  {
    code: 'cache-none',
    severity: 'warning',
    find: ofEach((fetched) =>
      ok(fetched) && isNotKept(fetched) ? `Cache-Control: ${quote(fetched.headers['cache-control'] ?? '')}` : undefined,
    ),
    why: 'Whoever obeys it asks anew for each use, so that each fault here is felt by all verifiers at once.',
    next: 'Send Cache-Control with a max-age of some minutes, as podpass discovery does.',
  },
  {
    code: 'cache-long',
    severity: 'warning',
    find: ofEach((fetched) => {
      const seconds = maxAge(fetched);
      return ok(fetched) && seconds !== undefined && seconds > MAX_AGE_S ? `max-age=${seconds}` : undefined;
    }),
    why: 'A verifier that keeps the old set does not know a new key. Tokens fail from the moment it signs until this time is over.',
    next: 'Send at most max-age=3600, and let new keys be public for longer than that before they sign.',
  },
  {
    code: 'cache-shared',
    severity: 'info',
    find: ofEach(({ headers }) => {
      const found = ['set-cookie', 'vary'].filter((name) => headers[name] !== undefined);
      return found.length === 0 ? undefined : `the answer has ${found.join(' and ')}`;
    }),
    why: 'Caches keep a copy for each client, or none. A cookie is a sign of a login page or a balancer between.',
    next: 'Take both away for these paths, unless a Vary: Origin is yours.',
  },
  {
    code: 'clock-skew',
    severity: 'warning',
    find: clocks(
      ({ document, jwks, cluster }) => [
        ...exchanges({ document, jwks }).map(({ url, skew }) => ({ subject: url, skew })),
        { subject: `API server ${cluster?.server}`, skew: cluster?.skew },
      ],
      (ms) => ms > SKEW_MS,
    ),
    why: 'Verifiers allow a minute or none at all. With a wrong clock fresh tokens are not valid yet, and old ones seem to be expired. A copy that a cache keeps has an old date too, where the cache does not tell its age.',
    next: 'Look at the time synchronisation of this machine first, then of that server.',
  },
  {
    code: 'clock-skew',
    severity: 'warning',
    targets: ['kafka'],
    // The clock of the API server decides what stands in tokens.
    find: clocks(
      ({ cluster }) => [{ subject: `API server ${cluster?.server}`, skew: cluster?.skew }],
      (ms) => ms > KAFKA_MS && ms <= SKEW_MS,
    ),
    why: `brokers allow ${targetLimits.kafka.leeway} s, if they are not told otherwise.`,
    next: 'Look at the time synchronisation of this machine first, then of that server; or set sasl.oauthbearer.clock.skew.seconds.',
  },
];

function at(reaches: readonly Reach[]) {
  return ofEach(({ url, addresses }) => {
    const reach = reachOfAll(addresses);
    if (addresses.length === 0 || !reaches.includes(reach)) return undefined;
    return `${new URL(url).hostname} is ${addresses.join(', ')} (${reach})`;
  });
}

interface Clock {
  readonly subject: string;
  readonly skew: number | undefined;
}

function clocks(of: (observation: Observation) => readonly Clock[], concerns: (ms: number) => boolean) {
  return (observation: Observation): readonly Sighting[] =>
    of(observation).flatMap(({ subject, skew = 0 }) =>
      concerns(Math.abs(skew))
        ? [{ subject, seen: `its clock is ${Math.round(Math.abs(skew) / 1000)} s ${skew > 0 ? 'ahead' : 'behind'}` }]
        : [],
    );
}

function slowerThan(limit: number) {
  return ofEach(({ milliseconds, failure: failed }) =>
    failed === undefined && milliseconds > limit ? `the answer took ${milliseconds} ms from here` : undefined,
  );
}

/** By its own words; a max-age beside them does not count (RFC 9111 section 5.2.2). */
function isNotKept(fetched: Fetched): boolean {
  const directives = (fetched.headers['cache-control'] ?? '').toLowerCase().split(/\s*,\s*/);
  return maxAge(fetched) === 0 || ['no-store', 'no-cache'].some((each) => directives.includes(each));
}

function maxAge({ headers }: Fetched): number | undefined {
  const found = /(?:^|[\s,])max-age\s*=\s*"?(\d+)/i.exec(headers['cache-control'] ?? '');
  return found === null ? undefined : Number(found[1]);
}
