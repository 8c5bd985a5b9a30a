/** From the start of a process to its first answer, and what is left in memory after many. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { serviceAccountKeyPair } from '../cluster/control-plane.ts';
import { readAnswer } from './admission/answer.ts';
import { cases } from './admission/cases.ts';
import { differences } from './admission/differences.ts';
import type { Bench } from './bench.ts';
import { requestBytes } from './load/request.ts';
import type { Figure, Ratio, Result } from './result.ts';
import { ApiDouble } from './servers/api-double.ts';
import { AskedProcess } from './servers/asked-process.ts';
import { cpuTimeOf } from './servers/cpu-time.ts';
import { answerWith, startFloor } from './servers/floor.ts';
import { type Running, startPodpass } from './servers/podpass-process.ts';
import { median, spread } from './statistics.ts';

const PART = 'start';
const [START, MEMORY] = ['process start to ready', 'memory'];
const LISTENING = 'console.log(JSON.stringify({ msg: "listening" }))';
/** Of Node alone, and of the least that could be called a server. */
const FLOORS = {
  'node -e 0': () => ['-e', `${LISTENING}; setInterval(() => 0, 60000)`],
  'bare https server': ({ certFile, keyFile }: Bench['tls']) => [
    '-e',
    `const { readFileSync: read } = require("node:fs");
     const tls = { cert: read(${JSON.stringify(certFile)}), key: read(${JSON.stringify(keyFile)}) };
     require("node:https").createServer(tls).listen(0, "127.0.0.1", () => ${LISTENING})`,
  ],
};
// What V8 takes for itself under the memory limit of the manifests, 512 MiB: half of it.
const NODE_FLAGS = ['--max-heap-size=256'];
const SLICE_MS = 500;

export async function start(bench: Bench): Promise<Result[]> {
  const { folder, tls } = bench;
  const double = await ApiDouble.start(cases.map(({ account }) => account));
  const kubeconfig = join(folder, 'kubeconfig');
  await writeFile(kubeconfig, double.kubeconfig);
  const keys = join(folder, 'keys.pem');
  await writeFile(keys, serviceAccountKeyPair('rsa').publicPem);
  const pair = ['--tls-cert', tls.certFile, '--tls-key', tls.keyFile];
  const flags = {
    webhook: ['--kubeconfig', kubeconfig, ...pair],
    discovery: ['--issuer', 'https://issuer.example.com', '--keys', keys, ...pair],
  };
  const results: Result[] = [];
  if (bench.wants(PART, START)) results.push(await starts(bench, flags));
  if (bench.wants(PART, MEMORY)) results.push(await memory(bench, flags.webhook));
  double.stop();
  return results;
}

type Flags = Readonly<Record<'webhook' | 'discovery', readonly string[]>>;

interface Started {
  readonly ms: number;
  /** Processor time until then; NaN where it cannot be told. */
  readonly cpuMs: number;
}

async function starts(bench: Bench, flags: Flags): Promise<Result> {
  const { spawning, tls } = bench;
  const candidates: Record<string, () => Promise<AskedProcess>> = {
    webhook: async () => (await startPodpass('webhook', flags.webhook, spawning, { probed: false })).process,
    discovery: async () => (await startPodpass('discovery', flags.discovery, spawning, { probed: false })).process,
  };
  for (const [name, args] of Object.entries(FLOORS)) {
    candidates[name] = async () => {
      const started = new AskedProcess(name, args(tls), spawning);
      await started.listening();
      return started;
    };
  }
  const measured: Record<string, Started[]> = {};
  // The first of each fills the caches of the file system.
  for (let round = 0; round <= bench.starts * bench.plan.rounds; round++) {
    for (const [name, begin] of Object.entries(candidates)) {
      const began = performance.now();
      const started = await begin();
      const [ms, cpuMs] = [performance.now() - began, cpuTimeOf(started.pid) ?? Number.NaN];
      await started.stop();
      if (round > 0) measured[name] = [...(measured[name] ?? []), { ms, cpuMs }];
    }
  }
  const ratios = (['webhook', 'discovery'] as const).flatMap((service) =>
    Object.keys(FLOORS).flatMap((against): Ratio[] =>
      (['CPU time', 'time'] as const).flatMap((measure) => {
        const of = (each: Started | undefined) => (measure === 'time' ? each?.ms : each?.cpuMs) ?? Number.NaN;
        const values = (measured[service] ?? []).map((own, i) => of(measured[against]?.[i]) / of(own));
        if (values.some(Number.isNaN)) return [];
        const kept = measure === 'CPU time';
        return [{ part: PART, case: `${service}, ${START}`, against, measure, kept, ...spread(values) }];
      }),
    ),
  );
  const figures = Object.entries(measured).map(([candidate, each]) => ({
    part: PART,
    case: START,
    candidate,
    values: { ms: median(each.map(({ ms }) => ms)), 'CPU ms': median(each.map(({ cpuMs }) => cpuMs)) },
  }));
  return { ratios, figures, notes: [] };
}

async function memory(bench: Bench, flags: readonly string[]): Promise<Result> {
  const { generator, tls } = bench;
  // What is kept of each must not grow.
  const one = cases.find(({ name }) => name === 'one token, many templates');
  if (one === undefined) throw new Error('there is no case with one token');
  const request = requestBytes('POST', '/mutate', { body: one.body });
  const counters = differences(request, one.templates);
  const count = bench.requests;
  const spawning = { ...bench.spawning, nodeFlags: NODE_FLAGS };
  const podpass = await startPodpass('webhook', flags, spawning);
  const floor = await startFloor('parse', tls, spawning);
  await generator.connect('podpass', podpass.port, tls.ca);
  await generator.connect('parse', floor.port, tls.ca);
  await answerWith(floor, readAnswer(await generator.once('podpass', request)).answer);
  const own = await grow('podpass', podpass);
  const other = await grow('parse', floor);
  for (const target of ['podpass', 'parse']) await generator.disconnect(target);
  for (const { process } of [podpass, floor]) await process.stop();

  const against = { 'TLS, parse and patch': other.after / own.after, 'itself after a tenth': own.tenth / own.after };
  const ratios = Object.entries(against).map(([name, ratio]) => ({
    ...{ part: PART, case: MEMORY, against: name, measure: `RSS after ${count} requests`, kept: false },
    ...spread([ratio]),
  }));
  const mib = (bytes: number) => bytes / 1024 / 1024;
  const figures: Figure[] = Object.entries({ podpass: own, 'TLS, parse and patch': other }).map(
    ([candidate, each]) => ({
      part: PART,
      case: MEMORY,
      candidate,
      values: {
        'RSS at start MiB': mib(each.before),
        'after a tenth MiB': mib(each.tenth),
        'at the end MiB': mib(each.after),
        'highest MiB': mib(each.highest),
        requests: each.sent,
      },
    }),
  );
  return { ratios, figures, notes: [] };

  async function grow(target: string, { process }: Running) {
    const rss = async () => (await process.ask<{ rss: number }>('look')).rss;
    const before = await rss();
    let [sent, tenth, highest] = [0, 0, before];
    while (sent < count) {
      sent += (await generator.run(target, request, SLICE_MS, counters)).count;
      const now = await rss();
      highest = Math.max(highest, now);
      if (tenth === 0 && sent >= count / 10) tenth = now;
    }
    return { before, tenth, after: await rss(), highest, sent };
  }
}
