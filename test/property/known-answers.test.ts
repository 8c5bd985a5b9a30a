import fc from 'fast-check';
import { expect, test } from 'vitest';
import { writeReview } from '../../webhook/admission-review.ts';
import { admit } from '../../webhook/admit.ts';
import { createReviewer } from '../../webhook/reviewer.ts';
import type { ServiceAccountSource } from '../../webhook/service-accounts.ts';
import { countedAnswers } from '../counted-answers.ts';
import { mutationSettings, type WrittenSettings } from '../mutation-settings.ts';
import { parseReview } from '../parse-review.ts';
import { printedSeed } from './seed.ts';

const seed = printedSeed('known answers');

// Few values of each kind, so that Pods are often alike in all that is read, or in all but one thing.
const settingsOf = (written: WrittenSettings) => ({ ...mutationSettings(written), ephemeralContainers: false });
const SETTINGS = [settingsOf({ presets: 'aws,azure', azureTenantId: 'tenant' }), settingsOf({ mountPath: '/tokens' })];
const ACCOUNTS: Readonly<Record<string, string>>[] = [
  {},
  { 'podpass.dev/audiences': 'vault', 'podpass.dev/env.vault': 'TOKEN' },
  { 'podpass.dev/audiences': 'vault, https://api.example.com', 'podpass.dev/containers.vault': 'web' },
  { 'eks.amazonaws.com/role-arn': 'arn:aws:iam::111122223333:role/web' },
];

const AZURE = 'api://AzureADTokenExchange';

const few = <T>(...values: readonly T[]) => fc.constantFrom(...values);
/** Mostly the first one. */
const mostly = <T>(first: T, ...others: readonly T[]) =>
  fc.oneof({ weight: 6, arbitrary: fc.constant(first) }, { weight: 1, arbitrary: few(...others) });

const container = fc.record({
  name: mostly('web', 'side'),
  env: mostly<'none' | 'empty' | 'null' | 'AWS_REGION' | 'TOKEN'>('none', 'empty', 'null', 'AWS_REGION', 'TOKEN'),
  ports: mostly<unknown>(undefined, [{ containerPort: 80 }]),
});
const template = fc.record({
  containers: fc.array(container, { minLength: 1, maxLength: 2 }),
  annotations: mostly<unknown>(undefined, null, {}, { 'podpass.dev/inject': 'false' }, { other: 'x' }),
  serviceAccountName: few('a', 'b'),
  labels: mostly({}, { 'azure.workload.identity/use': 'true' }),
  isMounted: fc.boolean(),
  tokens: mostly('', 'podpass-tokens', 'azure-workload-identity-reserved-x'),
});
/** What Pods of one template differ in. */
const difference = fc.record({
  letters: fc.string({ unit: few(...'bcdfghjklmnpqrstvwxz2456789'), minLength: 5, maxLength: 5 }),
  hash: few('7d9c6b5f4', 'x'),
  image: few('web:1', 'web:2'),
  // As podpass writes it, too.
  value: few('/var/run/secrets/podpass.dev/tokens/vault', 'x', ''),
  args: few<unknown>(undefined, ['x'], ['y']),
  sources: few<unknown>(
    [],
    [{ serviceAccountToken: { audience: 'vault', expirationSeconds: 3600, path: 'vault' } }],
    [{ serviceAccountToken: { audience: AZURE, expirationSeconds: 3600, path: 'token/azure-identity-token' } }],
  ),
  note: few('x', 'y'),
  metadata: fc.record(
    {
      name: mostly<unknown>('web', 'web-0', null),
      generateName: few('web-', 'job-'),
      ownerReferences: few<unknown>([{ kind: 'ReplicaSet', uid: '1' }], null),
    },
    { requiredKeys: [] },
  ),
});
type Of<T> = T extends fc.Arbitrary<infer V> ? V : never;

function envOf(kind: Of<typeof container>['env'], value: string): unknown {
  if (kind === 'none') return undefined;
  if (kind === 'null') return null;
  return kind === 'empty' ? [] : [{ name: kind, value }];
}

function podOf(
  { containers, annotations, serviceAccountName, labels, isMounted, tokens }: Of<typeof template>,
  { letters, hash, image, metadata, value, args, sources, note }: Of<typeof difference>,
) {
  const name = `kube-api-access-${letters}`;
  const volumeMounts = isMounted ? [{ name, mountPath: '/var/run/secrets/kubernetes.io/serviceaccount' }] : undefined;
  const volumes = [
    ...(isMounted ? [{ name, projected: { sources: [] } }] : []),
    ...(tokens === '' ? [] : [{ name: tokens, projected: { sources } }]),
  ];
  return {
    metadata: {
      ...metadata,
      annotations: annotations && { ...annotations, 'x/note': note },
      labels: { ...labels, 'pod-template-hash': hash, [note]: note },
    },
    spec: {
      serviceAccountName,
      containers: containers.map(({ env, ...each }) => ({
        ...each,
        env: envOf(env, value),
        image,
        args,
        volumeMounts,
      })),
      volumes: volumes.length === 0 ? undefined : volumes,
    },
  };
}

const reviewOf = (object: unknown, uid: string, namespace: string, dryRun: boolean) =>
  Buffer.from(
    JSON.stringify({
      kind: 'AdmissionReview',
      apiVersion: 'admission.k8s.io/v1',
      request: {
        ...{ uid, namespace, operation: 'CREATE', dryRun, oldObject: null, object },
        kind: { group: '', version: 'v1', kind: 'Pod' },
        resource: { group: '', version: 'v1', resource: 'pods' },
      },
    }),
  );

const step = fc.oneof(
  {
    weight: 30,
    arbitrary: fc.record({
      ...{ template: fc.nat({ max: 2 }), difference, uid: fc.uuid() },
      ...{ namespace: mostly('shop', 'other'), dryRun: mostly(false, true) },
    }),
  },
  // A ServiceAccount or the settings are changed meanwhile.
  { weight: 1, arbitrary: fc.record({ account: few('a', 'b'), annotations: few(...ACCOUNTS) }) },
  { weight: 1, arbitrary: fc.record({ settings: few(...SETTINGS) }) },
);
const templates = fc.array(template, { minLength: 3, maxLength: 3 });
const steps = fc.array(step, { maxLength: 80, size: 'max' });

test('whatever came before, a Pod gets the answer that is worked out for it alone', async () => {
  let [reviews, hits] = [0, 0];
  const sequence = fc.asyncProperty(templates, steps, async (pods, all) => {
    let settings = SETTINGS[0] ?? expect.unreachable();
    const accounts = new Map<string, Readonly<Record<string, string>>>();
    const serviceAccounts: ServiceAccountSource = {
      async get(namespace, name) {
        const annotations = accounts.get(name) ?? ACCOUNTS[1] ?? {};
        return { found: true, source: 'cache', serviceAccount: { namespace, name, annotations } };
      },
    };
    const known = countedAnswers(() => {
      hits += 1;
    });
    const review = createReviewer({ serviceAccounts, settings: () => settings, known });
    for (const each of all) {
      if ('settings' in each) settings = each.settings;
      else if ('account' in each) accounts.set(each.account, { ...each.annotations });
      else {
        reviews += 1;
        const pod = podOf(pods[each.template] ?? expect.unreachable(), each.difference);
        const body = reviewOf(pod, each.uid, each.namespace, each.dryRun);
        const request = parseReview(body);
        const { response, result, reason } = await admit(request, serviceAccounts, settings);
        const expected = { answer: writeReview(request, response), uid: request.uid, result, reason };
        expect(await review(body, () => undefined)).toMatchObject(expected);
      }
    }
  });
  await fc.assert(sequence, { seed, numRuns: 100 });
  console.log(`known answers: ${reviews} Pods, of ${hits} the answer was known`);
  expect(hits).toBeGreaterThan(reviews / 10);
});
