// What podpass costs, as ratios to floors measured in the same run: numbers of one machine mean nothing on another.
import { loadavg } from 'node:os';
import { say } from '../by-hand.ts';
import { controlPlaneBinaries } from '../cluster/binaries.ts';
import { type ControlPlane, startControlPlane } from '../cluster/control-plane.ts';
import { admission } from './admission/admission.ts';
import { type Bench, openBench } from './bench.ts';
import { discovery } from './discovery.ts';
import { inProcess } from './in-process.ts';
import { type Options, PARTS, readOptions, USAGE } from './options.ts';
import { path } from './path.ts';
import { readBaseline, saveBaseline } from './report/baseline.ts';
import { markdown } from './report/markdown.ts';
import { lost, tables } from './report/table.ts';
import type { Result } from './result.ts';
import { start } from './start.ts';

const parts: Readonly<Record<(typeof PARTS)[number], (bench: Bench) => Promise<Result[]>>> = {
  'in-process': inProcess,
  admission,
  discovery,
  path,
  start,
};

let options: Options;
try {
  options = readOptions(process.argv.slice(2), process.env);
} catch (error) {
  say(`${(error as Error).message}\n\n${USAGE}`);
  process.exit(2);
}

let ending = false;
const controlPlane = options.cluster ? await realControlPlane() : undefined;
// What others had under way, of which a reader of the figures has to know.
const [load = 0] = loadavg();
const bench = await openBench(options, { say, controlPlane });
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.once(signal, () => void end());
}
try {
  const results: Result[] = [{ ratios: [], figures: [], notes: bench.notes }];
  for (const part of PARTS) {
    if (!bench.wants(part)) continue;
    say(`measuring: ${part}`);
    results.push(...(await parts[part](bench)));
  }
  const result = {
    ratios: results.flatMap(({ ratios }) => ratios),
    figures: results.flatMap(({ figures }) => figures),
    notes: results.flatMap(({ notes }) => notes),
  };
  const { starts, rounds, roundMs } = options;
  const how = `Node ${process.version}, ${starts} starts, ${rounds} rounds of ${roundMs} ms each, ${
    bench.cores === undefined ? 'not pinned' : 'servers and client each on a core of its own'
  }, load average ${load.toFixed(1)} before it`;
  const baseline = readBaseline();
  if (options.output === 'json') console.log(JSON.stringify({ how, baseline, ...result }, undefined, 2));
  else if (options.output === 'markdown') console.log(markdown(result, how));
  else console.log(`${how}\n\n${tables(result, baseline)}`);
  if (baseline === undefined) say('there is no baseline for this Node: nothing is compared');
  if (options.save) saveBaseline(result.ratios, how);
  if (options.strict && result.ratios.some((each) => lost(each, baseline))) process.exitCode = 1;
} catch (error) {
  // What was under way fails when we are told to end.
  if (!ending) throw error;
} finally {
  await stop();
}

async function realControlPlane(): Promise<ControlPlane> {
  const binaries = await controlPlaneBinaries(say);
  if (!binaries.ok) throw new Error(`a control plane cannot run here: ${binaries.reason}`);
  return startControlPlane({ binaries });
}

async function end(): Promise<void> {
  ending = true;
  await stop();
  process.exit(1);
}

async function stop(): Promise<void> {
  await bench.stop();
  await controlPlane?.stop();
}
