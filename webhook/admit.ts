import { describeAll, Fault, type Problem, printable, quote } from '../src/fault.ts';
import type { AdmissionRequest, AdmissionResponse } from './admission-review.ts';
import type { MutationSettings } from './asked.ts';
import { addedContainers, type DebugRequest, mutateDebugContainers } from './debug-containers.ts';
import { isLeftAlone, type Mutation, mutatePod } from './mutate-pod.ts';
import { asksForProxy, proxyWithoutAccount } from './oauth2-proxy/sidecar.ts';
import { type Pod, readPod, serviceAccountNameOf } from './pod.ts';
import { deniedReport, type PodReport, unknownAccountReport, unseenReport } from './pod-report.ts';
import type { FoundServiceAccount, ServiceAccount, ServiceAccountSource } from './service-accounts.ts';

export type AdmissionResult = 'injected' | 'unchanged' | 'denied' | 'error';

/** An answer, and what the log and the metrics say of it. */
export interface Admission {
  readonly response: AdmissionResponse;
  readonly result: Exclude<AdmissionResult, 'error'>;
  /** Why nothing was done, or what was; a constant text. */
  readonly reason: string;
  readonly problems?: readonly Problem[];
  /** What the Pod's owner should know. */
  readonly report?: PodReport;
  /** Whose annotations it went by; absent where none was looked up or found. */
  readonly account?: FoundServiceAccount;
}

export interface AdmissionSettings extends MutationSettings {
  /** Debug containers get tokens too; absent: no. */
  readonly ephemeralContainers?: boolean;
}

/**
 * Answers one admission request. The answer follows from the request, the ServiceAccount's annotations and the settings
 * alone. Users' mistakes are answers (`allowed: false`); throws a Fault where there can be none:
 * `bad_request` for a request without a Pod, `unavailable` where the ServiceAccount could not be read in time.
 */
export async function admit(
  request: AdmissionRequest,
  serviceAccounts: ServiceAccountSource,
  settings: AdmissionSettings,
): Promise<Admission> {
  const isDebug = settings.ephemeralContainers === true && isOfPods(request, 'UPDATE', 'ephemeralcontainers');
  if (!isDebug && !isOfPods(request, 'CREATE', '')) return unchanged('not the creation of a Pod');
  const pod = podIn(request, isDebug ? 'oldObject' : 'object');
  const debug = isDebug ? debugRequest(pod, request) : undefined;
  if (debug !== undefined && addedContainers(debug).length === 0) return unchanged('no new debug container');
  if (isLeftAlone(pod, settings.annotationPrefix)) return unchanged('a mirror Pod, or left alone by its annotation');

  const namespace = printable(request.namespace || pod.metadata?.namespace || 'default');
  const name = serviceAccountNameOf(pod.spec);
  const lookup = await serviceAccounts.get(namespace, name);
  const object = `Pod ${namespace}/${podName(pod)}`;
  if (!lookup.found) {
    const warning = `ServiceAccount ${quote(`${namespace}/${name}`)} was not found; podpass adds nothing to this Pod`;
    const admission = unchanged('the ServiceAccount was not found', [warning]);
    // Who debugs a Pod is told by the warning.
    if (debug !== undefined) return admission;
    if (asksForProxy(pod.metadata?.annotations ?? {}, settings.annotationPrefix))
      return denied([proxyWithoutAccount(object, `${namespace}/${name}`)], []);
    // Without it only the Pod itself can have asked.
    const { tokens, problems } = mutatePod(pod, object, undefined, settings);
    return tokens.length + problems.length === 0
      ? admission
      : { ...admission, report: unknownAccountReport(object, `ServiceAccount ${namespace}/${printable(name)}`) };
  }
  const serviceAccount = {
    namespace,
    name,
    object: `ServiceAccount ${namespace}/${name}`,
    annotations: lookup.serviceAccount.annotations,
  };
  const mutation =
    debug === undefined
      ? mutatePod(pod, object, serviceAccount, settings)
      : mutateDebugContainers(debug, object, serviceAccount, settings);
  return { ...admissionOf(mutation, object, serviceAccount, debug !== undefined), account: lookup };
}

function admissionOf(
  mutation: Mutation,
  object: string,
  { namespace, name }: ServiceAccount,
  isDebug: boolean,
): Admission {
  const warnings = mutation.warnings.slice(0, MAX_WARNINGS).map(fitWarning);
  // Who debugs a Pod is told by the answer.
  if (mutation.problems.length > 0) return denied(mutation.problems, warnings, isDebug ? 'by the answer' : 'all ways');
  const report = mutation.unseen === 0 ? {} : { report: unseenReport(object, mutation.unseen, { namespace, name }) };
  if (mutation.patch.length === 0) return { ...unchanged('nothing to add', warnings), ...report };
  const { protects } = mutation;
  if (mutation.tokens.length + mutation.presets.length === 0 && protects === undefined) {
    const marked = unchanged('nothing to add but that it was asked', warnings);
    return { ...marked, response: { ...marked.response, patch: mutation.patch }, ...report };
  }
  const auditAnnotations = {
    tokens: JSON.stringify(audiencesOf(mutation)),
    ...(protects === undefined ? {} : { 'oauth2-proxy': JSON.stringify(protects) }),
  };
  return {
    response: { allowed: true, patch: mutation.patch, warnings, auditAnnotations },
    result: 'injected',
    reason: protects === undefined ? 'tokens added' : 'oauth2-proxy added',
    ...report,
  };
}

function denied(
  problems: readonly Problem[],
  warnings: readonly string[],
  told: 'all ways' | 'by the answer' = 'all ways',
): Admission {
  return {
    response: { allowed: false, message: describeAll(problems), warnings },
    result: 'denied',
    reason: 'problems',
    problems,
    ...(told === 'all ways' ? { report: deniedReport(problems) } : {}),
  };
}

/** The audiences by the names of the tokens and presets; a token may be called like a preset. */
function audiencesOf({ tokens, presets }: Mutation): Readonly<Record<string, string>> {
  const names = new Set(tokens.map(({ name }) => name));
  return Object.fromEntries([
    ...tokens.map(({ name, audience }) => [name, audience]),
    ...presets.map(({ name, audience }) => [names.has(name) ? `${name} (preset)` : name, audience]),
  ]);
}

function unchanged(reason: string, warnings: readonly string[] = []): Admission {
  return { response: { allowed: true, warnings }, result: 'unchanged', reason };
}

/** What a request leaves out is taken to be the Pod's, so that one without an object is noticed. */
function isOfPods(
  { operation, kind, resource, subResource }: AdmissionRequest,
  wanted: 'CREATE' | 'UPDATE',
  of: '' | 'ephemeralcontainers',
): boolean {
  const isPod = (kind?.kind ?? 'Pod') === 'Pod' && !kind?.group;
  return operation === wanted && isPod && (resource?.resource ?? 'pods') === 'pods' && (subResource ?? '') === of;
}

/** Throws a `bad_request` Fault where there is none. */
function podIn(request: AdmissionRequest, member: 'object' | 'oldObject'): Pod {
  const reading = readPod(request[member]);
  if ('wrong' in reading) throw new Fault('bad_request', `the ${member} is not a Pod: ${reading.wrong}`);
  return reading.pod;
}

function debugRequest(stored: Pod, request: AdmissionRequest): DebugRequest {
  return { stored, requested: podIn(request, 'object').spec.ephemeralContainers ?? [] };
}

/** A Pod made by a controller has no name yet. */
function podName(pod: Pod): string {
  return printable(pod.metadata?.name || pod.metadata?.generateName || '(unnamed)');
}

/** Of all warnings together the API server passes on 4 KiB. */
const MAX_WARNINGS = 100;

/** The API server cuts a warning after 256 characters: apiserver/pkg/endpoints/filters/warning.go. */
function fitWarning(warning: string): string {
  return warning.length <= 256 ? warning : `${warning.slice(0, 255)}…`;
}
