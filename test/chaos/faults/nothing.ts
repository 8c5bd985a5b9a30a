import { setTimeout as sleep } from 'node:timers/promises';
import type { Fault } from '../fault.ts';

export const nothing: Fault = {
  name: 'nothing',
  does: 'nothing, to compare with',
  expected: 'no failure; the times of creations are those of this machine',
  seconds: 10,
  run: ({ ms }) => sleep(ms),
};
