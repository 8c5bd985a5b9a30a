import { printable } from '../../../fault.ts';
import { names } from '../../manifests/object.ts';
import { entriesOf } from '../entries.ts';
import type { DeploymentSeen, EntrySeen, Observation, TrialSeen, WebhookSeen } from '../observation.ts';
import type { Rule, Sighting } from '../rule.ts';
import { day, endsSoon } from './tls.ts';

/** Rules for the registration of the webhook, its Deployment, and a Pod that was tried. */

const REGISTRATION = `MutatingWebhookConfiguration ${names.registration}`;
const TRIAL = 'a Pod that was tried as a dry run';

function about(see: (webhook: WebhookSeen) => readonly Sighting[]) {
  return ({ cluster }: Observation) => (cluster?.webhook === undefined ? [] : see(cluster.webhook));
}

const isHalf = ({ name }: DeploymentSeen) => Object.values(names.halves).some((half) => name.endsWith(`/${half}`));

/** A half of the webhook that is away while the other one does its work. */
const isCovered = (each: DeploymentSeen, all: readonly DeploymentSeen[]) =>
  isHalf(each) && all.some((other) => isHalf(other) && other.available > 0);

const available = (each: DeploymentSeen) => ({
  subject: each.name,
  seen: `${each.available} of ${each.wanted} replicas are available`,
});

const ofEachEntry = (see: (entry: EntrySeen, now: number) => string | false) => (observation: Observation) =>
  (observation.cluster?.webhook?.entries ?? []).flatMap((entry) => {
    const seen = see(entry, observation.now);
    return seen === false ? [] : [{ subject: REGISTRATION, seen: `${entry.name}: ${seen}` }];
  });

/** What became of the Pod, by the words of the API server (apiserver/pkg/admission/plugin/webhook/errors). */
function outcomeOf({
  status,
  injected,
  message,
}: TrialSeen): 'injected' | 'untouched' | 'distrusted' | 'unreached' | 'refused' {
  if (status === 201) return injected ? 'injected' : 'untouched';
  if (status === 0) return 'unreached';
  if (/failed calling webhook/.test(message)) return /x509|tls:|certificate/.test(message) ? 'distrusted' : 'unreached';
  return /ask for tokens, and it has none/.test(message) ? 'untouched' : 'refused';
}

const ofTrial = (outcome: ReturnType<typeof outcomeOf>, see: (trial: TrialSeen) => string) =>
  about(({ trial }) =>
    trial !== undefined && outcomeOf(trial) === outcome ? [{ subject: TRIAL, seen: see(trial) }] : [],
  );

const said = ({ status, message }: TrialSeen) => (status === 0 ? message : `HTTP ${status}: ${printable(message)}`);
const AGAIN = 'Afterwards "kubectl rollout restart" what was created without its tokens.';

const failsOpen = ({ entries = [] }: Partial<WebhookSeen> = {}) =>
  entries.length > 0 && entries.every(({ failurePolicy }) => failurePolicy === 'Ignore');

/** Entries of every installation that are not there; none where the registration is not made of them at all. */
function missing(entries: readonly EntrySeen[] | undefined, concerns: (name: string) => boolean): readonly Sighting[] {
  const there = (entries ?? []).map(({ name }) => name);
  if (!there.some((name) => entriesOf.known.has(name))) return [];
  const gone = entriesOf.always.filter((name) => concerns(name) && !there.includes(name));
  return gone.length === 0 ? [] : [{ subject: REGISTRATION, seen: `it has no entry ${gone.join(', ')}` }];
}

export const webhookRules: readonly Rule[] = [
  {
    code: 'webhook-not-registered',
    severity: 'error',
    find: about(({ registered, deployments }) =>
      registered === false && deployments.some(isHalf)
        ? [{ subject: REGISTRATION, seen: 'it is not there, though the webhook runs' }]
        : [],
    ),
    why: 'The API server asks no webhook, so Pods are created without their tokens.',
    next: `Apply manifests/base/webhook/registration.yaml again. ${AGAIN}`,
  },
  {
    code: 'webhook-not-registered',
    severity: 'warning',
    find: about(({ registered, deployments }) =>
      registered === false && !deployments.some(isHalf)
        ? [{ subject: REGISTRATION, seen: 'it is not there, and neither are the Deployments of the webhook' }]
        : [],
    ),
    why: 'Pods get no tokens of podpass in this cluster. That is right where only discovery is wanted.',
    next: 'Nothing, if that is meant. Else install the webhook: "podpass manifests" prints it.',
  },
  {
    code: 'webhook-entry-missing',
    severity: 'error',
    find: about(({ entries }) => missing(entries, (name) => name === entriesOf.everyPod)),
    why: 'What a ServiceAccount asks for is seen by this entry alone: its Pods are created without their tokens.',
    next: `Apply the registration again: "podpass manifests" prints it. ${AGAIN}`,
  },
  {
    code: 'webhook-entry-missing',
    severity: 'warning',
    find: about(({ entries }) => missing(entries, (name) => name !== entriesOf.everyPod)),
    why: 'It is a second try for Pods that are not to be created without their tokens, when the first one meets a fault.',
    next: 'Apply the registration again: "podpass manifests" prints it.',
  },
  {
    code: 'failure-policy-changed',
    severity: 'warning',
    find: ofEachEntry(
      ({ name, failurePolicy }) =>
        entriesOf.known.get(name) === 'Ignore' && failurePolicy === 'Fail' && 'failurePolicy is Fail, and was Ignore',
    ),
    why: 'When the webhook is away, Pods that this entry matches are not created, whether they ask for tokens or not.',
    next: 'Apply the registration again: "podpass manifests" prints it. Pods that should wait have the label podpass.dev/inject: "true".',
  },
  {
    code: 'failure-policy-changed',
    severity: 'warning',
    find: (observation) =>
      failsOpen(observation.cluster?.webhook)
        ? []
        : ofEachEntry(
            ({ name, failurePolicy }) =>
              entriesOf.known.get(name) === 'Fail' &&
              failurePolicy === 'Ignore' &&
              'failurePolicy is Ignore, and was Fail',
          )(observation),
    why: 'When the webhook is away, Pods of this entry run without their tokens instead of waiting.',
    next: 'Apply the registration again: "podpass manifests" prints it.',
  },
  {
    code: 'ca-bundle-missing',
    severity: 'error',
    find: ofEachEntry(({ caBundle }) => caBundle !== 'readable' && `its caBundle is ${caBundle}`),
    why: 'The API server then trusts public CAs only, so it cannot call the webhook. Applying a manifest with an empty caBundle wipes it.',
    next: `Restart the webhook, which writes it (--tls-mode managed), or look at the CA injector of cert-manager. ${AGAIN}`,
  },
  {
    code: 'ca-bundle-expires',
    severity: 'warning',
    find: ofEachEntry(({ lastCa }, now) => {
      if (lastCa === undefined || !endsSoon(lastCa, now)) return false;
      return `its last CA ${lastCa.notAfter <= now ? 'expired' : 'expires'} at ${day(lastCa.notAfter)}`;
    }),
    why: 'When it ends, the API server cannot call the webhook.',
    next: 'Look at the logs of the webhook, or at cert-manager: the CA should have been renewed.',
  },
  {
    code: 'ca-bundle-mismatch',
    severity: 'error',
    find: ofTrial('distrusted', said),
    why: 'The caBundle does not fit the certificate that the webhook shows, or the certificate has expired or has another name.',
    next: `Compare the caBundle with the Secret of the certificate; see whether the Pods have loaded the renewed one. ${AGAIN}`,
  },
  {
    code: 'webhook-unreachable',
    severity: 'error',
    find: ofTrial('unreached', said),
    why: 'Pods with the label podpass.dev/inject: "true" are not created, and the others are created without being asked for.',
    next: `"connection refused" or "no endpoints": look at the Pods of both halves, podpass-webhook-a and podpass-webhook-b. "deadline exceeded": look at firewalls and network policies between API server and Pods. To take podpass out at once see docs/operate.md. ${AGAIN}`,
  },
  {
    code: 'webhook-not-injecting',
    severity: 'error',
    find: ofTrial('untouched', ({ status }) => `HTTP ${status}, and no volume with a token`),
    why: 'The webhook was not asked, or added nothing. Pods run without their tokens, or the policy refuses them.',
    next: `Compare the registration with "podpass manifests": rules, selectors, matchConditions. Then look at the logs of the webhook, and at --annotation-prefix. ${AGAIN}`,
  },
  {
    code: 'dry-run-refused',
    severity: 'warning',
    find: ofTrial('refused', said),
    why: 'Something else than podpass refused it, such as a quota or a policy, so it could not be seen whether Pods get their tokens.',
    next: 'Try a Pod that your rules allow, with --dry-run=server and the annotation podpass.dev/audience.doctor: podpass-doctor.',
  },
  {
    code: 'webhook-fails-open',
    severity: 'warning',
    find: about((webhook) =>
      failsOpen(webhook) ? [{ subject: REGISTRATION, seen: 'every failurePolicy is Ignore' }] : [],
    ),
    why: 'When the webhook is away, Pods with the label podpass.dev/inject: "true" run without their tokens instead of waiting.',
    next: 'Add the entry for labelled Pods again: "podpass manifests" prints it.',
  },
  {
    code: 'webhook-broad',
    severity: 'warning',
    find: ofEachEntry(
      ({ failurePolicy, selective }) =>
        failurePolicy === 'Fail' && !selective && 'failurePolicy Fail without any selector',
    ),
    why: 'When the webhook is away no Pod of the cluster is created, also none of kube-system and of the webhook itself.',
    next: 'Leave kube-system and the namespace of podpass out with a namespaceSelector, as "podpass manifests" does.',
  },
  {
    code: 'policy-missing',
    severity: 'warning',
    find: about(({ policy, registered }) =>
      policy === false && registered !== false
        ? [
            {
              subject: `ValidatingAdmissionPolicy ${names.registration}`,
              seen: 'the policy or its binding is not there',
            },
          ]
        : [],
    ),
    why: 'Pods that ask for tokens by their annotations then run without them when the webhook is away.',
    next: 'Apply manifests/base/webhook/policy.yaml.',
  },
  {
    code: 'deployment-missing',
    severity: 'error',
    find: about(({ deployments }) =>
      deployments.filter(({ found }) => !found).map(({ name }) => ({ subject: name, seen: 'it is not there' })),
    ),
    why: 'The registration leads to a Service without Pods. Where only one half of the webhook is missing, the other one does the work, and its next fault stops Pods.',
    next: 'Install the webhook again, or take the registration away; "podpass manifests" prints both.',
  },
  {
    code: 'deployment-unavailable',
    severity: 'error',
    find: about(({ deployments }) =>
      deployments.filter((each) => each.found && each.available === 0 && !isCovered(each, deployments)).map(available),
    ),
    why: 'Nobody answers: no tokens for new Pods (both halves of the webhook), no keys for verifiers (podpass-discovery).',
    next: 'Look at the events and the log of its Pods, and at /readyz?verbose on their metrics port.',
  },
  {
    code: 'deployment-degraded',
    severity: 'warning',
    find: about(({ deployments }) =>
      deployments
        .filter((each) =>
          each.available > 0 ? each.available < each.wanted : each.found && isCovered(each, deployments),
        )
        .map(available),
    ),
    why: 'The others do the work, or the other half of the webhook does; there is less left for the next fault.',
    next: 'Look at the events and the log of the Pods that are not ready.',
  },
  {
    code: 'version-skew',
    severity: 'warning',
    find: about(({ deployments }) => {
      const images = [...new Set(deployments.flatMap(({ image }) => image ?? []))];
      const seen = deployments.map(({ name, image = 'no image' }) => `${name} runs ${image}`).join(', ');
      return images.length > 1 ? [{ subject: 'Deployments', seen }] : [];
    }),
    why: 'The services are tested together in one version. During an upgrade that is normal.',
    next: 'Finish the upgrade, or bring all to one image.',
  },
  {
    code: 'cli-version',
    severity: 'warning',
    find: ofVersions((own, running) => lineOf(own) !== lineOf(running)),
    why: 'This podpass knows the rules and the objects of its own version, so it may find faults that are none, and miss others.',
    next: 'Use the podpass of the version that runs, or finish the upgrade.',
  },
  {
    code: 'cli-version',
    severity: 'info',
    find: ofVersions((own, running) => own !== running && lineOf(own) === lineOf(running)),
    why: 'Such versions differ in mended faults only.',
    next: 'Nothing, or use the podpass of the version that runs.',
  },
];

/** A change of the minor version may change anything before 1.0.0, and adds something after it. */
const lineOf = (version: string) => version.split('.').slice(0, 2).join('.');

function ofVersions(concerns: (own: string, running: string) => boolean) {
  return ({ version, cluster }: Observation): readonly Sighting[] =>
    (cluster?.webhook?.deployments ?? []).flatMap(({ name, image }) => {
      const running = versionOf(image);
      if (version === undefined || running === undefined || !concerns(version, running)) return [];
      return [{ subject: name, seen: `it runs ${running}, and this is podpass ${version}` }];
    });
}

/** The version that an image's tag names; none of `latest`, of a digest alone and of tags that are no version. */
function versionOf(image = ''): string | undefined {
  return /:v?(\d+\.\d+\.\d+(?:-[\w.]+)?)(?:@[\w:]+)?$/.exec(image)?.[1];
}
