/** Where a .cpuprofile file says that time went: https://chromedevtools.github.io/devtools-protocol/tot/Profiler/#type-Profile */
import { type Place, sourceOf } from './source.ts';

export interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: {
      readonly functionName: string;
      readonly url: string;
      readonly lineNumber: number;
      readonly columnNumber: number;
    };
  }[];
  readonly samples: readonly number[];
  /** Microseconds, one for each sample. */
  readonly timeDeltas: readonly number[];
}

export interface SelfTime {
  /** Milliseconds in which something ran. */
  readonly busyMs: number;
  readonly idleMs: number;
  /** Shares of the busy time. */
  readonly collecting: number;
  readonly functions: readonly Share[];
  readonly files: readonly Share[];
}

export interface Share {
  readonly name: string;
  readonly share: number;
}

const [IDLE, COLLECTOR] = ['(idle)', '(garbage collector)'];
/** Node's name for what its inspector does: the profiler, when it begins. */
const PROFILER = 'dispatch';

export function selfTime({ nodes, samples, timeDeltas }: CpuProfile): SelfTime {
  const frames = new Map(nodes.map(({ id, callFrame }) => [id, callFrame]));
  const byNode = new Map<number, number>();
  for (const [i, id] of samples.entries()) byNode.set(id, (byNode.get(id) ?? 0) + Math.max(0, timeDeltas[i] ?? 0));
  const functions = new Map<string, number>();
  const files = new Map<string, number>();
  let [idle, busy] = [0, 0];
  for (const [id, us] of byNode) {
    const frame = frames.get(id);
    if (frame === undefined || (frame.url === '' && frame.functionName === PROFILER)) continue;
    if (frame.functionName === IDLE) {
      idle += us;
      continue;
    }
    busy += us;
    const place: Place = sourceOf(frame);
    const name = place.line === undefined ? place.name : `${place.name}  ${place.file}:${place.line}`;
    functions.set(name, (functions.get(name) ?? 0) + us);
    files.set(place.group, (files.get(place.group) ?? 0) + us);
  }
  return {
    busyMs: busy / 1000,
    idleMs: idle / 1000,
    collecting: (functions.get(COLLECTOR) ?? 0) / busy,
    functions: ranked(functions, busy),
    files: ranked(files, busy),
  };
}

function ranked(times: ReadonlyMap<string, number>, all: number): Share[] {
  return [...times].map(([name, us]) => ({ name, share: us / all })).sort((a, b) => b.share - a.share);
}
