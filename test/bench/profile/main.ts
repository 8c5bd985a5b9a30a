// Where the time of the built services goes: `npm run profile -- admission|discovery|accounts`. The profiler is switched
// on when the server is warm, so that its start is not in the figures; of accounts the start is all there is.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { say } from '../../by-hand.ts';
import { openBench } from '../bench.ts';
import { readOptions } from '../options.ts';
import { report } from './report.ts';
import { isScene, SCENES, scenes } from './scenes.ts';
import { selfTime } from './self-time.ts';

const USAGE = `npm run profile -- [${SCENES.join('|')}] [flags]
  --seconds N   of load, when it is warm (default 10)
  --accounts N  ServiceAccounts to be read (default 50000)
  --rows N      of each table (default 30)`;
const FOLDER = 'build/profiles';

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    seconds: { type: 'string', default: '10' },
    accounts: { type: 'string', default: '50000' },
    rows: { type: 'string', default: '30' },
  },
});
const [name = 'admission'] = positionals;
const [seconds = 0, accounts = 0, rows = 0] = [values.seconds, values.accounts, values.rows].map(Number);
if (!isScene(name) || positionals.length > 1 || !(seconds > 0 && accounts > 0 && rows > 0)) {
  say(USAGE);
  process.exit(2);
}

let ending = false;
const bench = await openBench(readOptions([], {}), { say });
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.once(signal, () => void end());
}
try {
  say(`profiling: ${name}`);
  const profile = await scenes[name](bench, { ms: seconds * 1000, accounts });
  await mkdir(FOLDER, { recursive: true });
  const file = join(FOLDER, `${name}.cpuprofile`);
  await writeFile(file, JSON.stringify(profile));
  console.log(`${report(selfTime(profile), rows)}\n\n${file}, for the performance panel of a browser or an editor`);
} catch (error) {
  // What was under way fails when we are told to end.
  if (!ending) throw error;
} finally {
  await bench.stop();
}

async function end(): Promise<void> {
  ending = true;
  await bench.stop();
  process.exit(1);
}
