/** A short form of `npm run chaos`: the faults that need no long time, by the same code, and one that must be seen to fail. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Fault } from '../chaos/fault.ts';
import { faults } from '../chaos/faults.ts';
import { isBad, runFault } from '../chaos/run-fault.ts';
import { Scene } from '../chaos/scene.ts';
import { remarks, table } from '../chaos/table.ts';
import { sum } from '../chaos/tally.ts';
import { clusterBinaries, describeCluster } from './suite.ts';

const QUICK = ['api-server', 'watch-reset', 'watch-gone', 'kill', 'slow-sockets', 'bodies'];
const SECONDS = 2;

describeCluster('faults, one after the other, while Pods are created', () => {
  let scene: Scene;
  beforeAll(async () => {
    scene = await Scene.start(clusterBinaries());
  });
  afterAll(() => scene?.stop());

  describe.each(QUICK)('%s', (name) => {
    it('costs no creation, and all is well afterwards', async () => {
      const fault = faults.find((each) => each.name === name);
      if (!fault) throw new Error(`there is no fault ${name}`);
      const result = await runFault(fault, scene, SECONDS);
      console.info([table([result]), ...remarks([result])].join('\n'));
      expect(result).toMatchObject({ ours: {}, withoutTokens: 0, broken: undefined });
      expect(isBad(result)).toBe(false);
      expect(result.created).toBeGreaterThan(20);
      expect(result.recoverySeconds).toBeLessThan(30);
      if (fault.takesApiServerAway) expect(sum(result.failedByOthers)).toBeGreaterThan(0);
    });
  });

  const together: Fault = {
    name: 'both halves',
    does: 'both halves are killed at once',
    expected: 'creations fail',
    seconds: SECONDS,
    async run({ scene: { halves }, ms }) {
      await Promise.all(halves.map((half) => half.podpass.stop('SIGKILL')));
      await new Promise((resolve) => setTimeout(resolve, ms));
      await Promise.all(halves.map((half) => half.start()));
    },
  };

  it('what podpass cannot stand is counted: both halves killed at once', async () => {
    const result = await runFault(together, scene);
    expect(isBad(result)).toBe(true);
    const reasons = Object.keys(result.ours);
    expect(reasons).toContainEqual(expect.stringContaining('failed calling webhook "labelled.podpass.dev"'));
    expect(reasons).toContainEqual(expect.stringContaining("ValidatingAdmissionPolicy 'podpass'"));
    expect(result.unprotectedWithout).toBeGreaterThan(0);
    expect(result.recoverySeconds).toBeLessThan(30);
  });

  it('an API server that is away by itself is nobody else to blame', async () => {
    const { takesApiServerAway, ...undeclared } = faults.find(({ name }) => name === 'api-server') as Fault;
    expect(takesApiServerAway).toBe(true);
    const result = await runFault(undeclared, scene, 1);
    expect(isBad(result)).toBe(true);
    expect(sum(result.ours)).toBe(sum(result.failedByOthers));
  });
});
