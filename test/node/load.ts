/** Creates Pods all the time, and tells which creations failed and who is to blame. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { ApiResponse } from '../cluster/api-client.ts';
import type { ControlPlane, KubeObject } from '../cluster/control-plane.ts';
import { ourVolumes } from '../cluster/pods.ts';

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
const kinds = [
  { labels: { 'podpass.dev/inject': 'true' } },
  { annotations: { 'podpass.dev/audience.own': 'https://own.example.com' } },
];

/** Nobody schedules them; they may be created under restricted Pod Security. */
const podOf = (kind: object) => ({
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
  #stopped = false;
  #report = emptyReport();

  constructor(cluster: ControlPlane, namespace: string, parallel = 4) {
    this.#cluster = cluster;
    this.#namespace = namespace;
    this.#workers = Array.from({ length: parallel }, (_, i) => this.#work(podOf(kinds[i % kinds.length] ?? {})));
  }

  async #work(pod: object): Promise<void> {
    while (!this.#stopped) {
      const began = performance.now();
      const answer = await this.#cluster.createPod(this.#namespace, pod).catch((error: Error) => error);
      // Whoever asked for the report meanwhile gets this creation with the next one.
      const report = this.#report;
      if (answer instanceof Error || answer.status !== 201) {
        note(report, answer);
        await sleep(100);
        continue;
      }
      report.times.push(performance.now() - began);
      if (ourVolumes(answer.body).length === 0) report.webhookFailures.push('created without its tokens');
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

function note(report: ReturnType<typeof emptyReport>, answer: Error | ApiResponse<KubeObject>): void {
  const said = answer instanceof Error ? answer.message : `${answer.status} ${answer.body.message ?? answer.body}`;
  if (/webhook|podpass/.test(said)) report.webhookFailures.push(said);
  else {
    // Addresses and ports differ, the reason does not.
    const reason = said.replace(/[\d.]+:\d+/g, '…');
    report.otherFailures[reason] = (report.otherFailures[reason] ?? 0) + 1;
  }
}
