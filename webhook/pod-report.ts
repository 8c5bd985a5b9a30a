import { type Problem, printable, quote, sentence } from '../src/fault.ts';
import type { KubeEvent } from '../src/kube-event.ts';
import type { AdmissionRequest } from './admission-review.ts';

/** What the owner of a Pod should know, as far as the Pod is concerned. */
export interface PodReport {
  readonly reason: 'PodDenied' | 'PodWithoutToken';
  readonly note: string;
  /** Who is told of a Pod without an owner; absent where nobody is. */
  readonly serviceAccount?: { readonly namespace: string; readonly name: string };
}

/** The creator of a Pod without an owner has got the answer. */
export function deniedReport(problems: readonly Problem[]): PodReport {
  const [first, ...others] = problems.slice(0, DESCRIBED).map(withoutValue);
  const more = problems.length - DESCRIBED;
  const note =
    others.length === 0
      ? (first ?? '')
      : [`${problems.length} problems:`, ...[first, ...others].map((each) => `- ${each}`)].join('\n');
  return { reason: 'PodDenied', note: more > 0 ? `${note}\n- and ${more} more` : note };
}

export function unseenReport(
  pod: string,
  tokens: number,
  serviceAccount: NonNullable<PodReport['serviceAccount']>,
): PodReport {
  const which = tokens === 1 ? 'a token' : `${tokens} tokens`;
  const note = `${pod}: no container is left for ${which} that is asked for; see the annotations containers and skip-containers`;
  return { reason: 'PodWithoutToken', note, serviceAccount };
}

/** There is no ServiceAccount to tell. */
export function unknownAccountReport(pod: string, serviceAccount: string): PodReport {
  const note = `${pod}: its annotations ask for tokens, and it runs without, as the ${serviceAccount} was not found`;
  return { reason: 'PodWithoutToken', note };
}

const DESCRIBED = 10;
/** Too short for a token, and long enough for "true", ".." and "5m". */
const SHORT = 5;

/**
 * A problem as it may be stored in the cluster, where others than its author read it: without its value and what was
 * derived from values, as one may be a token that was put into the wrong place. All of that is in quotes; the parts are
 * looked at one by one, as a key may have a quote in it.
 */
function withoutValue({ object, key, value, wrong, accepted }: Problem): string {
  const found = value === undefined ? '' : `${withoutLong(quote(value))} `;
  return `${printable(object)}: ${printable(key)}: ${found}${withoutLong(sentence(wrong))}; accepted: ${withoutLong(sentence(accepted))}`;
}

function withoutLong(text: string): string {
  return text.replace(/"(?:[^"\\]|\\.)*(?:"|$)/g, (quoted) => (quoted.length - 2 <= SHORT ? quoted : '"…"'));
}

/** The event to write of an admission: on the Pod's controller, else on its ServiceAccount, else none; none of a dry run. */
export function eventOf(request: AdmissionRequest, report: PodReport | undefined): KubeEvent | undefined {
  if (report === undefined || request.dryRun === true) return undefined;
  const { reason, note, serviceAccount } = report;
  const { namespace } = request;
  if (!matches(namespace, NAME)) return undefined;
  const owner = controllerOf(request.object);
  const about = { type: 'Warning', action: 'Admit', reason, note } as const;
  if (owner !== undefined) return { ...about, regarding: { ...owner, namespace } };
  if (serviceAccount === undefined) return undefined;
  const { name } = serviceAccount;
  return { ...about, regarding: { apiVersion: 'v1', kind: 'ServiceAccount', namespace, name } };
}

interface Owner {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
}

/**
 * The controller in a Pod's ownerReferences. Nobody has validated them yet, and what they say goes into an object of
 * ours: what is no reference is as good as none.
 */
function controllerOf(pod: unknown): Owner | undefined {
  const references: unknown = (pod as { metadata?: { ownerReferences?: unknown } | null } | null)?.metadata
    ?.ownerReferences;
  if (!Array.isArray(references)) return undefined;
  const found = (references as ({ controller?: unknown } | null)[]).find((each) => each?.controller === true);
  const { apiVersion, kind, name, uid } = (found ?? {}) as Partial<Record<keyof Owner, unknown>>;
  if (!matches(apiVersion, API_VERSION) || !matches(kind, KIND)) return undefined;
  return matches(name, NAME) && matches(uid, UID) ? { apiVersion, kind, name, uid } : undefined;
}

const API_VERSION = /^([a-z0-9][-a-z0-9.]{0,252}\/)?v[a-z0-9]{1,62}$/;
const KIND = /^[A-Z][A-Za-z0-9]{0,62}$/;
const NAME = /^[a-z0-9][-a-z0-9.]{0,252}$/;
const UID = /^[-A-Za-z0-9]{1,64}$/;

function matches(value: unknown, pattern: RegExp): value is string {
  return typeof value === 'string' && pattern.test(value);
}
