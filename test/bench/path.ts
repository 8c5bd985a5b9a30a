/** How much later a Pod is there, on a real API server: without a webhook, with a bare one, with podpass. */
import { kubeconfigOf } from '../cluster/podpass.ts';
import { readAnswer } from './admission/answer.ts';
import { cases } from './admission/cases.ts';
import type { Bench } from './bench.ts';
import { requestBytes } from './load/request.ts';
import type { Result } from './result.ts';
import { answerWith, startFloor } from './servers/floor.ts';
import { startPodpass } from './servers/podpass-process.ts';
import { median, quantileOf, spread } from './statistics.ts';

const PART = 'path';
const CASE = 'creation of a Pod';
const LABEL = 'bench.podpass.dev/webhook';
const NAMES = ['no webhook', 'echo webhook', 'podpass'] as const;
/** What podpass may take longer than a webhook that answers ready bytes. */
const GOAL_MS = 0.3;
/** Differences are taken between medians of so many creations. */
const IN_ONE_ROUND = 20;

export async function path(bench: Bench): Promise<Result[]> {
  const { controlPlane, generator, guardian, tls } = bench;
  if (!controlPlane) return [{ ratios: [], figures: [], notes: [`${PART} is left out; --cluster has it measured`] }];
  // Not pinned: the API server, etcd and a webhook take part in each creation.
  const spawning = { guardian };
  const kubeconfig = await kubeconfigOf(controlPlane, 'webhook');
  const flags = ['--kubeconfig', kubeconfig, '--tls-cert', tls.certFile, '--tls-key', tls.keyFile];
  const podpass = await startPodpass('webhook', flags, spawning);
  const echo = await startFloor('uid', tls, spawning);

  const one = cases.find(({ name }) => name === 'one token');
  if (one === undefined) throw new Error('there is no case with one token');
  const turns: { target: string; request: Buffer }[] = [];
  const port = Number(new URL(controlPlane.url).port);
  await generator.connect(PART, port, controlPlane.caPem, 1);
  for (const name of NAMES) {
    const namespace = `bench-${name.replace(' ', '-')}`;
    await controlPlane.createNamespace(namespace, { labels: { [LABEL]: namespace } });
    await controlPlane.createServiceAccount(namespace, one.account.name ?? '', one.account.annotations);
    const body = Buffer.from(JSON.stringify(podOf(one.body, namespace)));
    const headers = { Authorization: `Bearer ${controlPlane.adminToken}` };
    const url = `/api/v1/namespaces/${namespace}/pods?dryRun=All`;
    turns.push({ target: PART, request: requestBytes('POST', url, { headers, body }) });
    const running = { 'no webhook': undefined, 'echo webhook': echo, podpass }[name];
    if (running === undefined) continue;
    await controlPlane.registerWebhook({
      name: namespace,
      url: `https://127.0.0.1:${running.port}/mutate`,
      caPem: tls.ca,
      failurePolicy: 'Fail',
      namespaceSelector: { matchLabels: { [LABEL]: namespace } },
    });
  }
  await generator.connect('podpass', podpass.port, tls.ca, 1);
  const request = requestBytes('POST', '/mutate', { body: inNamespace(one.body, 'bench-podpass') });
  const { answer } = readAnswer(await generator.once('podpass', request));
  await answerWith(echo, answer);
  const patched = async (turn: (typeof turns)[number] | undefined) => {
    const created = turn && (await generator.once(turn.target, turn.request));
    return created?.body.includes('podpass-tokens') ?? false;
  };
  for (const [i, expected] of [false, true, true].entries()) {
    if ((await patched(turns[i])) !== expected) throw new Error(`${NAMES[i]}: the Pod is not as it should be`);
  }

  await generator.turns(turns, Math.ceil(bench.plan.warmUp / 10));
  const rounds = bench.starts * bench.plan.rounds;
  const medians: number[][] = NAMES.map(() => []);
  const times: number[][] = NAMES.map(() => []);
  for (let i = 0; i < rounds; i++) {
    for (const [at, ms] of (await generator.turns(turns, IN_ONE_ROUND)).entries()) {
      medians[at]?.push(median(ms));
      times[at]?.push(...ms);
    }
  }
  await generator.disconnect(PART);
  await generator.disconnect('podpass');
  for (const name of NAMES.slice(1)) await controlPlane.deleteWebhook(`bench-${name.replace(' ', '-')}`);
  for (const { process } of [podpass, echo]) await process.stop();

  return [tell(medians, times)];
}

/** Milliseconds by candidate: the medians of the rounds, and of every creation. */
function tell(medians: readonly (readonly number[])[], times: readonly (readonly number[])[]): Result {
  const [none = [], bare = [], own = []] = medians;
  const over = (floor: readonly number[]) => spread(own.map((each, i) => each - (floor[i] ?? Number.NaN)));
  const figures = NAMES.map((candidate, i) => ({
    part: PART,
    case: CASE,
    candidate,
    values: { 'p50 ms': median(times[i] ?? []), 'p99 ms': quantileOf(times[i] ?? [], 0.99) },
  }));
  const differences = [none, bare].map((floor, i) => {
    const { median: ms, low, high } = over(floor);
    const values = { 'more ms': ms, 'more ms, low': low, 'more ms, high': high };
    return { part: PART, case: CASE, candidate: `podpass, more than ${NAMES[i]}`, values };
  });
  const ratios = [none, bare].map((floor, i) => ({
    part: PART,
    case: CASE,
    against: NAMES[i] ?? '',
    measure: 'p50',
    kept: false,
    ...spread(own.map((each, at) => (floor[at] ?? Number.NaN) / each)),
  }));
  const more = over(bare).median;
  const met = more <= GOAL_MS ? 'met' : 'MISSED';
  const note = `${PART}: podpass takes ${more.toFixed(2)} ms more than ${NAMES[1]}; at most ${GOAL_MS} ms is the goal: ${met}`;
  return { ratios, figures: [...figures, ...differences], notes: [note] };
}

interface Review {
  request: { namespace: string; object: { metadata: { namespace: string; managedFields?: unknown } } };
}

function inNamespace(body: Buffer, namespace: string): Buffer {
  const review = JSON.parse(body.toString()) as Review;
  review.request.namespace = namespace;
  review.request.object.metadata.namespace = namespace;
  return Buffer.from(JSON.stringify(review));
}

/** The Pod of a review, as a client would send it. */
function podOf(body: Buffer, namespace: string): object {
  const pod = (JSON.parse(inNamespace(body, namespace).toString()) as Review).request.object;
  delete pod.metadata.managedFields;
  return pod;
}
