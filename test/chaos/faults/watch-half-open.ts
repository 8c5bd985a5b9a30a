import { setTimeout as sleep } from 'node:timers/promises';
import type { Fault } from '../fault.ts';

/** The time after which a watch of ServiceAccounts that should have ended is given up, and then some. */
const NOTICED_MS = 60_000;

export const watchHalfOpen: Fault = {
  name: 'watch-half-open',
  does: 'every open connection of both halves to the API server carries nothing any longer, and neither end is told; new ones work',
  expected:
    'no failure; what a ServiceAccount that is known changes in its annotations is seen when the watch should have ended, within 35 s, or when anything is read; new ServiceAccounts are read at once',
  seconds: 0,
  fixed: true,
  async run({ scene, recovery, note }) {
    const known = await scene.account('before');
    await recovery(async () => (await scene.audienceFor(known)) === 'before');
    // An entry that changed this moment is read live for a second.
    await sleep(1_500);
    scene.way.freeze();
    await scene.annotate(known, 'after');
    await recovery(async () => (await scene.audienceFor(known)) === 'after', NOTICED_MS);

    await sleep(1_500);
    scene.way.freeze();
    const frozen = performance.now();
    const fresh = await scene.account('fresh');
    const audience = await scene.audienceFor(fresh);
    if (audience !== 'fresh')
      throw new Error(`a Pod of a ServiceAccount made in that moment had no token: ${audience}`);
    const took = Math.round(performance.now() - frozen);
    note(`a Pod of a ServiceAccount made in that moment had its token after ${took} ms`);
    await scene.annotate(known, 'last');
    const annotated = performance.now();
    await recovery(async () => (await scene.audienceFor(known)) === 'last', NOTICED_MS);
    const seconds = ((performance.now() - annotated) / 1000).toFixed(1);
    note(`an annotation that was changed after that read was obeyed after ${seconds} s`);
  },
};
