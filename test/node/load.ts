/** Creates Pods all the time, and tells which creations failed and who is to blame. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Blame, blame } from '../cluster/blame.ts';
import type { ControlPlane } from '../cluster/control-plane.ts';

export interface LoadReport {
  created: number;
  /** Creations that failed because the API server could not ask the webhook, or that came without their tokens. */
  webhookFailures: string[];
  /** All others, as while the API server is away, by what they say. */
  otherFailures: Record<string, number>;
  /** Longest and typical time of a creation that went well, in milliseconds. */
  slowestMs: number;
  medianMs: number;
}

/** What keeps a Pod from being created without its tokens: the label, or the policy where its own annotations ask. */
export const waitingPods = {
  labelled: { labels: { 'podpass.dev/inject': 'true' } },
  annotated: { annotations: { 'podpass.dev/audience.own': 'https://own.example.com' } },
};

/** One that is over. */
export interface Creation {
  /** A key of the kinds. */
  readonly kind: string;
  /** Milliseconds of `performance.now()`. */
  readonly began: number;
  readonly ms: number;
  /** Undefined where it went well. */
  readonly blame: Blame | undefined;
}

export interface LoadOptions {
  /** So many clients. Default 4. */
  parallel?: number;
  /** Metadata of the Pods; the clients take them in turn. Default: those that must not be created without tokens. */
  kinds?: Readonly<Record<string, object>>;
  /** Called for each. */
  seen?: (creation: Creation) => void;
}

/** Nobody schedules them; they may be created under restricted Pod Security. */
export const podOf = (kind: object) => ({
  metadata: { generateName: 'load-', ...kind },
  spec: {
    serviceAccountName: 'web',
    schedulerName: 'none',
    securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
    containers: [
      {
        name: 'app',
        image: 'app:1',
        securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
      },
    ],
  },
});

/** Pods of a ServiceAccount `web`, which must ask for a token, each deleted right after it was created. */
export class Load {
  readonly #cluster: ControlPlane;
  readonly #namespace: string;
  readonly #workers: Promise<void>[];
  readonly #seen: LoadOptions['seen'];
  #stopped = false;
  #report = emptyReport();

  constructor(cluster: ControlPlane, namespace: string, { parallel = 4, kinds = waitingPods, seen }: LoadOptions = {}) {
    this.#cluster = cluster;
    this.#namespace = namespace;
    this.#seen = seen;
    const pods = Object.entries(kinds).map(([kind, metadata]) => [kind, podOf(metadata)] as const);
    this.#workers = Array.from({ length: parallel }, async (_, i) => {
      const [kind, pod] = pods[i % pods.length] ?? ['', {}];
      await this.#work(kind, pod);
    });
  }

  async #work(kind: string, pod: object): Promise<void> {
    while (!this.#stopped) {
      const began = performance.now();
      const answer = await this.#cluster.createPod(this.#namespace, pod).catch((error: Error) => error);
      const ms = performance.now() - began;
      const blamed = blame(answer);
      this.#seen?.({ kind, began, ms, blame: blamed });
      // Whoever asked for the report meanwhile gets this creation with the next one.
      if (blamed) note(this.#report, blamed);
      if (answer instanceof Error || answer.status !== 201) {
        await sleep(100);
        continue;
      }
      this.#report.times.push(ms);
      const path = `/api/v1/namespaces/${this.#namespace}/pods/${answer.body.metadata.name}?gracePeriodSeconds=0`;
      await this.#cluster.request('DELETE', path).catch(() => undefined);
    }
  }

  /** What happened since the last call, or since the start. */
  take(): LoadReport {
    const { times, webhookFailures, otherFailures } = this.#report;
    this.#report = emptyReport();
    times.sort((a, b) => a - b);
    return {
      created: times.length,
      webhookFailures,
      otherFailures,
      slowestMs: Math.round(times.at(-1) ?? 0),
      medianMs: Math.round(times[times.length >> 1] ?? 0),
    };
  }

  /** What happens, a moment for the consequences, and the figures, which are printed. */
  async during(what: string, event: () => Promise<unknown>): Promise<LoadReport> {
    this.take();
    const began = performance.now();
    await event();
    await sleep(3_000);
    const report = this.take();
    const seconds = ((performance.now() - began) / 1000).toFixed(1);
    const others = Object.entries(report.otherFailures).map(([reason, count]) => `${count} times ${reason}`);
    console.info(
      `${what}: ${report.created} Pods created in ${seconds} s (median ${report.medianMs} ms, slowest ` +
        `${report.slowestMs} ms), ${report.webhookFailures.length} failed by the webhook` +
        (others.length === 0 ? '' : `; not by it: ${others.join('; ')}`),
    );
    return report;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#workers);
  }
}

const emptyReport = () => ({
  times: [] as number[],
  webhookFailures: [] as string[],
  otherFailures: {} as Record<string, number>,
});

function note({ webhookFailures, otherFailures }: ReturnType<typeof emptyReport>, { on, reason }: Blame): void {
  if (on === 'podpass') webhookFailures.push(reason);
  else otherFailures[reason] = (otherFailures[reason] ?? 0) + 1;
}
