/** The arguments of `npm run bench`. */
import { parseArgs } from 'node:util';

export const PARTS = ['in-process', 'admission', 'discovery', 'path', 'start'] as const;

export interface Options {
  readonly only: readonly string[];
  readonly starts: number;
  readonly rounds: number;
  readonly roundMs: number;
  readonly warmUp: number;
  readonly peer: { readonly url: URL; readonly pid: number | undefined } | undefined;
  readonly cluster: boolean;
  /** For the memory. */
  readonly requests: number;
  readonly output: 'table' | 'json' | 'markdown';
  readonly save: boolean;
  readonly strict: boolean;
}

export const USAGE = `npm run bench -- [flags]
  --only PART[/CASE]  of ${PARTS.join(', ')}; repeatable
  --starts N          how often the servers are started anew (default 2)
  --rounds N          rounds of each candidate after each start (default 5)
  --round-ms N        how long one is (default 400)
  --warm-up N         requests of each candidate before the first one (default 12000): V8 compiles until then
  --cluster           also what needs a real API server, which is built once
  --requests N        after which the memory is looked at (default 50000)
  --long              a million of them
  --peer URL          another webhook to be asked too; also PODPASS_BENCH_PEER. It may have any certificate, and
                      runs on this machine
  --peer-pid PID      its process: its processor time is read, and it is moved to the servers' core
  --json, --markdown  the result for programs, the README's table
  --save              writes the baseline
  --strict            exit status 1 where a ratio is lost against the baseline`;

/** Throws an Error for people where they are wrong. */
export function readOptions(argv: readonly string[], env: NodeJS.ProcessEnv): Options {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      only: { type: 'string', multiple: true, default: [] },
      starts: { type: 'string', default: '2' },
      rounds: { type: 'string', default: '5' },
      'round-ms': { type: 'string', default: '400' },
      'warm-up': { type: 'string', default: '12000' },
      cluster: { type: 'boolean', default: false },
      requests: { type: 'string', default: '50000' },
      long: { type: 'boolean', default: false },
      peer: { type: 'string', default: env.PODPASS_BENCH_PEER },
      'peer-pid': { type: 'string' },
      json: { type: 'boolean', default: false },
      markdown: { type: 'boolean', default: false },
      save: { type: 'boolean', default: false },
      strict: { type: 'boolean', default: false },
    },
  });
  const count = (name: 'starts' | 'rounds' | 'round-ms' | 'warm-up' | 'requests' | 'peer-pid') => {
    const value = values[name];
    if (value !== undefined && !/^[1-9]\d{0,9}$/.test(value)) throw new Error(`--${name}: ${value} is no whole number`);
    return Number(value);
  };
  for (const each of values.only) {
    if (!PARTS.some((part) => each.split('/')[0] === part))
      throw new Error(`--only: ${each} is not known; accepted: ${PARTS.join(', ')}, each also with /CASE`);
  }
  if (values.peer !== undefined && !(URL.canParse(values.peer) && new URL(values.peer).protocol === 'https:'))
    throw new Error(`--peer: ${values.peer} is no https URL`);
  const pid = values['peer-pid'] === undefined ? undefined : count('peer-pid');
  return {
    only: values.only,
    starts: count('starts'),
    rounds: count('rounds'),
    roundMs: count('round-ms'),
    warmUp: count('warm-up'),
    peer: values.peer === undefined ? undefined : { url: new URL(values.peer), pid },
    cluster: values.cluster,
    requests: values.long ? 1_000_000 : count('requests'),
    output: values.json ? 'json' : values.markdown ? 'markdown' : 'table',
    save: values.save,
    strict: values.strict,
  };
}
