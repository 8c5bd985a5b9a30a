import { setTimeout as sleep } from 'node:timers/promises';
import type { Fault } from '../fault.ts';

export const watchReset: Fault = {
  name: 'watch-reset',
  does: 'every connection of both halves to the API server is reset, once a second',
  expected: 'no failure; the watches are resumed within seconds',
  seconds: 15,
  async run({ scene, ms, recovery, note }) {
    const account = await scene.account('before');
    let resets = 0;
    for (const end = performance.now() + ms; performance.now() < end; resets++) {
      scene.way.reset();
      await sleep(1_000);
    }
    note(`${resets} resets`);
    scene.way.reset();
    await scene.annotate(account, 'after');
    await recovery(async () => (await scene.audienceFor(account)) === 'after');
  },
};
