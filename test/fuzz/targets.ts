import type { Target } from './target.ts';

/** Those that judge podpass, by their names. Loaded one by one, as coverage has to begin before the code under test is there. */
const load: Readonly<Record<string, () => Promise<{ readonly target: Target }>>> = {
  review: () => import('./targets/review.ts'),
  'review-reading': () => import('./targets/review-reading.ts'),
  annotations: () => import('./targets/annotations.ts'),
  keys: () => import('./targets/keys.ts'),
  'key-state': () => import('./targets/key-state.ts'),
  config: () => import('./targets/config.ts'),
  'manifest-file': () => import('./targets/manifest-file.ts'),
  'service-accounts': () => import('./targets/service-accounts.ts'),
};
/** These judge the engine. */
const loadPlanted: typeof load = {
  planted: () => import('./targets/planted.ts'),
  'planted-hang': async () => ({ target: (await import('./targets/planted-end.ts')).hang }),
  'planted-exit': async () => ({ target: (await import('./targets/planted-end.ts')).exit }),
};

export const targetNames = Object.keys(load);

/** Throws a RangeError for another name. */
export async function loadTarget(name: string): Promise<Target> {
  const found = { ...load, ...loadPlanted }[name];
  if (found === undefined)
    throw new RangeError(`no target ${JSON.stringify(name)}; there are ${targetNames.join(', ')}`);
  return (await found()).target;
}
