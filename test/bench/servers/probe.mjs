// Loaded into a server before its own code (`--import`): tells the bench what only the process itself can see, and
// makes the webhook lose its place in the API server's history, which in life takes hours.
import https from 'node:https';
import { Session } from 'node:inspector';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

// The interval is part of each value: an idle loop shows a little over 1 ms.
const delay = monitorEventLoopDelay({ resolution: 1 });
delay.enable();
setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc');

let forget = false;
let watch;
const { request } = https;
https.request = (options, ...rest) => {
  if (!options.path?.includes('watch=true')) return request(options, ...rest);
  // No API server that has restarted since knows of version 1: it answers 410 Gone.
  const path = forget ? options.path.replace(/resourceVersion=\d+/, 'resourceVersion=1') : options.path;
  forget = false;
  watch = request({ ...options, path }, ...rest);
  return watch;
};

const session = new Session();
const inspect = (method, params) =>
  new Promise((fulfil, reject) => {
    session.post(method, params, (error, result) => (error ? reject(error) : fulfil(result)));
  });

/** What the bench may ask; a server adds its own. */
export const answers = {
  look: () => {
    const { user, system } = process.cpuUsage();
    const cpuMs = (user + system) / 1000;
    return { p99: delay.percentile(99) / 1e6, max: delay.max / 1e6, cpuMs, ...process.memoryUsage() };
  },
  reset: () => delay.reset(),
  collect: () => {
    collectGarbage();
    return process.memoryUsage();
  },
  forget: () => {
    forget = true;
    watch?.destroy();
  },
  profile: async () => {
    session.connect();
    await inspect('Profiler.enable');
    await inspect('Profiler.setSamplingInterval', { interval: 200 });
    await inspect('Profiler.start');
  },
  // What a .cpuprofile file has in it.
  profiled: async () => (await inspect('Profiler.stop')).profile,
};

if (process.env.PODPASS_BENCH_PROFILE === 'start') await answers.profile();

process.on('message', async ({ id, ask, ...rest }) => {
  const answer = (await answers[ask](rest)) ?? {};
  process.send?.({ id, answer });
});
// It must not keep the process from ending.
process.channel?.unref();
// Whoever killed the bench as it started us may have been faster than the one who cleans up after it.
process.once('disconnect', () => process.exit());
if (!process.connected) process.exit();
