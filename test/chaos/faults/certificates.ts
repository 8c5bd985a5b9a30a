import { setTimeout as sleep } from 'node:timers/promises';
import type { Fault } from '../fault.ts';
import { servedCertificate } from '../served-certificate.ts';

/** Certificates are renewed at two thirds of their lifetimes. */
const LIFETIMES = ['--tls-cert-lifetime', '15s', '--tls-ca-lifetime', '45s'];

export const certificates: Fault = {
  name: 'certificates',
  does: 'both halves change their certificate every 10 s, and the CA that signs it every 30 s',
  expected: 'no failure',
  seconds: 65,
  async run({ scene, ms, recovery, note }) {
    await scene.roll(scene.settings(LIFETIMES));
    // The CA that is there still has the lifetime that it was made with.
    await scene.emptySecret();
    await recovery();
    const seen = new Set<string>();
    const authorities = new Set<string>();
    for (const end = performance.now() + ms; performance.now() < end; await sleep(500)) {
      for (const { podpass } of scene.halves) {
        const { fingerprint256, issuer } = await servedCertificate(podpass.port);
        seen.add(fingerprint256);
        authorities.add(issuer);
      }
    }
    note(`${seen.size} certificates of ${authorities.size} CAs were served`);
    if (seen.size < 2 * Math.floor(ms / 12_000)) throw new Error('the certificates did not change');
    if (authorities.size < 1 + Math.floor(ms / 40_000)) throw new Error('the CA did not change');
    await scene.roll(scene.settings());
    await recovery();
  },
};
