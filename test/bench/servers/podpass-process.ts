/** The built executable as a process that can be asked what it costs. */
import { Agent, get } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { NODE_ENVIRONMENT, NODE_FLAGS } from '../../../tools/image/oci.ts';
import { AskedProcess, type Spawning } from './asked-process.ts';

const executable = fileURLToPath(new URL('../../../dist/podpass.js', import.meta.url));
const probe = new URL('probe.mjs', import.meta.url).href;
/** With very many ServiceAccounts. */
const READY_TIMEOUT_MS = 120_000;

export interface Running {
  readonly process: AskedProcess;
  readonly port: number;
}

/** Starts a service with these flags, as the image does but for the probe, and waits until it is ready. */
export async function startPodpass(
  service: 'webhook' | 'discovery',
  flags: readonly string[],
  spawning: Spawning,
  { probed = true }: { readonly probed?: boolean } = {},
): Promise<Running> {
  const common = ['--bind-address', '127.0.0.1', '--port', '0', '--metrics-port', '0'];
  const args = [...NODE_FLAGS, ...(probed ? ['--import', probe] : []), executable, service, ...common, ...flags];
  const started = new AskedProcess('podpass', args, { ...spawning, env: { ...NODE_ENVIRONMENT, ...spawning.env } });
  const { port, metricsPort = 0 } = await started.listening();
  const began = performance.now();
  const agent = new Agent({ keepAlive: true });
  while (!(await answersOk(metricsPort, agent))) {
    if (performance.now() - began > READY_TIMEOUT_MS) throw new Error(`never ready:\n${started.lines.join('\n')}`);
    // To ask costs it time too, which counts where it takes seconds.
    await sleep(performance.now() - began < 1_000 ? 5 : 25);
  }
  agent.destroy();
  return { process: started, port };
}

function answersOk(port: number, agent: Agent): Promise<boolean> {
  return new Promise((fulfil) => {
    get({ host: '127.0.0.1', port, path: '/readyz', agent }, (answer) => {
      answer.resume().on('end', () => fulfil(answer.statusCode === 200));
    }).on('error', () => fulfil(false));
  });
}
