import { setTimeout as sleep } from 'node:timers/promises';
import type { Fault } from '../fault.ts';

export const apiServer: Fault = {
  name: 'api-server',
  does: 'the API server is killed (SIGKILL), stays away, and is started again',
  expected: 'nothing can be created meanwhile; both halves stay ready, and watch again within 5 s of its return',
  seconds: 10,
  takesApiServerAway: true,
  async run({ scene, ms, recovery }) {
    await scene.cluster.killApiServer();
    await sleep(ms);
    for (const { name, podpass } of scene.halves) {
      if (!(await podpass.ready())) throw new Error(`half ${name} is not ready while the API server is away`);
    }
    await scene.cluster.startApiServer();
    await recovery();
  },
};
