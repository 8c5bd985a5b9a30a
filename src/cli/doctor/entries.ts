import { type Installation, names } from '../manifests/object.ts';
import { registration } from '../manifests/registration.ts';

/** The entries that an installation registers, from the manifests themselves. */

const base: Installation = { namespace: 'podpass', image: names.webhook, tls: 'managed' };

function policiesOf(installation: Installation): ReadonlyMap<string, string> {
  const { webhooks } = registration(installation) as unknown as {
    readonly webhooks: readonly { readonly name: string; readonly failurePolicy: string }[];
  };
  return new Map(webhooks.map(({ name, failurePolicy }) => [name, failurePolicy]));
}

const always = [...policiesOf(base).keys()];

export const entriesOf = {
  /** Of every installation. */
  always,
  /** The one that is asked about every Pod: the first. */
  everyPod: always[0] ?? '',
  /** All that an installation may have, and their failurePolicy. */
  known: policiesOf({ ...base, presets: ['aws', 'azure', 'gcp'], ephemeralContainers: true }),
} as const;
