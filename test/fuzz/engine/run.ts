// One target in a process of its own, without optimised code, started by engine/process.ts.
import { createHash } from 'node:crypto';
import { openSync, writeSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { loadTarget } from '../targets.ts';
import { startCoverage } from './coverage.ts';
import { readInputs, replaceCorpus, writeInput } from './files.ts';
import { fuzz } from './fuzz.ts';
import { minimise } from './minimise.ts';
import type { Job } from './process.ts';
import { shrink } from './shrink.ts';

const job = JSON.parse(process.argv[2] ?? '') as Job;
const root = fileURLToPath(new URL('../../../', import.meta.url));
const ours = ['src/', 'webhook/', 'discovery/', 'test/fuzz/targets/planted'].map((path) => `file://${root}${path}`);
const coverage = startCoverage((url) => ours.some((path) => url.startsWith(path)));
const target = await loadTarget(job.target);

/** The input that is judged, for who watches: its number and its length, eight bytes each, and its bytes. */
const scratch = openSync(job.scratch, 'r+');
const head = Buffer.alloc(16);
let judged = 0n;
/** Of all inputs in their order, so that two runs with one seed can be compared. */
const digest = createHash('sha256');
function note(input: Buffer): void {
  digest.update(`${input.length} `).update(input);
  judged += 1n;
  head.writeBigUInt64LE(judged, 0);
  head.writeBigUInt64LE(BigInt(input.length), 8);
  writeSync(scratch, Buffer.concat([head, input]), 0, undefined, 0);
}

const corpus = readInputs('corpus', target.name).map(({ bytes }) => bytes);
if (job.minimise) {
  const kept = await minimise(target, corpus, coverage);
  replaceCorpus(target.name, kept);
  console.log(`${target.name}: ${kept.length} of ${corpus.length} inputs kept`);
} else {
  const before = readInputs('findings', target.name).map(({ bytes }) => bytes);
  const initial = [...target.seeds(), ...corpus, ...before];
  const outcome = await fuzz(target, initial, coverage, job, note);
  const { runs, seconds, findings } = outcome;
  const rate = Math.round(runs / seconds);
  console.log(
    `${target.name}: seed ${job.seed}, ${runs} runs in ${seconds.toFixed(1)} s (${rate}/s), ${coverage.size} characters of ours ran, ${outcome.corpus.length - initial.length} new inputs, ${findings.length} findings, inputs ${digest.digest('hex').slice(0, 16)}`,
  );
  for (const { input, reason } of findings) {
    const small = await shrink(target, input, reason);
    const where = job.keep ? `findings/${target.name}/${writeInput('findings', target.name, small)}` : 'not written';
    console.log(`- ${reason.slice(0, 1000)}\n  ${where}: ${JSON.stringify(small.toString('latin1').slice(0, 500))}`);
  }
  if (job.keep) {
    const may = (input: Buffer) => target.mayBeKept?.(input) !== false;
    for (const input of outcome.corpus.slice(initial.length)) if (may(input)) writeInput('corpus', target.name, input);
  }
  process.exitCode = findings.length > 0 ? 1 : 0;
}
