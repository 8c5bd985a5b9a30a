import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, readSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { writeInput } from './files.ts';
import type { Limits } from './fuzz.ts';

export interface Job extends Limits {
  readonly target: string;
  /** Writes what is new into the corpus, and findings into theirs. */
  readonly keep: boolean;
  /** Instead: makes the corpus small. */
  readonly minimise: boolean;
  /** An input is a finding after so many milliseconds without a next one. */
  readonly hangMs: number;
  /** The file in which the process writes the input that it judges. */
  readonly scratch: string;
}

/** Machines are busy; an input that is slow and ends is judged by the CPU time it takes. */
export const HANG_MS = 60_000;
const LOOK_MS = 500;

/**
 * Runs one target in a process of its own, so that an input which hangs or ends the process is known too. Coverage
 * needs `--no-opt`: V8 does not count what optimised code inlines, and another set of functions would be missing each time.
 */
export async function runTarget(job: Omit<Job, 'scratch'>): Promise<{ readonly ok: boolean; readonly output: string }> {
  const folder = mkdtempSync(join(tmpdir(), 'podpass-fuzz-'));
  const scratch = join(folder, 'input');
  writeFileSync(scratch, Buffer.alloc(16));
  const entrance = fileURLToPath(new URL('run.ts', import.meta.url));
  // The YAML library warns of keys that it makes texts of.
  const flags = ['--no-warnings', '--no-opt', '--no-maglev', '--max-old-space-size=1024', '--import', 'tsx'];
  try {
    const child = spawn(process.execPath, [...flags, entrance, JSON.stringify({ ...job, scratch })], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => {
        output += text;
      });
    const { code, hung } = await ended(child, job.hangMs, scratch);
    if (code === 0 || code === 1) return { ok: code === 0, output };
    const why = hung ? `no end after ${job.hangMs / 1000} s` : `the process ended with ${code}`;
    const input = noted(scratch);
    const where = job.keep ? `, findings/${job.target}/${writeInput('findings', job.target, input)}` : '';
    const shown = JSON.stringify(input.toString('latin1').slice(0, 500));
    return { ok: false, output: `${output}${job.target}: ${why} at the input ${shown}${where}\n` };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** The number or the signal with which it ended; it is ended where it does not go on. */
function ended(
  child: ChildProcess,
  hangMs: number,
  scratch: string,
): Promise<{ code: number | string | null; hung: boolean }> {
  return new Promise((resolve, reject) => {
    let last = 0n;
    let since = performance.now();
    let hung = false;
    const timer = setInterval(() => {
      const judged = count(scratch);
      if (judged === 0n || judged !== last) {
        last = judged;
        since = performance.now();
      } else if (performance.now() - since > hangMs) {
        hung = true;
        child.kill('SIGKILL');
      }
    }, LOOK_MS);
    child.once('error', reject);
    child.once('close', (code, signal) => {
      clearInterval(timer);
      resolve({ code: code ?? signal, hung });
    });
  });
}

function count(scratch: string): bigint {
  const head = Buffer.alloc(8);
  const file = openSync(scratch, 'r');
  readSync(file, head, 0, 8, 0);
  closeSync(file);
  return head.readBigUInt64LE(0);
}

function noted(scratch: string): Buffer {
  const bytes = readFileSync(scratch);
  return bytes.subarray(16, 16 + Number(bytes.readBigUInt64LE(8)));
}
