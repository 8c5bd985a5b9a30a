import { setTimeout as sleep } from 'node:timers/promises';
import type { Fault } from '../fault.ts';

export const stopped: Fault = {
  name: 'stopped',
  does: 'each half in turn is stopped (SIGSTOP): its connections stay open and nobody answers; then it goes on (SIGCONT)',
  expected: 'no failure; a creation that meets it waits 3 s for each try there, until its connections are given up',
  seconds: 60,
  async run({ scene, ms, recovery }) {
    for (const half of scene.halves) {
      half.signal('SIGSTOP');
      await sleep(ms).finally(() => half.signal('SIGCONT'));
      await recovery();
    }
  },
};
