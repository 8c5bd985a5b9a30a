import { get } from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';
import { until } from '../../cluster/podpass.ts';
import type { Fault } from '../fault.ts';
import type { Half } from '../half.ts';
import { servedCertificate } from '../served-certificate.ts';
import { Clock } from '../set-clock.ts';

const HOUR_MS = 3_600_000;
/** An hour is longer than the certificate lives, so that the jump makes half a renew it, and half b not. */
const LIFETIMES = ['--tls-cert-lifetime', '30m', '--tls-ca-lifetime', '2h'];

export const clock: Fault = {
  name: 'clock',
  does: "half a's clock jumps an hour ahead and half b's an hour back, as Date has it, with certificates of 30 min; then both are right again; then half a is stopped, and is an hour ahead when it goes on",
  expected:
    'no failure: a certificate is valid from two hours before it is made, and all else goes by the monotonic clock',
  seconds: 10,
  async run({ scene, ms, recovery, note }) {
    const { folder } = scene.cluster;
    const [ahead, back] = [await Clock.create(folder), await Clock.create(folder)];
    const [a, b] = [scene.half('a'), scene.half('b')];
    const tellA = () => a.signal('SIGUSR2');
    const tellB = () => b.signal('SIGUSR2');
    try {
      await Promise.all([a.roll(scene.settings(LIFETIMES, ahead.env)), b.roll(scene.settings(LIFETIMES, back.env))]);
      const before = await servedCertificate(a.podpass.port);
      await ahead.set(HOUR_MS, tellA);
      await back.set(-HOUR_MS, tellB);
      const renewed = async () => (await servedCertificate(a.podpass.port)).notAfter > before.notAfter + HOUR_MS / 2;
      note(`half a had a new certificate ${Math.round(await until('a renewal', renewed, 20_000))} ms after its jump`);
      await sleep(ms);
      for (const [half, minutes] of [
        [a, 60],
        [b, -60],
      ] as const) {
        await provoke(half.podpass.port);
        await until(
          `a line in the log of half ${half.name} that is ${minutes} min off`,
          () => minutesOff(half) === minutes,
        );
      }
      await recovery();
      await Promise.all([ahead.set(0, tellA), back.set(0, tellB)]);
      await sleep(ms);
      await recovery();
      a.signal('SIGSTOP');
      await sleep(ms);
      await ahead.set(HOUR_MS, tellA);
      a.signal('SIGCONT');
      await recovery();
    } finally {
      await scene.roll(scene.settings());
    }
    await recovery();
  },
};

const minutesOff = (half: Half) => Math.round((half.newestLogTime() - Date.now()) / 60_000);

/** Whatever is no review is told in the log. */
function provoke(port: number): Promise<void> {
  return new Promise((fulfil, reject) => {
    const options = { host: '127.0.0.1', port, path: '/', agent: false, rejectUnauthorized: false };
    get(options, (incoming) => incoming.resume().on('close', fulfil)).on('error', reject);
  });
}
