import { setTimeout as sleep } from 'node:timers/promises';
import type { CertifiedKey } from '../../../src/certificate.ts';
import { testCa, until } from '../../cluster/podpass.ts';
import type { Fault } from '../fault.ts';
import { servedCertificate } from '../served-certificate.ts';

const EVERY_MS = 10_000;

export const certificateFiles: Fault = {
  name: 'certificate-files',
  does: 'with certificates from files: both halves get a new pair every 10 s, and between two a broken one: of another key, cut off, without a key',
  expected: 'no failure: a broken pair is refused and the last good one stays',
  seconds: 40,
  async run({ scene, ms, recovery, note }) {
    await scene.trust(testCa().pem);
    await scene.roll(scene.filesSettings());
    const breakages: ((good: CertifiedKey) => CertifiedKey)[] = [
      ({ key }) => ({ cert: testCa().issue().cert, key }),
      ({ cert, key }) => ({ cert: cert.slice(0, 400), key }),
      ({ cert }) => ({ cert, key: '' }),
    ];
    let rounds = 0;
    for (const end = performance.now() + ms; performance.now() < end; rounds++) {
      const began = performance.now();
      const good = testCa().issue();
      for (const { podpass } of scene.halves) {
        const before = await servedCertificate(podpass.port);
        await podpass.files.write(good);
        const changed = async () => (await servedCertificate(podpass.port)).fingerprint256 !== before.fingerprint256;
        await until('the next certificate', changed, 5_000);
      }
      const bad = breakages[rounds % breakages.length]?.(good) ?? good;
      await Promise.all(scene.halves.map(({ podpass }) => podpass.files.write(bad)));
      await sleep(Math.max(0, EVERY_MS - (performance.now() - began)));
      for (const { name, podpass } of scene.halves) {
        const refused = (await podpass.metrics()).value('podpass_certificate_reload_errors_total');
        if (refused !== rounds + 1) throw new Error(`half ${name} refused ${refused} of ${rounds + 1} broken pairs`);
      }
    }
    note(`${rounds} good pairs, ${rounds} broken ones`);
    await Promise.all(scene.halves.map(({ podpass }) => podpass.files.write(testCa().issue())));
    await scene.roll(scene.settings());
    await recovery();
  },
};
