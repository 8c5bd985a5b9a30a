/** `POST /mutate` of the built webhook against servers that do less, each a process of its own on the same core. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Bench } from '../bench.ts';
import { requestBytes } from '../load/request.ts';
import { compareRounds, type Result } from '../result.ts';
import { type Candidate, interleave, type Measured } from '../rounds.ts';
import { ApiDouble } from '../servers/api-double.ts';
import { moveTo } from '../servers/cores.ts';
import { answerWith, type FloorAnswer, type FloorKind, startFloor } from '../servers/floor.ts';
import { type Running, startPodpass } from '../servers/podpass-process.ts';
import { type Case, cases } from './cases.ts';

const PART = 'admission';
const FLOORS: readonly FloorKind[] = ['echo', 'parse', 'express'];
const NAMES: Readonly<Record<FloorKind, string>> = {
  echo: 'TLS echo',
  parse: 'TLS, parse and patch',
  express: 'Express, parse and patch',
};
const GOALS = { [NAMES.parse]: 1, [NAMES.express]: 1 };

export async function admission(bench: Bench): Promise<Result[]> {
  const chosen = cases.filter(({ name }) => bench.wants(PART, name));
  const measured = new Map<Case, { candidates: string[]; rounds: Measured[][] }>();
  const notes = new Set<string>();
  // The same program is compiled in another way each time, which rounds of one process do not show.
  for (let start = 0; start < bench.starts; start++) {
    bench.say(`${PART}: start ${start + 1} of ${bench.starts}`);
    const scene = await startScene(bench);
    for (const each of chosen) {
      const candidates = await scene.candidates(each, notes);
      const rounds = await interleave(bench.generator, candidates, bench.plan);
      const before = measured.get(each)?.rounds;
      const names = candidates.map(({ name }) => name);
      measured.set(each, { candidates: names, rounds: rounds.map((of, i) => [...(before?.[i] ?? []), ...of]) });
    }
    await scene.stop();
  }
  const results = [...measured].map(([{ name }, { candidates, rounds }]) =>
    compareRounds(PART, name, candidates, rounds, GOALS),
  );
  return [...results, { ratios: [], figures: [], notes: [...notes] }];
}

async function startScene(bench: Bench) {
  const { generator, tls, spawning, peer } = bench;
  const double = await ApiDouble.start(cases.map(({ account }) => account));
  const kubeconfig = join(bench.folder, 'kubeconfig');
  await writeFile(kubeconfig, double.kubeconfig);
  const flags = ['--kubeconfig', kubeconfig, '--tls-cert', tls.certFile, '--tls-key', tls.keyFile];
  const podpass = await startPodpass('webhook', flags, spawning);
  const floors: { kind: FloorKind; running: Running }[] = [];
  for (const kind of FLOORS) floors.push({ kind, running: await startFloor(kind, tls, spawning) });
  await generator.connect('podpass', podpass.port, tls.ca);
  for (const { kind, running } of floors) await generator.connect(kind, running.port, tls.ca);
  if (peer !== undefined) await generator.connect('peer', Number(peer.url.port || 443), undefined);
  if (peer?.pid !== undefined && spawning.core !== undefined) moveTo(spawning.core, peer.pid);

  return {
    async candidates({ name, body, patched }: Case, notes: Set<string>): Promise<Candidate[]> {
      const request = requestBytes('POST', '/mutate?timeout=10s', { body });
      const { answer, hasPatch } = read(await generator.once('podpass', request));
      if (hasPatch !== patched) throw new Error(`${name}: podpass answered ${answer.bytes}`);
      for (const { kind, running } of floors) {
        await answerWith(running, answer);
        const floor = read(await generator.once(kind, request));
        if (!floor.answer.bytes.equals(answer.bytes) && kind === 'echo') throw new Error(`${name}: ${kind} is no echo`);
        if (floor.hasPatch !== patched) throw new Error(`${name}: ${kind} answered ${floor.answer.bytes}`);
      }
      const candidates: Candidate[] = [
        { name: 'podpass', target: 'podpass', request, server: podpass.process },
        ...floors.map(({ kind, running }) => ({ name: NAMES[kind], target: kind, request, server: running.process })),
      ];
      if (peer === undefined) return candidates;
      const asked = requestBytes('POST', `${peer.url.pathname}?timeout=10s`, { host: peer.url.host, body });
      const { hasPatch: patchedByPeer } = read(await generator.once('peer', asked));
      notes.add(`${PART}, ${name}: the peer's answer has ${patchedByPeer ? 'a' : 'no'} patch`);
      return [...candidates, { name: 'peer', target: 'peer', request: asked, server: peer.pid }];
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

/** The answer to a review, in the parts that a server writes anew. */
function read({ status, body }: { status: number; body: Buffer }): { answer: FloorAnswer; hasPatch: boolean } {
  if (status !== 200) throw new Error(`a review was answered with ${status}: ${body}`);
  const { response } = JSON.parse(body.toString());
  if (response.allowed !== true) throw new Error(`a review was refused: ${body}`);
  const patch = response.patch && JSON.parse(Buffer.from(response.patch, 'base64').toString());
  const { auditAnnotations } = response;
  return { answer: { bytes: body, type: 'application/json', patch, auditAnnotations }, hasPatch: patch !== undefined };
}
