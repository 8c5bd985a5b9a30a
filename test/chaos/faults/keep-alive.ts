import { setTimeout as sleep } from 'node:timers/promises';
import { ApiClient } from '../../cluster/api-client.ts';
import type { Fault } from '../fault.ts';

/** After so long the API server closes an idle connection: `IdleConnTimeout` in apimachinery's net/http.go. */
const IDLE_MS = 90_000;
/** More than it keeps idle for one address, which are 25. */
const BURST = 40;

export const keepAlive: Fault = {
  name: 'keep-alive',
  does: `bursts of ${BURST} creations at once (dry runs), and again when the connections of the first have been idle for 90 s, where the API server is closing them`,
  expected: 'no failure: a half keeps an idle connection for 120 s, so that it is never the one that closes first',
  seconds: 95,
  fixed: true,
  async run({ scene, ms, recovery, note }) {
    let failed: string[] = [];
    const { url, caPem, adminToken } = scene.cluster;
    const burst = async () => {
      // On connections of its own: the API server closes ours as well when they have been idle for so long.
      const client = new ApiClient(url, caPem, adminToken);
      const answers = await Promise.all(Array.from({ length: BURST }, () => scene.audienceFor('web', client)));
      failed = [...failed, ...answers.flatMap((answer) => (answer === 'vault' ? [] : [String(answer)]))];
      client.close();
    };
    let bursts = 1;
    await burst();
    const end = performance.now() + ms;
    const first = performance.now() + IDLE_MS - 300;
    await sleep(Math.max(0, Math.min(first, end) - performance.now()));
    for (; performance.now() < first + 600 && performance.now() < end; bursts++) await burst();
    note(`${bursts} bursts of ${BURST}; ${failed.length} failed`);
    if (failed.length > 0) throw new Error(`a creation of a burst failed: ${failed[0]}`);
    await recovery();
  },
};
