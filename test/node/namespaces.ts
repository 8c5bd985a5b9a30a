/**
 * The namespaces of a node (network, mounts, processes, host name, IPC, cgroups), so that a kubelet and containerd
 * change nothing of this machine. They end with one process, and everything in them with it.
 */
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Guardian, Server } from '../cluster/servers.ts';

const CGROUPS = '/sys/fs/cgroup';
const init = fileURLToPath(new URL('./namespaces.sh', import.meta.url));
const readyTimeoutMs = 20_000;

export class Namespaces {
  readonly folder: string;
  readonly #guardian: Guardian;
  readonly #group: string;
  #unshare: Server | undefined;
  #pid = 0;

  private constructor(folder: string) {
    this.folder = folder;
    this.#group = basename(folder);
    // The kernel keeps a group until the last process of it is gone.
    const remove = `find ${CGROUPS}/*/${this.#group} -depth -type d -exec rmdir {} + 2>/dev/null`;
    this.#guardian = new Guardian(folder, `for i in 1 2 3 4 5 6 7 8 9 10; do ${remove} && break; sleep 0.2; done`);
  }

  static async start(nodeName: string, address: string): Promise<Namespaces> {
    const namespaces = new Namespaces(await mkdtemp(join(tmpdir(), 'podpass-node-')));
    try {
      await namespaces.#start(nodeName, address);
      return namespaces;
    } catch (error) {
      await namespaces.stop();
      throw error;
    }
  }

  async #start(nodeName: string, address: string): Promise<void> {
    for (const controller of await readdir(CGROUPS)) await this.#makeGroup(join(CGROUPS, controller));
    const unshare = ['unshare', '--net', '--mount', '--pid', '--uts', '--ipc', '--cgroup', '--fork', '--kill-child'];
    const command = [...unshare, '--propagation', 'private', init, this.folder, nodeName, address];
    const [program = '', ...args] = [...this.#joinGroup(), ...command];
    const log = join(this.folder, 'namespaces.log');
    this.#unshare = new Server(this.#guardian, 'namespaces', program, args, log);
    await this.#unshare.ready(async () => existsSync(join(this.folder, 'ready')), readyTimeoutMs);
    const { pid } = this.#unshare;
    this.#pid = Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim());
  }

  /** cgroup v1 has a tree for each controller; a new group of some starts without what it needs to take processes. */
  async #makeGroup(controller: string): Promise<void> {
    const group = join(controller, this.#group);
    await mkdir(group);
    for (const file of ['cpuset.cpus', 'cpuset.mems']) {
      const inherited = join(controller, file);
      if (existsSync(inherited)) await writeFile(join(group, file), readFileSync(inherited));
    }
    const inherit = join(group, 'cgroup.clone_children');
    if (existsSync(inherit)) await writeFile(inherit, '1');
  }

  /** Comes before a program that shall be limited with the rest of the node. */
  #joinGroup(): string[] {
    const join = `for each in ${CGROUPS}/*/${this.#group}/cgroup.procs; do echo $$ > "$each"; done`;
    return ['/bin/sh', '-c', `PATH=${path}; export PATH; ${join}; exec "$@"`, 'join'];
  }

  /** Comes before a program that needs the network only. It stays this machine's process otherwise. */
  get network(): string[] {
    return [...env, 'nsenter', `--net=/proc/${this.#pid}/ns/net`, '--'];
  }

  /** Comes before a program that belongs to the node altogether: killing it from here kills only who waits for it. */
  get all(): string[] {
    const namespaces = ['--net', '--mount', '--pid', '--uts', '--ipc', '--cgroup'];
    return [...this.#joinGroup(), 'nsenter', `--target=${this.#pid}`, ...namespaces, '--'];
  }

  run(name: string, where: 'network' | 'all', program: string, args: readonly string[]): Server {
    const [first = '', ...rest] = [...this[where], program, ...args];
    return new Server(this.#guardian, name, first, rest, join(this.folder, `${name}.log`));
  }

  async stop(): Promise<void> {
    await this.#unshare?.end('SIGKILL');
    await this.#guardian.end();
  }
}

const path = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const env = ['/usr/bin/env', `PATH=${path}`];
