import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { request } from 'node:https';
import { join } from 'node:path';
import { json } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { serviceAccountKeyPair } from '../../cluster/control-plane.ts';
import { startDiscovery, until } from '../../cluster/podpass.ts';
import type { Fault } from '../fault.ts';
import { Clock } from '../set-clock.ts';
import { TinyDisk, whyNoTinyDisk } from '../tiny-disk.ts';

/** A write that failed is repeated within a minute. */
const REPEATED_MS = 60_000;

export const stateFull: Fault = {
  name: 'state-full',
  does: 'the disk with the state of discovery is full when a key comes; its clock is set back an hour meanwhile; then there is room again',
  expected:
    'discovery serves all the time, the new key too; the old state stays whole, and the new one is written within a minute',
  seconds: 5,
  missing: whyNoTinyDisk,
  async run({ scene, ms, recovery, note }) {
    const keys = await mkdtemp(join(scene.cluster.folder, 'keys-'));
    const disk = await TinyDisk.create();
    const clock = await Clock.create(scene.cluster.folder);
    const addKey = (name: string) => writeFile(join(keys, `${name}.pem`), serviceAccountKeyPair('ec').publicPem);
    const state = join(disk.path, 'state.json');
    const stateText = () => readFile(state, 'utf8').catch(() => '');
    const ends: (() => Promise<unknown>)[] = [() => disk.remove()];
    try {
      await addKey('first');
      const flags = ['--issuer', 'https://localhost/chaos', '--keys', keys, '--state', state, '--poll-interval', '1s'];
      const discovery = await startDiscovery(scene.cluster, flags, { kubeconfig: false, env: clock.env });
      ends.push(() => discovery.stop());
      const logged = (text: string) => discovery.logs().some(({ msg }) => msg === text);
      await until('the state', async () => (await stateText()) !== '');
      const before = await stateText();
      const asked = probe(discovery.port, discovery.files.ca.pem);
      ends.push(() => asked.stop());
      disk.fill();
      await addKey('second');
      await until('the second key', () => asked.keys === 2);
      await until('the complaint', () => logged('the key state cannot be written'), 20_000);
      await clock.set(-3_600_000, () => process.kill(discovery.pid, 'SIGUSR2'));
      await sleep(ms);
      if ((await stateText()) !== before) throw new Error('the state is not what it was before the disk was full');
      disk.free();
      await recovery(async () => (await stateText()) !== before, REPEATED_MS);
      await asked.stop();
      note(`${asked.answered} requests to discovery answered, ${asked.failed.length} failed`);
      if (asked.failed.length > 0) throw new Error(`discovery did not answer: ${asked.failed[0]}`);
    } finally {
      for (const end of ends.reverse()) await end();
    }
  },
};

/** Asks for the JWK Set all the time. */
function probe(port: number, ca: string) {
  const failed: string[] = [];
  const seen = { keys: 0, answered: 0 };
  let stopped = false;
  const one = () =>
    new Promise<{ keys: unknown[] }>((fulfil, reject) => {
      const options = { host: '127.0.0.1', port, ca, path: '/chaos/openid/v1/jwks', agent: false, timeout: 5_000 };
      const outgoing = request(options, (incoming) => {
        if (incoming.statusCode !== 200) reject(new Error(`HTTP ${incoming.statusCode}`));
        else json(incoming).then((body) => fulfil(body as { keys: unknown[] }), reject);
      });
      outgoing.on('timeout', () => outgoing.destroy(new Error('no answer within 5 s')));
      outgoing.on('error', reject).end();
    });
  const all = (async () => {
    while (!stopped) {
      try {
        seen.keys = (await one()).keys.length;
        seen.answered++;
      } catch (error) {
        failed.push(String(error));
      }
      await sleep(100);
    }
  })();
  return {
    failed,
    get keys() {
      return seen.keys;
    },
    get answered() {
      return seen.answered;
    },
    async stop() {
      stopped = true;
      await all;
    },
  };
}
