import { X509Certificate } from 'node:crypto';
import { testCa, until } from '../../cluster/podpass.ts';
import type { Fault } from '../fault.ts';
import { type Scene, SECRET_PATH } from '../scene.ts';

const merge = { contentType: 'application/merge-patch+json' };
const encode = (text: string) => Buffer.from(text).toString('base64');

/** Short enough that a new CA is used within the run. */
const LIFETIMES = ['--tls-cert-lifetime', '20s', '--tls-ca-lifetime', '300s'];

export const certificatesBad: Fault = {
  name: 'certificates-bad',
  does: 'the Secret of the CA gets a key of another CA, another CA, garbage; it is emptied, and deleted and applied again',
  expected: 'no failure: the Secret is repaired, and both halves serve with what they have meanwhile',
  seconds: 0,
  fixed: true,
  async run({ scene, recovery, note }) {
    await scene.roll(scene.settings(LIFETIMES));
    const spare = testCa().issue();
    const harms: [string, () => Promise<unknown>][] = [
      ['a key of another CA', () => patch(scene, { 'ca.key': encode(spare.key) })],
      ['another CA', () => patch(scene, { 'ca.crt': encode(testCa().pem) })],
      ['garbage', () => patch(scene, { 'ca.crt': 'AAAA', 'ca.key': 'AAAA' })],
      ['nothing', () => scene.emptySecret()],
      [
        'no Secret',
        async () => {
          await scene.cluster.expect('DELETE', SECRET_PATH);
          await scene.applyAgain('Secret', 'podpass-webhook-tls');
        },
      ],
    ];
    for (const [what, harm] of harms) {
      const before = await caOf(scene);
      await harm();
      const repaired = async () => {
        const now = await caOf(scene);
        return now !== undefined && now.fingerprint256 !== before?.fingerprint256;
      };
      note(`${what}: repaired after ${Math.round(await until(`repair of ${what}`, repaired, 20_000))} ms`);
      await recovery();
    }
    await scene.roll(scene.settings());
    await recovery();
  },
};

const patch = (scene: Scene, data: object) => scene.cluster.expect('PATCH', SECRET_PATH, { data }, merge);

/** The newest CA in the Secret, where it is one of podpass. */
async function caOf(scene: Scene): Promise<X509Certificate | undefined> {
  const { data } = await scene.cluster.expect<{ data?: Record<string, string> }>('GET', SECRET_PATH);
  try {
    const certificate = new X509Certificate(Buffer.from(data?.['ca.crt'] ?? '', 'base64'));
    return certificate.subject.startsWith('CN=podpass') ? certificate : undefined;
  } catch {
    return undefined;
  }
}
