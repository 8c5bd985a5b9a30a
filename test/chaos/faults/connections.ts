import { attack } from '../attack.ts';
import type { Fault } from '../fault.ts';

export const connections: Fault = {
  name: 'connections',
  does: '600 connections at once to one half after the other, each with its handshake and a review; burst after burst',
  expected: 'no failure, but long creations while the handshakes take all of the processor',
  seconds: 10,
  async run({ scene, ms, recovery, note }) {
    for (const half of scene.halves) {
      const { bursts, answered, toldToWait, refused, broken, longestMs } = await attack(
        'connections',
        half.podpass.port,
        ms,
      );
      note(
        `half ${half.name}: ${bursts} bursts, ${answered} answered, ${toldToWait} told to wait (429), ${refused} refused, ${broken} broken; the longest ${longestMs} ms`,
      );
      if (answered === 0) throw new Error(`half ${half.name} answered nothing`);
      await recovery();
    }
  },
};
