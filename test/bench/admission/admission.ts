/** `POST /mutate` of the built webhook against servers that do less, each a process of its own on the same core. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Bench } from '../bench.ts';
import { requestBytes } from '../load/request.ts';
import { compareRounds, type Goals, join as joinStarts, type Result, type Rounds } from '../result.ts';
import { type Candidate, interleave } from '../rounds.ts';
import { ApiDouble } from '../servers/api-double.ts';
import { moveTo } from '../servers/cores.ts';
import { answerWith, type FloorKind, startFloor } from '../servers/floor.ts';
import { type Running, startPodpass } from '../servers/podpass-process.ts';
import { readAnswer } from './answer.ts';
import { type Case, cases } from './cases.ts';
import { differences } from './differences.ts';

const PART = 'admission';
const NAMES = {
  echo: 'TLS echo',
  parse: 'TLS, parse and patch',
  express: 'Express, parse and patch',
} satisfies Partial<Record<FloorKind, string>>;
const FLOORS = ['echo', 'parse', 'express'] as const;
const GOALS: Goals = { [NAMES.parse]: { 'CPU time': 1, throughput: 1, p99: 1 } };

/** A watch of ServiceAccounts ends after 29 s at most. */
const SETTLE_MS = 35_000;
const COLLECTIONS = 4;
const AFTER_COLLECTION_MS = 2_000;

export async function admission(bench: Bench): Promise<Result[]> {
  const chosen = cases.filter(({ name }) => bench.wants(PART, name));
  const rounds = new Map<string, Rounds>();
  const notes = new Set<string>();
  // The same program is compiled in another way each time, which rounds of one process do not show.
  for (let start = 0; start < bench.starts; start++) {
    bench.say(`${PART}: start ${start + 1} of ${bench.starts}`);
    const scene = await startScene(bench);
    // Who wants no warm figures is not kept waiting.
    if (chosen[0] !== undefined && bench.plan.warmUp > 1_000) await scene.settle(chosen[0]);
    for (const each of chosen) {
      const candidates = await scene.candidates(each, notes);
      const measured = await interleave(bench.generator, candidates, bench.plan);
      rounds.set(each.name, joinStarts(rounds.get(each.name), candidates, measured));
    }
    await scene.stop();
  }
  const results = [...rounds].map(([name, each]) => compareRounds(PART, name, each, GOALS));
  return [...results, { ratios: [], figures: [], notes: [...notes] }];
}

async function startScene(bench: Bench) {
  const { generator, tls, spawning, peer } = bench;
  const double = await ApiDouble.start(cases.map(({ account }) => account));
  const kubeconfig = join(bench.folder, 'kubeconfig');
  await writeFile(kubeconfig, double.kubeconfig);
  const flags = ['--kubeconfig', kubeconfig, '--tls-cert', tls.certFile, '--tls-key', tls.keyFile];
  const podpass = await startPodpass('webhook', flags, spawning);
  const floors: { kind: (typeof FLOORS)[number]; running: Running }[] = [];
  for (const kind of FLOORS) floors.push({ kind, running: await startFloor(kind, tls, spawning) });
  await generator.connect('podpass', podpass.port, tls.ca);
  for (const { kind, running } of floors) await generator.connect(kind, running.port, tls.ca);
  if (peer !== undefined) await generator.connect('peer', Number(peer.url.port || 443), undefined);
  if (peer?.pid !== undefined && spawning.core !== undefined) moveTo(String(spawning.core), peer.pid);

  return {
    /** What it does every half a minute makes V8 compile anew, for seconds: it shall have done that once. */
    async settle({ body, templates }: Case): Promise<void> {
      const request = requestBytes('POST', '/mutate?timeout=10s', { body });
      const counters = differences(request, templates);
      const until = performance.now() + SETTLE_MS;
      while (performance.now() < until) await generator.run('podpass', request, bench.plan.roundMs, counters);
      // So does the first collection of all garbage in which objects are gone that compiled code goes by. V8 keeps what
      // describes objects for two collections more.
      for (let i = 0; i < COLLECTIONS; i++) {
        await podpass.process.ask('collect');
        await generator.run('podpass', request, AFTER_COLLECTION_MS, counters);
      }
    },
    async candidates({ name, body, templates, patched }: Case, notes: Set<string>): Promise<Candidate[]> {
      const request = requestBytes('POST', '/mutate?timeout=10s', { body });
      const counters = differences(request, templates);
      const { answer, hasPatch } = readAnswer(await generator.once('podpass', request));
      if (hasPatch !== patched) throw new Error(`${name}: podpass answered ${answer.bytes}`);
      for (const { kind, running } of floors) {
        await answerWith(running, answer);
        const floor = readAnswer(await generator.once(kind, request));
        if (!floor.answer.bytes.equals(answer.bytes) && kind === 'echo') throw new Error(`${name}: ${kind} is no echo`);
        if (floor.hasPatch !== patched) throw new Error(`${name}: ${kind} answered ${floor.answer.bytes}`);
      }
      const candidates: Candidate[] = [
        { name: 'podpass', target: 'podpass', request, counters, server: podpass.process },
        ...floors.map(({ kind, running }) => ({
          name: NAMES[kind],
          target: kind,
          request,
          counters,
          server: running.process,
        })),
      ];
      if (peer === undefined) return candidates;
      const asked = requestBytes('POST', `${peer.url.pathname}?timeout=10s`, { host: peer.url.host, body });
      const { hasPatch: patchedByPeer } = readAnswer(await generator.once('peer', asked));
      notes.add(`${PART}, ${name}: the peer's answer has ${patchedByPeer ? 'a' : 'no'} patch`);
      return [
        ...candidates,
        { name: 'peer', target: 'peer', request: asked, counters: differences(asked, templates), server: peer.pid },
      ];
    },
    async stop(): Promise<void> {
      for (const target of ['podpass', ...FLOORS]) await generator.disconnect(target);
      if (peer !== undefined) await generator.disconnect('peer');
      for (const { running } of floors) await running.process.stop();
      await podpass.process.stop();
      double.stop();
    },
  };
}
