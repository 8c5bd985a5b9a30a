import { setTimeout as sleep } from 'node:timers/promises';
import type { Fault } from '../fault.ts';

export const kill: Fault = {
  name: 'kill',
  does: 'each half in turn is killed (kill -9), stays away, and is started again on the same address',
  expected: 'no failure: what is lost with its connections is tried at the other half',
  seconds: 5,
  async run({ scene, ms, recovery }) {
    for (const half of scene.halves) {
      await half.podpass.stop('SIGKILL');
      await sleep(ms);
      await half.start();
      await recovery();
    }
  },
};
