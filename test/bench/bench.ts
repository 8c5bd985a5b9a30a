/** What all parts of one run share. */
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ControlPlane } from '../cluster/control-plane.ts';
import { TlsFiles, testCa } from '../cluster/podpass.ts';
import { Guardian } from '../cluster/servers.ts';
import { LoadGenerator } from './load/client.ts';
import type { Options } from './options.ts';
import type { Plan } from './rounds.ts';
import type { Spawning } from './servers/asked-process.ts';
import { type Cores, findCores } from './servers/cores.ts';

export interface Bench {
  readonly folder: string;
  readonly guardian: Guardian;
  readonly cores: Cores | undefined;
  readonly tls: { readonly ca: string; readonly certFile: string; readonly keyFile: string };
  /** For servers. */
  readonly spawning: Spawning;
  readonly generator: LoadGenerator;
  readonly starts: number;
  readonly plan: Plan;
  readonly peer: Options['peer'];
  /** A real one, where it was asked for. */
  readonly controlPlane: ControlPlane | undefined;
  readonly requests: number;
  /** Why nothing is pinned. */
  readonly notes: readonly string[];
  /** Whether a part, or a case of it, was asked for. */
  wants(part: string, of?: string): boolean;
  say(line: string): void;
  /** Ends every process, and removes the folder. */
  stop(): Promise<void>;
}

export interface Around {
  readonly say: (line: string) => void;
  readonly controlPlane?: ControlPlane | undefined;
}

export async function openBench(options: Options, { say, controlPlane }: Around): Promise<Bench> {
  const folder = await mkdtemp(join(tmpdir(), 'podpass-bench-'));
  // It ends what we have started, however we end.
  const guardian = new Guardian(folder);
  const files = new TlsFiles(testCa(), folder);
  await files.write(files.ca.issue());
  const found = findCores();
  const cores = typeof found === 'string' ? undefined : found;
  const generator = new LoadGenerator({ guardian, core: cores?.client });
  return {
    folder,
    guardian,
    cores,
    tls: { ca: files.ca.pem, certFile: files.certFile, keyFile: files.keyFile },
    spawning: { guardian, core: cores?.server },
    generator,
    starts: options.starts,
    plan: { rounds: options.rounds, roundMs: options.roundMs, warmUp: options.warmUp },
    peer: options.peer,
    controlPlane,
    requests: options.requests,
    notes: typeof found === 'string' ? [`nothing is pinned to a core: ${found}`] : [],
    wants(part, of) {
      const { only } = options;
      return (
        only.length === 0 ||
        only.some((each) => (of === undefined ? each.split('/')[0] === part : isOf(each, part, of)))
      );
    },
    say,
    stop: () => guardian.end(),
  };
}

/** `admission` is all of a part, `admission/one` what begins so. */
function isOf(wanted: string, part: string, of: string): boolean {
  const [wantedPart, wantedCase = ''] = wanted.split('/');
  return wantedPart === part && of.startsWith(wantedCase);
}
