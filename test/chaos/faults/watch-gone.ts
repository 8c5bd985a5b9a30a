import { setTimeout as sleep } from 'node:timers/promises';
import { compactEtcd } from '../compact-etcd.ts';
import type { Fault } from '../fault.ts';

export const watchGone: Fault = {
  name: 'watch-gone',
  does: 'both halves are cut off from the API server; meanwhile ServiceAccounts change, etcd is compacted and the API server is started anew, so that what they missed is told by nobody (410 Gone)',
  expected: 'no failure beside those of the restart; both read all ServiceAccounts again and see what changed',
  seconds: 5,
  takesApiServerAway: true,
  async run({ scene, ms, recovery }) {
    const account = await scene.account('before');
    await recovery(async () => (await scene.audienceFor(account)) === 'before');
    scene.closeWay();
    try {
      await scene.annotate(account, 'after');
      await sleep(ms);
      await compactEtcd(scene.cluster.etcdPort);
      await scene.cluster.restartApiServer();
    } finally {
      scene.openWay();
    }
    await recovery(async () => (await scene.audienceFor(account)) === 'after');
    for (const half of scene.halves) await half.awaitLog('watch was ended with 410', 1_000);
  },
};
