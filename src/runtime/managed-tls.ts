import { messageOf } from '../fault.ts';
import type { Log } from '../log.ts';
import { type Authority, makeAuthority } from '../managed-tls/authority.ts';
import { type Configuration, patchBundles, readConfiguration } from '../managed-tls/configuration.ts';
import { type Decision, decide, type Instant, type Lifetimes, type Own, type Seen } from '../managed-tls/decide.ts';
import { type Leaf, type LeafNames, makeLeaf } from '../managed-tls/leaf.ts';
import { readSecretData, type SecretContent, type SecretData, writeSecretData } from '../managed-tls/secret-content.ts';
import { type Follower, followObject } from './follow-object.ts';
import type { KubeClient, KubeResponse } from './kube-client.ts';
import { checkPair, type TlsPair } from './tls-files.ts';

export interface ManagedTlsOptions {
  readonly client: Pick<KubeClient, 'get' | 'stream' | 'post' | 'put' | 'patch'>;
  readonly namespace: string;
  readonly secret: string;
  /** The MutatingWebhookConfigurations to keep. */
  readonly configurations: readonly string[];
  readonly names: LeafNames;
  readonly lifetimes: Lifetimes;
  readonly clock: () => Instant;
  /** A new RSA key in PEM (PKCS#8), made beside the event loop. */
  readonly makeKey: () => Promise<string>;
  readonly randomBytes: (size: number) => Uint8Array;
  readonly random: () => number;
  readonly on: {
    /** Serve with this from now on. */
    pair(pair: TlsPair): void;
    /** The Secret has something in it that cannot be used. */
    refused(): void;
    states(states: Decision['states']): void;
  };
  readonly log: Log;
}

export interface ManagedTls {
  start(): void;
  stop(): Promise<void>;
  /** Why there is no certificate yet; once there is one, always empty. */
  unready(): readonly string[];
}

/** The wall clock is looked at this often: a timer knows nothing of a machine that slept, nor of a clock that was set. */
const TICK_MS = 1_000;
const TIMEOUT_MS = 5_000;
/** Someone else may want another caBundle: then one patch a second each. */
const PATCH_GAP_MS = 1_000;
const [FIRST_RETRY_MS, LAST_RETRY_MS] = [1_000, 30_000];
const CONFIGURATIONS = '/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations';

interface SecretObject {
  readonly apiVersion?: string;
  readonly metadata?: { readonly resourceVersion?: string };
  readonly data?: SecretData | null;
}

/**
 * Keeps the CA in its Secret, the caBundles and our own certificate as `decide` wants them. Replicas share nothing but
 * these objects; each write holds for the version that it was decided on, and is refused where another one came first.
 */
export function createManagedTls(options: ManagedTlsOptions): ManagedTls {
  const { client, namespace, lifetimes, clock, log, on } = options;
  const secrets = `/api/v1/namespaces/${namespace}/secrets`;
  const stopping = new AbortController();
  const { signal } = stopping;
  let running: Promise<void> | undefined;
  let wake: () => void = () => undefined;
  let pending = false;

  let secret: Seen<SecretContent> = 'unknown';
  let secretObject: SecretObject | undefined;
  const configurations = new Map<string, Seen<Configuration>>(
    options.configurations.map((name) => [name, 'unknown'] as const),
  );
  const own: { -readonly [K in keyof Own]: Own[K] } = { leaf: undefined, authorities: [], publishedSince: new Map() };
  let unready: readonly string[] = ['certificates are not managed yet'];
  let told = '';
  const retries = new Map<string, { failures: number; notBefore: number }>();
  /** Why it failed, where it was told and nothing has got better since. */
  const reasons = new Map<string, string>();

  const secretFollower = followObject({
    ...options,
    collection: secrets,
    name: options.secret,
    seen: (object) => see('store', () => seeSecret(object)),
  });
  const followers = new Map<string, Follower>(
    options.configurations.map((name) => {
      const seen = (object: object | undefined) => see(name, () => seeConfiguration(name, object));
      return [name, followObject({ ...options, collection: CONFIGURATIONS, name, seen })] as const;
    }),
  );

  // ---- what there is ----

  /** Something new may be the end of what failed. */
  function see(what: string, take: () => void): void {
    take();
    if ((retries.get(what)?.failures ?? 0) > 0) retries.delete(what);
    pending = true;
    wake();
  }

  function seeSecret(object: SecretObject | undefined): void {
    secretObject = object;
    const content = object === undefined ? undefined : readSecretData(object.data);
    const problems = content?.problems ?? [];
    if (problems.length > 0 && problems.join() !== told) {
      log.error(
        { namespace, secret: options.secret, problems },
        'the Secret of the CA is refused, and will be repaired',
      );
      on.refused();
    }
    told = problems.join();
    secret = content ?? 'absent';
    if (content?.authorities.some(({ key }) => key !== undefined)) own.authorities = content.authorities;
  }

  function seeConfiguration(name: string, object: object | undefined): void {
    if (object === undefined && configurations.get(name) !== 'absent') {
      log.warn(
        { configuration: name },
        'the MutatingWebhookConfiguration does not exist: nobody calls this webhook by it',
      );
    }
    configurations.set(name, object === undefined ? 'absent' : readConfiguration(object));
  }

  // ---- what to do ----

  async function run(): Promise<void> {
    while (!signal.aborted) {
      pending = false;
      try {
        await step();
      } catch (error) {
        // Nothing that is done here may throw; what does all the same must not end it.
        log.error({ err: error }, 'managing certificates failed; trying again');
      }
      await tick();
    }
  }

  /** Until something was seen, a second at the most. */
  function tick(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, TICK_MS);
      wake = () => {
        clearTimeout(timer);
        resolve();
      };
      if (pending) wake();
    });
  }

  async function step(): Promise<void> {
    const decision = decide({ secret, configurations }, own, clock(), lifetimes);
    own.publishedSince = decision.publishedSince;
    on.states(decision.states);
    if (decision.sign !== undefined) await attempt('sign', sign, decision.sign);
    unready = own.leaf === undefined ? decision.unready : [];
    const patches = decision.publish.map(({ name, entries }) =>
      attempt(name, () => publish(name, entries, decision.trusted), undefined),
    );
    await Promise.all([...patches, decision.store && attempt('store', store, decision.store)]);
  }

  /** Does it unless it failed, or was done, too short a time ago. */
  async function attempt<T>(
    what: string,
    work: (argument: T) => Promise<'done' | 'again'>,
    argument: T,
  ): Promise<void> {
    const { failures, notBefore } = retries.get(what) ?? { failures: 0, notBefore: Number.NEGATIVE_INFINITY };
    if (clock().monotonic < notBefore) return;
    const later = (ms: number, count: number) =>
      retries.set(what, { failures: count, notBefore: clock().monotonic + ms });
    try {
      const outcome = await work(argument);
      reasons.delete(what);
      if (outcome === 'again') retries.delete(what);
      else later(PATCH_GAP_MS, 0);
    } catch (error) {
      if (signal.aborted) return;
      const retryInMs = Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** failures) * (0.5 + options.random() / 2);
      later(retryInMs, failures + 1);
      const reason = messageOf(error);
      const level = reasons.get(what) === reason ? 'debug' : 'warn';
      log[level]({ what, reason, retryInMs: Math.round(retryInMs) }, 'certificates not kept; trying again');
      reasons.set(what, reason);
    }
  }

  async function sign(authority: Authority): Promise<'done'> {
    const key = await options.makeKey();
    const now = clock().wall;
    const made = { key, serial: options.randomBytes(16), now, lifetimeMs: lifetimes.leafMs };
    const leaf: Leaf = makeLeaf(authority, options.names, made);
    on.pair(checkPair(leaf, 'the new certificate', 'its key'));
    own.leaf = leaf;
    const fields = { notAfter: isoTime(leaf.notAfter), authority: authority.fingerprint };
    log.info(fields, 'serving with a new certificate');
    return 'done';
  }

  async function publish(name: string, entries: readonly number[], trusted: readonly Authority[]): Promise<'done'> {
    const configuration = configurations.get(name);
    if (typeof configuration !== 'object') return 'done';
    const operations = patchBundles(configuration, entries, trusted);
    const answer = await client.patch(`${CONFIGURATIONS}/${name}`, operations, { timeoutMs: TIMEOUT_MS, signal });
    // 409, and 422 of the operation "test": another version than the one we saw. 404: gone, and not to come back by us.
    if (answer.status !== 200 && ![404, 409, 422].includes(answer.status)) throw refusal('patching', name, answer);
    await followers.get(name)?.refresh();
    const after = configurations.get(name);
    if (answer.status !== 200 && typeof after === 'object' && after.version === configuration.version) {
      throw refusal('patching', name, answer);
    }
    if (answer.status === 200) {
      const fields = { configuration: name, entries, authorities: trusted.map(({ fingerprint }) => fingerprint) };
      log.info(fields, 'caBundle written');
    }
    return 'done';
  }

  async function store({ renew, keep }: NonNullable<Decision['store']>): Promise<'done' | 'again'> {
    const before = secretObject;
    const created = renew === undefined ? [] : [await newAuthority()];
    const authorities = [...created, ...keep];
    const answer = await write(before, writeSecretData(authorities));
    const stored = answer.status === 200 || answer.status === 201;
    if (before === undefined && answer.status === 403) {
      throw new Error(
        `Secret ${namespace}/${options.secret} does not exist, and there is no right to create it; apply the manifests again`,
      );
    }
    if (!stored && answer.status !== 409) throw refusal('writing', `Secret ${namespace}/${options.secret}`, answer);
    if (stored) {
      const fields = { reason: renew ?? 'repaired', authorities: authorities.map(({ fingerprint }) => fingerprint) };
      log.info(fields, renew === undefined ? 'CAs written' : 'new CA written');
    }
    await secretFollower.refresh();
    return 'again';
  }

  async function newAuthority(): Promise<Authority> {
    const key = await options.makeKey();
    return makeAuthority(key, options.randomBytes(16), clock().wall, lifetimes.authorityMs);
  }

  /** The whole object as it was read, but for our data; its resourceVersion makes the API server refuse a late one. */
  function write(before: SecretObject | undefined, data: Record<string, string>): Promise<KubeResponse> {
    const limits = { timeoutMs: TIMEOUT_MS, signal };
    const kind = { apiVersion: 'v1', kind: 'Secret' };
    if (before !== undefined) {
      const object = { ...before, ...kind, data: { ...before.data, ...data } };
      return client.put(`${secrets}/${options.secret}`, object, limits);
    }
    return client.post(secrets, { ...kind, metadata: { name: options.secret }, type: 'Opaque', data }, limits);
  }

  return {
    start() {
      secretFollower.start();
      for (const follower of followers.values()) follower.start();
      running ??= run();
    },
    async stop() {
      stopping.abort();
      wake();
      await Promise.all([running, secretFollower.stop(), ...[...followers.values()].map((each) => each.stop())]);
    },
    unready: () => unready,
  };
}

/** Never the body, which may quote what was sent. */
function refusal(doing: string, what: string, { status }: KubeResponse): Error {
  const why = status === 403 ? ' (no right to)' : status === 404 ? ' (not found)' : '';
  return new Error(`${doing} ${what} was answered with HTTP ${status}${why}`);
}

function isoTime(ms: number): string {
  return new Date(ms).toISOString();
}
