// What many ServiceAccounts cost the built webhook, on a real API server: memory, time to be ready, delays of the event
// loop, also while it reads all of them again. `npm run bench:accounts -- --sizes 0,50000,100000`; about ten minutes.
import { parseArgs } from 'node:util';
import { say } from '../../by-hand.ts';
import { controlPlaneBinaries } from '../../cluster/binaries.ts';
import { startControlPlane } from '../../cluster/control-plane.ts';
import { load } from './load.ts';
import { measure } from './measure.ts';

const { values } = parseArgs({
  options: {
    sizes: { type: 'string', default: '0,50000,100000' },
    starts: { type: 'string', default: '3' },
    requests: { type: 'string', default: '100000' },
    // What V8 takes for itself under the memory limit of the manifests, 512 MiB: half of it. Without such a limit it lets
    // garbage stay for longer, and the figures would be those of this machine's size.
    'node-flags': { type: 'string', default: '--max-heap-size=256' },
    json: { type: 'boolean', default: false },
  },
});
const SIZES = values.sizes.split(',').map(Number);
const PLAN = {
  starts: Number(values.starts),
  requests: Number(values.requests),
  nodeFlags: values['node-flags'].split(' ').filter(Boolean),
};

const binaries = await controlPlaneBinaries(say);
if (!binaries.ok) throw new Error(`a control plane cannot run here: ${binaries.reason}`);
const controlPlane = await startControlPlane({ binaries });
try {
  const results: Record<string, number>[] = [];
  let there = 0;
  for (const size of SIZES) {
    say(`creating ServiceAccounts ${there} to ${size}`);
    await load(controlPlane, there, size);
    there = Math.max(there, size);
    // What was written before it started is history that it does not know.
    await controlPlane.restartApiServer();
    say('measuring');
    results.push(await measure(controlPlane, size, PLAN));
  }
  if (values.json) console.log(JSON.stringify({ node: process.version, results }, undefined, 2));
  else {
    console.log(`Node ${process.version}`);
    for (const name of Object.keys(results[0] ?? {})) {
      console.log(`${name.padEnd(40)}${results.map((each) => String(each[name]).padStart(12)).join('')}`);
    }
  }
} finally {
  await controlPlane.stop();
}
