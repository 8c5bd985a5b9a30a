import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Bench, openBench } from '../bench/bench.ts';
import { discovery } from '../bench/discovery.ts';
import { readOptions } from '../bench/options.ts';
import { path } from '../bench/path.ts';
import { nameOf } from '../bench/result.ts';
import { type ControlPlane, startControlPlane } from './control-plane.ts';
import { clusterBinaries, describeCluster } from './suite.ts';

// As test/bench/smoke.test.ts: that these parts run, never how long anything took.
const FLAGS = ['--starts', '1', '--rounds', '1', '--round-ms', '30', '--warm-up', '1'];

describeCluster('npm run bench -- --cluster', () => {
  let controlPlane: ControlPlane;
  let bench: Bench;

  beforeAll(async () => {
    controlPlane = await startControlPlane({ binaries: clusterBinaries() });
    bench = await openBench(readOptions(FLAGS, {}), { say() {}, controlPlane });
  });

  afterAll(async () => {
    await bench?.stop();
    await controlPlane?.stop();
  });

  test('discovery beside the API server', async () => {
    const ratios = (await discovery(bench)).flatMap((each) => each.ratios).filter(({ median }) => median > 0);
    for (const document of ['JWK Set', 'metadata']) {
      expect(ratios.map(nameOf)).toContain(`discovery / ${document} / API server / throughput`);
    }
  });

  test('the creation of a Pod', async () => {
    const [result] = await path(bench);
    const names = ['path / creation of a Pod / no webhook / p50', 'path / creation of a Pod / echo webhook / p50'];
    expect(result?.ratios.filter(({ median }) => median > 0).map(nameOf)).toEqual(names);
    expect(result?.notes.join()).toMatch(/podpass takes -?\d+\.\d\d ms more than echo webhook/);
  });
});
