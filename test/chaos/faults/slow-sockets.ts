import { attack } from '../attack.ts';
import type { Fault } from '../fault.ts';

export const slowSockets: Fault = {
  name: 'slow-sockets',
  does: '500 connections to each half say nothing, or a byte of a header or a body each second, and are opened again when they are cut',
  expected: 'no failure: each is cut after 10 or 15 s',
  seconds: 30,
  async run({ scene, ms, recovery, note }) {
    await Promise.all(
      scene.halves.map(async ({ name, podpass }) => {
        const { most, opened, cut } = await attack('slow-sockets', podpass.port, ms);
        note(`half ${name}: ${opened} opened, at most ${most} at once, ${cut} cut`);
      }),
    );
    for (const half of scene.halves) note(`half ${half.name} takes ${await half.memory()} MiB afterwards`);
    await recovery();
  },
};
