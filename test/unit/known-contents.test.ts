import jsonPatch, { type Operation } from 'fast-json-patch';
import { beforeEach, expect, test } from 'vitest';
import { writeReview } from '../../webhook/admission-review.ts';
import { type AdmissionSettings, admit } from '../../webhook/admit.ts';
import { createReviewer } from '../../webhook/reviewer.ts';
import type { ServiceAccountSource } from '../../webhook/service-accounts.ts';
import { countedAnswers } from '../counted-answers.ts';
import { mutationSettings } from '../mutation-settings.ts';
import { parseReview } from '../parse-review.ts';

/** What variables, arguments and volumes hold is not in the key of a known answer where it is nobody's business. */

const settings: AdmissionSettings = {
  ...mutationSettings({
    presets: 'aws,azure',
    azureTenantId: 'tenant',
    oauth2ProxyIssuer: 'https://issuer.example.com',
  }),
  ephemeralContainers: true,
};
const annotations = {
  'podpass.dev/audiences': 'vault',
  'podpass.dev/env.vault': 'VAULT_TOKEN_FILE',
  'eks.amazonaws.com/role-arn': 'arn:aws:iam::111122223333:role/web',
};
const accountWith = (of: Readonly<Record<string, string>>): ServiceAccountSource => {
  const serviceAccount = { namespace: 'shop', name: 'app', annotations: of };
  return { get: async () => ({ found: true, source: 'cache', serviceAccount }) };
};

// biome-ignore lint/suspicious/noExplicitAny: Pods are changed at any place
type Pod = any;

let [count, hits] = [0, 0];
let serviceAccounts: ServiceAccountSource;
beforeEach(() => {
  hits = 0;
  serviceAccounts = accountWith(annotations);
});

function bodyOf(object: Pod, oldObject?: Pod): Buffer {
  count += 1;
  const uid = `690b3e6b-d039-4a7b-a3ca-${count.toString(16).padStart(12, '0')}`;
  const of =
    oldObject === undefined ? { operation: 'CREATE' } : { operation: 'UPDATE', subResource: 'ephemeralcontainers' };
  const request = { uid, namespace: 'shop', ...of, object, oldObject };
  return Buffer.from(JSON.stringify({ kind: 'AdmissionReview', apiVersion: 'admission.k8s.io/v1', request }));
}

async function anew(body: Buffer): Promise<string> {
  const request = parseReview(body);
  return writeReview(request, (await admit(request, serviceAccounts, settings)).response);
}

const WRITTEN = {
  metadata: { generateName: 'web-', annotations: { 'podpass.dev/oauth2-proxy': '8080' } as Record<string, string> },
  spec: { containers: [{ name: 'web', args: ['serve'], env: [{ name: 'LEVEL', value: 'info' }] }] },
};
WRITTEN.metadata.annotations['podpass.dev/oauth2-proxy-audiences'] = 'shop';
WRITTEN.metadata.annotations['podpass.dev/oauth2-proxy-callers'] = 'system:serviceaccount:billing:worker';

/** The Pod as it is after the first round. */
async function injected(): Promise<Pod> {
  const { response } = JSON.parse(await anew(bodyOf(WRITTEN)));
  const patch = JSON.parse(Buffer.from(response.patch, 'base64').toString()) as Operation[];
  return jsonPatch.applyPatch(structuredClone<Pod>(WRITTEN), patch, true).newDocument;
}

const variable = (pod: Pod, name: string) =>
  pod.spec.containers[0].env.find((each: { name: string }) => each.name === name) ?? expect.unreachable();
const volume = (pod: Pod, name: string) =>
  pod.spec.volumes.find((each: { name: string }) => each.name === name) ?? expect.unreachable();
const sidecar = (pod: Pod) =>
  pod.spec.initContainers.find((each: { name: string }) => each.name === 'podpass-oauth2-proxy') ??
  expect.unreachable();

/** Where something stands whose value is changed, and values beside the one that podpass writes. */
const places: Record<string, readonly [(pod: Pod) => Record<string, unknown>, string, readonly unknown[]]> = {
  'a variable of podpass': [(pod) => variable(pod, 'VAULT_TOKEN_FILE'), 'value', ['', 'x', 'y', null, 5]],
  'a variable of a preset': [(pod) => variable(pod, 'AWS_ROLE_ARN'), 'value', ['', 'x', 'y', undefined]],
  'a variable of the application': [(pod) => variable(pod, 'LEVEL'), 'value', ['', 'x', 'y', 'VAULT_TOKEN_FILE']],
  'the arguments of oauth2-proxy': [sidecar, 'args', [[], ['x'], null, 5, undefined, {}]],
  'the arguments of the application': [(pod) => pod.spec.containers[0], 'args', [[], ['x'], null, undefined]],
  'the volume of the tokens': [(pod) => volume(pod, 'podpass-tokens'), 'projected', [{}, { sources: [] }, null, 5]],
  'the volume of a preset': [(pod) => volume(pod, 'aws-iam-token'), 'projected', [{ sources: [] }, { defaultMode: 1 }]],
};

test.each(Object.entries(places))('no value of %s is taken for another one', async (_, [at, key, others]) => {
  const own = await injected();
  const values = [at(own)[key], ...others];
  const podOf = (value: unknown) => {
    const pod = structuredClone(own);
    Object.assign(at(pod), { [key]: value });
    return pod;
  };
  const outcome = (work: Promise<string>) => work.catch((error: Error) => error.message);
  const known = countedAnswers(() => {
    hits += 1;
  });
  for (const learnt of values) {
    for (const value of values) {
      const review = createReviewer({ serviceAccounts, settings: () => settings, known });
      for (const each of [learnt, learnt, learnt, value, value, value, learnt, value]) {
        const body = bodyOf(podOf(each));
        const found = review(body, () => undefined).then(({ answer }) => answer);
        expect([each, await outcome(found)]).toEqual([each, await outcome(anew(body))]);
      }
    }
  }
  expect(hits).toBeGreaterThan(values.length);
});

test('no volume that is reserved for Azure is taken for another one, also where no name is apart', async () => {
  serviceAccounts = accountWith({});
  const ours = { audience: 'api://AzureADTokenExchange', expirationSeconds: 3600, path: 'token/azure-identity-token' };
  const contents = [[], [{ serviceAccountToken: ours }], [{ serviceAccountToken: { ...ours, expirationSeconds: 1 } }]];
  const warned = new Set<string>();
  for (const order of [contents, contents.toReversed()]) {
    const review = createReviewer({ serviceAccounts, settings: () => settings });
    for (const sources of [...order, ...order].flatMap((each) => [each, each, each])) {
      const volumes = [{ name: 'azure-workload-identity-reserved-x', projected: { sources } }];
      const metadata = { labels: { 'azure.workload.identity/use': 'true' } };
      const body = bodyOf({ metadata, spec: { containers: [{ name: 'web' }], volumes } });
      const { answer } = await review(body, () => undefined);
      expect([sources, answer]).toEqual([sources, await anew(body)]);
      for (const warning of JSON.parse(answer).response.warnings ?? []) warned.add(warning);
    }
  }
  expect([...warned]).toEqual([
    'Pod shop/(unnamed): the volume "azure-workload-identity-reserved-x" is another one than the preset azure adds; it stays as it is',
  ]);
});

test('Pods of one kind are known after the second round too, whatever they are called and hold', async () => {
  const own = await injected();
  const review = createReviewer({ serviceAccounts, settings: () => settings, known: countedAnswers(() => hits++) });
  for (let i = 0; i < 8; i++) {
    Object.assign(own.metadata, { generateName: `web-${i}-`, ownerReferences: [{ name: `web-${i}` }] });
    const { answer } = await review(bodyOf(own), () => undefined);
    expect(JSON.parse(answer).response).toMatchObject({ allowed: true });
  }
  expect(hits).toBe(6);
});

test('of a Pod that runs no volume is taken for another one', async () => {
  serviceAccounts = accountWith({ 'podpass.dev/audiences': 'vault' });
  const own = await injected();
  const mounts = [{ name: 'podpass-tokens', mountPath: '/stolen' }];
  const debugged = structuredClone(own);
  debugged.spec.ephemeralContainers = [{ name: 'debug', volumeMounts: mounts }];
  debugged.metadata.annotations['podpass.dev/containers'] = own.metadata.annotations['podpass.dev/containers'] = 'web';
  const answers = new Map<boolean, string>();
  const review = createReviewer({ serviceAccounts, settings: () => settings, known: countedAnswers(() => hits++) });
  for (const isOurs of [false, false, false, true, true, true, false]) {
    const stored = structuredClone(own);
    if (!isOurs) volume(stored, 'podpass-tokens').projected.sources = [];
    const body = bodyOf(debugged, stored);
    const { answer } = await review(body, () => undefined);
    expect([isOurs, answer]).toEqual([isOurs, await anew(body)]);
    answers.set(isOurs, JSON.stringify(JSON.parse(answer).response.allowed));
  }
  expect([...answers]).toEqual([
    [false, 'true'],
    [true, 'false'],
  ]);
});
