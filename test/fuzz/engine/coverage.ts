import { type Profiler, Session } from 'node:inspector';

/** Which characters of our sources have been run, as V8 counts blocks. Optimised code is not counted: run with `--no-opt`. */
export interface Coverage {
  /** What ran since the last time that this was asked. */
  take(): Ran;
  /** How many characters have run, as far as it was kept. */
  readonly size: number;
}

export interface Ran {
  /** Something ran that is not among what was kept. */
  readonly isNew: boolean;
  /** It has been run from now on. */
  keep(): void;
}

interface Block {
  readonly from: number;
  readonly to: number;
  readonly count: number;
}

/** From here on, of the scripts that `isOurs` says. */
export function startCoverage(isOurs: (url: string) => boolean): Coverage {
  const session = new Session();
  session.connect();
  session.post('Profiler.enable');
  session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
  /** By script, a byte for each character: 1 where it has run. */
  const seen = new Map<string, Uint8Array>();
  let size = 0;

  function take(): Profiler.ScriptCoverage[] {
    let taken: Profiler.ScriptCoverage[] = [];
    session.post('Profiler.takePreciseCoverage', (error, answer) => {
      if (error !== null) throw error;
      taken = answer.result;
    });
    return taken;
  }

  /** The marks of a script, as long as it is at least. */
  function marksOf(url: string, length: number): Uint8Array {
    const marks = seen.get(url) ?? new Uint8Array();
    if (marks.length >= length) return marks;
    const longer = new Uint8Array(length);
    longer.set(marks);
    seen.set(url, longer);
    return longer;
  }

  return {
    take() {
      const fresh: { marks: Uint8Array; from: number; to: number }[] = [];
      for (const { url, functions } of take()) {
        if (!isOurs(url)) continue;
        const blocks = functions.flatMap(({ ranges }) =>
          ranges.map(({ startOffset: from, endOffset: to, count }): Block => ({ from, to, count })),
        );
        const marks = marksOf(
          url,
          blocks.reduce((most, { to }) => Math.max(most, to), 0),
        );
        for (const { from, to } of ranParts(blocks)) {
          const first = marks.indexOf(0, from);
          if (first !== -1 && first < to) fresh.push({ marks, from: first, to });
        }
      }
      return {
        isNew: fresh.length > 0,
        keep() {
          for (const { marks, from, to } of fresh)
            for (let at = marks.indexOf(0, from); at !== -1 && at < to; at = marks.indexOf(0, at)) {
              marks[at] = 1;
              size += 1;
            }
        },
      };
    },
    get size() {
      return size;
    },
  };
}

/** Blocks lie in one another, and the innermost counts: the parts of the script whose innermost block has run. */
function ranParts(blocks: readonly Block[]): { from: number; to: number }[] {
  const parts: { from: number; to: number }[] = [];
  const open: Block[] = [];
  let at = 0;
  const upTo = (end: number) => {
    if (end > at && (open.at(-1)?.count ?? 0) > 0) parts.push({ from: at, to: end });
    at = Math.max(at, end);
  };
  for (const block of [...blocks].sort((a, b) => a.from - b.from || b.to - a.to)) {
    for (let last = open.at(-1); last !== undefined && last.to <= block.from; last = open.at(-1)) {
      upTo(last.to);
      open.pop();
    }
    upTo(block.from);
    open.push(block);
  }
  for (let last = open.pop(); last !== undefined; last = open.pop()) {
    if (last.to > at && last.count > 0) parts.push({ from: at, to: last.to });
    at = Math.max(at, last.to);
  }
  return parts;
}
