import { describe, type Problem } from '../../../src/fault.ts';
import { type Mutation, mutatePod } from '../../../webhook/mutate-pod.ts';
import { readPod } from '../../../webhook/pod.ts';
import { mutationSettings } from '../../mutation-settings.ts';
import { admitted } from '../admitted.ts';
import { annotationKeys, annotationValues, podMembers } from '../dictionary.ts';
import { bytesOf, podSeeds } from '../seeds.ts';
import { hold, type Target } from '../target.ts';

const SETTINGS = mutationSettings(
  {
    presets: 'aws,azure,gcp',
    awsDefaultRegion: 'eu-central-1',
    azureTenantId: 'tenant',
    reservedAudiences: 'apiserver',
    oauth2ProxyIssuer: 'https://issuer.example.com',
  },
  (_, name) => name === 'credentials',
);

/** `{"pod": …, "account": {"name": …, "annotations": …}}`; `undefined` for anything else. */
function inputOf(bytes: Buffer): { pod: unknown; name: string; annotations: Record<string, string> } | undefined {
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString());
  } catch {
    return undefined;
  }
  const { pod, account } = (value ?? {}) as { pod?: unknown; account?: { name?: unknown; annotations?: unknown } };
  const annotations = Object.entries(account?.annotations ?? {}).filter(([, each]) => typeof each === 'string');
  const name = typeof account?.name === 'string' ? account.name : 'app';
  return { pod, name, annotations: Object.fromEntries(annotations) as Record<string, string> };
}

function checkProblem(problem: Problem): void {
  for (const member of ['object', 'key', 'wrong', 'accepted'] as const)
    hold(typeof problem[member] === 'string' && problem[member] !== '', `a problem has no ${member}`);
  hold(problem.value === undefined || typeof problem.value === 'string', 'the value of a problem is no text');
  const line = describe(problem);
  hold(line.length < 12_000, 'a problem is longer than anyone reads');
  hold(!/[\p{Cc}\u2028\u2029\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]/u.test(line), 'a problem cannot be printed');
}

/** Whatever is written: problems or a patch and never both, nothing is taken away, and a second round adds nothing. */
export const target: Target = {
  name: 'annotations',
  shape: 'json',
  maxBytes: 16 * 1024,
  dictionary: [...annotationKeys, ...annotationValues, ...podMembers],
  seeds: () => podSeeds().map(({ pod, account }) => bytesOf({ pod, account: { name: 'app', annotations: account } })),
  judge(bytes) {
    const input = inputOf(bytes);
    const reading = readPod(input?.pod);
    if (input === undefined || 'wrong' in reading) return;
    const { name, annotations } = input;
    const account = { namespace: 'shop', name, object: `ServiceAccount shop/${name}`, annotations };
    for (const known of [account, undefined]) {
      const mutate = (value: unknown): Mutation => {
        const pod = readPod(value);
        hold('pod' in pod, 'what was admitted is no Pod any more');
        return mutatePod(pod.pod, 'Pod shop/web', known, SETTINGS);
      };
      const frozen = JSON.stringify(reading.pod);
      const { patch, problems, tokens, presets } = mutate(reading.pod);
      hold(JSON.stringify(reading.pod) === frozen, 'the Pod itself was changed');
      problems.forEach(checkProblem);
      if (problems.length > 0) {
        hold(patch.length + tokens.length + presets.length === 0, 'there are problems and a patch');
        continue;
      }
      const after = admitted(reading.pod, patch);
      const again = mutate(after);
      const [problem] = again.problems;
      hold(problem === undefined, `a second round finds a problem: ${problem && describe(problem)}`);
      hold(again.patch.length === 0, `a second round adds at ${again.patch.map(({ path }) => path)}`);
    }
  },
};
