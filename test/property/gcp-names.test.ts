import fc from 'fast-check';
import { expect, test } from 'vitest';
import { mutatePod } from '../../webhook/mutate-pod.ts';
import { mutationSettings } from '../mutation-settings.ts';
import { printedSeed } from './seed.ts';

const seed = printedSeed('names of Google Cloud');

/** As github.com/pfnet-research/gcp-workload-identity-federation-webhook writes them; too slow for what anybody may write. */
const PROVIDER = /^projects\/.+\/locations\/.+\/workloadIdentityPools\/.+\/providers\/.+$/;
const EMAIL = /@(.*).iam.gserviceaccount.com/;

const SETTINGS = mutationSettings({ presets: 'gcp' });

function mutate(provider: string, email: string) {
  const annotations = {
    'cloud.google.com/workload-identity-provider': provider,
    'cloud.google.com/service-account-email': email,
  };
  const account = { namespace: 'shop', name: 'app', object: 'ServiceAccount shop/app', annotations };
  return mutatePod({ spec: { containers: [{ name: 'web' }] } }, 'Pod shop/web', account, SETTINGS);
}

const madeOf = (...pieces: readonly string[]) =>
  fc.array(fc.constantFrom(...pieces), { maxLength: 12 }).map((parts) => parts.join(''));
const GOOD = 'projects/1/locations/l/workloadIdentityPools/p/providers/c';

test('a provider is one exactly where the expression matches', () => {
  let good = 0;
  const provider = fc.oneof(
    madeOf('projects/', '/locations/', '/workloadIdentityPools/', '/providers/', '/', 'a', '\n', '\u2028'),
    // Parts in their order, with something or nothing between and around them.
    fc
      .array(madeOf('a', '/', '/providers/', '/locations/'), { minLength: 5, maxLength: 5 })
      .map(
        ([a, b, c, d, e]) => `${a?.[9] ?? ''}projects/${b}/locations/${c}/workloadIdentityPools/${d}/providers/${e}`,
      ),
  );
  fc.assert(
    fc.property(provider, (value) => {
      const matches = PROVIDER.test(value);
      if (matches) good += 1;
      expect(mutate(value, 'a').problems.length === 0).toBe(matches);
    }),
    { seed, numRuns: 2000 },
  );
  expect(good).toBeGreaterThan(100);
  expect(good).toBeLessThan(1900);
});

test('the project is what the expression finds in an e-mail address', () => {
  let found = 0;
  const email = madeOf(
    '@',
    'a',
    '.',
    'iam',
    'x.iam.gserviceaccount.com',
    'iam.gserviceaccount.com',
    '\n',
    '\r',
    '.iamxgserviceaccount-com',
  );
  fc.assert(
    fc.property(email, (value) => {
      fc.pre(value.trim() !== '');
      const wanted = EMAIL.exec(value)?.[1] ?? '';
      if (wanted !== '') found += 1;
      const patch = JSON.stringify(mutate(GOOD, value).patch);
      expect(patch).toContain(JSON.stringify({ name: 'CLOUDSDK_CORE_PROJECT', value: wanted }));
    }),
    { seed, numRuns: 2000 },
  );
  expect(found).toBeGreaterThan(100);
});
