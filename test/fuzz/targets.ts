import type { Target } from './target.ts';

/** Every target, by its name. Loaded one by one, as coverage has to begin before the code under test is there. */
const load: Readonly<Record<string, () => Promise<{ readonly target: Target }>>> = {
  review: () => import('./targets/review.ts'),
  'review-reading': () => import('./targets/review-reading.ts'),
  annotations: () => import('./targets/annotations.ts'),
  keys: () => import('./targets/keys.ts'),
  'key-state': () => import('./targets/key-state.ts'),
  config: () => import('./targets/config.ts'),
  'manifest-file': () => import('./targets/manifest-file.ts'),
  'service-accounts': () => import('./targets/service-accounts.ts'),
  planted: () => import('./targets/planted.ts'),
};

/** Those that judge podpass. The planted one judges the engine. */
export const targetNames = Object.keys(load).filter((name) => name !== 'planted');

/** Throws a RangeError for another name. */
export async function loadTarget(name: string): Promise<Target> {
  const found = Object.hasOwn(load, name) ? load[name] : undefined;
  if (found === undefined)
    throw new RangeError(`no target ${JSON.stringify(name)}; there are ${targetNames.join(', ')}`);
  return (await found()).target;
}
