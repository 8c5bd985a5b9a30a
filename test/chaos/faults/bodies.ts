import { attack } from '../attack.ts';
import type { Fault } from '../fault.ts';

export const bodies: Fault = {
  name: 'bodies',
  does: 'four clients for each half send bodies of 25 MB all the time, with and without their length',
  expected: 'no failure: they are refused (413), and memory stays as it is',
  seconds: 15,
  async run({ scene, ms, recovery, note }) {
    await Promise.all(
      scene.halves.map(async (half) => {
        const before = await half.memory();
        const { sent, refused, broken, accepted } = await attack('bodies', half.podpass.port, ms);
        const after = await half.memory();
        note(
          `half ${half.name}: ${refused} of ${sent} bodies refused, ${broken} cut; ${before} MiB before, ${after} MiB after`,
        );
        if (accepted !== undefined && accepted > 0) throw new Error(`half ${half.name} accepted ${accepted} of them`);
        if (refused === 0) throw new Error(`half ${half.name} refused none`);
      }),
    );
    await recovery();
  },
};
