import { type Authority, newestFirst, renewalTime } from './authority.ts';
import type { Bundle, Configuration } from './configuration.ts';
import { type Leaf, leafExpiry } from './leaf.ts';
import type { SecretContent } from './secret-content.ts';

/** What is known of an object in the cluster: nothing yet, that there is none, or what it says. */
export type Seen<T> = 'unknown' | 'absent' | T;

export interface View {
  readonly secret: Seen<SecretContent>;
  /** Each configuration that is to be kept, by name. */
  readonly configurations: ReadonlyMap<string, Seen<Configuration>>;
}

/** What a replica has by itself. */
export interface Own {
  readonly leaf: Leaf | undefined;
  /** The CAs of the Secret when it was last good. */
  readonly authorities: readonly Authority[];
  /** Since when each CA, by fingerprint, has been seen in every caBundle without a break; monotonic milliseconds. */
  readonly publishedSince: ReadonlyMap<string, number>;
}

/** `wall` in epoch milliseconds, may jump; `monotonic` in milliseconds, only differences count. */
export interface Instant {
  readonly wall: number;
  readonly monotonic: number;
}

export interface Lifetimes {
  readonly authorityMs: number;
  readonly leafMs: number;
}

export interface Decision {
  /** Write the Secret: these CAs, and in front of them a new one where `renew` says why. */
  readonly store: { readonly renew: string | undefined; readonly keep: readonly Authority[] } | undefined;
  /** Write these CAs into these entries of these configurations. */
  readonly publish: readonly { readonly name: string; readonly entries: readonly number[] }[];
  /** All CAs that a caBundle has to hold. */
  readonly trusted: readonly Authority[];
  /** Make a new serving certificate with this CA. */
  readonly sign: Authority | undefined;
  readonly publishedSince: ReadonlyMap<string, number>;
  readonly states: Readonly<Record<ConfigurationState, number>>;
  /** Why there is no certificate to serve with; empty where there is one. */
  readonly unready: readonly string[];
}

type ConfigurationState = 'in_sync' | 'out_of_sync' | 'missing';

/** So many certificates at most, the newest ones, in the Secret and in a caBundle. */
const MOST_TRUSTED = 10;

/**
 * All of managed certificates but the doing: what to do next, from what is known of the cluster, what we have, and the
 * time. Every replica decides for itself; that two of them do the same is harmless, since writes name the version that
 * they are made for, and a refused one is decided anew from what is there by then.
 *
 * - A CA that has not been in every caBundle for a while signs nothing, unless there is no other that has.
 * - A CA stays in the caBundles until it has expired, and so longer than any certificate of it.
 * - Nothing here takes back what was there once: a replica without the API server renews with what it has.
 */
export function decide(view: View, own: Own, now: Instant, lifetimes: Lifetimes): Decision {
  const stored = typeof view.secret === 'object' ? view.secret.authorities : [];
  const configurations = [...view.configurations.values()];
  const bundles = configurations.flatMap((seen) => (typeof seen === 'object' ? seen.bundles : []));
  const trusted = trustedAuthorities(stored, own, bundles, now.wall);
  const publishedSince = notePublished(trusted, configurations, own.publishedSince, now.monotonic);
  const publish = [...view.configurations].flatMap(([name, seen]) => {
    const entries = typeof seen === 'object' ? staleEntries(seen, trusted, now.wall, lifetimes) : [];
    return entries.length === 0 ? [] : [{ name, entries }];
  });
  const usable = (authority: Authority) => isUsable(authority, now.wall);
  const ofSecret = stored.filter(usable);
  // A Secret that was deleted gets a new CA, not the remembered one back; until that has settled, memory serves.
  const remembered = [...(ofSecret.length > 0 ? [] : own.authorities), ...(own.leaf ? [own.leaf.authority] : [])];
  const candidates = newestFirst([...ofSecret, ...remembered.filter(usable)]);
  const signer = chooseSigner(candidates, publishedSince, own.leaf, now, lifetimes);
  const absent = configurations.filter((seen) => seen === 'absent').length;
  const unseen = configurations.filter((seen) => seen === 'unknown').length;
  return {
    store: decideStore(view.secret, ofSecret[0], trusted, now.wall, lifetimes),
    publish: trusted.length === 0 ? [] : publish,
    trusted,
    sign: signer !== undefined && needsLeaf(own.leaf, signer, now, lifetimes) ? signer.authority : undefined,
    publishedSince,
    states: {
      in_sync: configurations.length - absent - unseen - publish.length,
      out_of_sync: publish.length + unseen,
      missing: absent,
    },
    unready: own.leaf === undefined ? [whyNoLeaf(view, candidates, unseen > 0)] : [],
  };
}

function isUsable({ key, notBefore, notAfter }: Authority, wall: number): boolean {
  return key !== undefined && notBefore <= wall && wall < notAfter;
}

/**
 * Every CA by which some replica may be serving: those stored, those we know, and those that any caBundle has, since the
 * replica that put them there may have a Secret in mind that is gone. An expired one vouches for nothing.
 */
function trustedAuthorities(
  stored: readonly Authority[],
  own: Own,
  bundles: readonly Bundle[],
  wall: number,
): readonly Authority[] {
  const ours = [...own.authorities, ...(own.leaf === undefined ? [] : [own.leaf.authority])];
  const all = [...stored, ...ours, ...bundles.flatMap(({ authorities }) => authorities)];
  return newestFirst(all.filter(({ notAfter }) => wall < notAfter)).slice(0, MOST_TRUSTED);
}

// ---- the caBundles ---------------------------------------------------------------------------------------------------

/** Removed only some time after it has expired, or replicas whose clocks differ would undo each other's changes. */
function isLongExpired({ notAfter }: Authority, wall: number, { authorityMs }: Lifetimes): boolean {
  return wall > notAfter + Math.min(3_600_000, authorityMs);
}

function staleEntries(
  { bundles }: Configuration,
  trusted: readonly Authority[],
  wall: number,
  lifetimes: Lifetimes,
): readonly number[] {
  return bundles.flatMap((bundle, entry) => {
    const lacks = trusted.some((authority) => !has(bundle, authority));
    const old = bundle.authorities.some((authority) => isLongExpired(authority, wall, lifetimes));
    return lacks || old || bundle.garbage ? [entry] : [];
  });
}

function has({ authorities }: Bundle, { fingerprint }: Authority): boolean {
  return authorities.some((each) => each.fingerprint === fingerprint);
}

/** A configuration that does not exist sends nobody to us; one that was not read yet may lack every CA. */
function notePublished(
  trusted: readonly Authority[],
  configurations: readonly Seen<Configuration>[],
  before: ReadonlyMap<string, number>,
  monotonic: number,
): ReadonlyMap<string, number> {
  const everywhere = (authority: Authority) =>
    configurations.every(
      (seen) =>
        seen === 'absent' || (typeof seen === 'object' && seen.bundles.every((bundle) => has(bundle, authority))),
    );
  return new Map(
    trusted.filter(everywhere).map(({ fingerprint }) => [fingerprint, before.get(fingerprint) ?? monotonic] as const),
  );
}

// ---- the serving certificate -----------------------------------------------------------------------------------------

interface Signer {
  readonly authority: Authority;
  /** In the caBundles for long enough to be used although the certificate we have is still good. */
  readonly settled: boolean;
}

/** What is in the object may not have reached every API server yet, so a new CA waits for this long. */
export function settleMs({ leafMs }: Lifetimes): number {
  return Math.min(60_000, leafMs / 10);
}

/**
 * The newest CA that has settled. Before there is one, as after a start, the one that we already serve by, else the
 * oldest that is published and lasts for a while: it has been there longest. None while nothing is published.
 */
function chooseSigner(
  candidates: readonly Authority[],
  publishedSince: ReadonlyMap<string, number>,
  leaf: Leaf | undefined,
  now: Instant,
  lifetimes: Lifetimes,
): Signer | undefined {
  const settle = settleMs(lifetimes);
  const settled = candidates.find(({ fingerprint }) => {
    const since = publishedSince.get(fingerprint);
    return since !== undefined && now.monotonic - since >= settle;
  });
  if (settled !== undefined) return { authority: settled, settled: true };
  const same = candidates.find(({ fingerprint }) => fingerprint === leaf?.authority.fingerprint);
  if (same !== undefined) return { authority: same, settled: false };
  const published = candidates.filter(({ fingerprint }) => publishedSince.has(fingerprint));
  const lasting = published.filter(({ notAfter }) => notAfter - now.wall > 3 * settle);
  // With an expired certificate nothing can get worse.
  const desperate = leaf !== undefined && now.wall >= leaf.notAfter;
  const authority = lasting.at(-1) ?? published[0] ?? (desperate ? candidates[0] : undefined);
  return authority && { authority, settled: false };
}

function needsLeaf(
  leaf: Leaf | undefined,
  { authority, settled }: Signer,
  now: Instant,
  lifetimes: Lifetimes,
): boolean {
  if (leaf === undefined) return true;
  // The clock was set back by more than certificates are backdated.
  if (now.wall < leaf.notBefore) return true;
  const gain = leafExpiry(authority, now.wall, lifetimes.leafMs) - leaf.notAfter;
  const other = leaf.authority.fingerprint !== authority.fingerprint;
  if (other && settled && authority.issuedAt > leaf.authority.issuedAt) return true;
  return now.wall >= renewalTime(leaf) && gain > 0;
}

function whyNoLeaf({ secret }: View, candidates: readonly Authority[], unseen: boolean): string {
  if (secret === 'unknown') return 'the Secret of the CA has not been read yet';
  if (candidates.length === 0) return 'there is no CA yet';
  if (unseen) return 'a MutatingWebhookConfiguration has not been read yet';
  return 'the CA is not in every caBundle yet';
}

// ---- the Secret ------------------------------------------------------------------------------------------------------

function decideStore(
  secret: Seen<SecretContent>,
  newest: Authority | undefined,
  trusted: readonly Authority[],
  wall: number,
  lifetimes: Lifetimes,
): Decision['store'] {
  if (secret === 'unknown') return undefined;
  const { authorities, problems } = secret === 'absent' ? { authorities: [], problems: [] } : secret;
  const renew = whyRenew(newest, authorities, wall);
  const tidy = problems.length > 0 || authorities.some((authority) => isLongExpired(authority, wall, lifetimes));
  if (renew === undefined && !tidy) return undefined;
  // Keys come from the Secret alone; of what we know besides, the certificates are enough.
  const keep = trusted.map(
    (authority) =>
      authorities.find(({ fingerprint }) => fingerprint === authority.fingerprint) ?? { ...authority, key: undefined },
  );
  return { renew, keep: newestFirst(keep).slice(0, MOST_TRUSTED - 1) };
}

function whyRenew(newest: Authority | undefined, authorities: readonly Authority[], wall: number): string | undefined {
  if (newest === undefined) return authorities.length === 0 ? 'there is none' : 'none is usable';
  return wall >= renewalTime(newest) ? 'two thirds of its lifetime are over' : undefined;
}
