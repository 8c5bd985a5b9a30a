import { setTimeout as sleep } from 'node:timers/promises';
import type { Fault } from '../fault.ts';

export const sigterm: Fault = {
  name: 'sigterm',
  does: 'each half in turn gets a SIGTERM, ends by itself, stays away, and is started again',
  expected: 'no failure: it serves on until its clients have left, and the other half does the rest',
  seconds: 5,
  async run({ scene, ms, recovery, note }) {
    for (const half of scene.halves) {
      const { how, ms: took } = await half.podpass.stop('SIGTERM');
      if (how !== 'exit code 0') throw new Error(`half ${half.name} ended with ${how}`);
      note(`half ${half.name} ended ${(took / 1000).toFixed(1)} s after the SIGTERM`);
      await sleep(ms);
      await half.start();
      await recovery();
    }
  },
};
