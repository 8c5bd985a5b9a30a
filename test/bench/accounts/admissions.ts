/** Reviews for the webhook, as the API server sends them. */
import { Agent, request } from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';
import { placeOf } from './load.ts';
import type { MeasuredWebhook } from './measured-webhook.ts';

export interface Admissions {
  readonly sent: number;
  /** Answers that were not HTTP 200. */
  readonly failed: number;
  readonly p99: number;
  readonly max: number;
}

interface Pace {
  readonly parallel: number;
  /** Between two of one connection. */
  readonly pauseMs: number;
  /** Asked before each: whether to go on, after so many. */
  readonly goOn: (sent: number) => boolean;
}

/** Sends reviews of Pods of the first `accounts` ServiceAccounts, one after the other. */
export async function admissions(webhook: MeasuredWebhook, accounts: number, pace: Pace): Promise<Admissions> {
  const agent = new Agent({ keepAlive: true, ca: webhook.ca, maxSockets: pace.parallel });
  const times: number[] = [];
  let [sent, failed] = [0, 0];
  const one = async () => {
    while (pace.goOn(sent)) {
      const body = review(sent++, Math.max(1, accounts));
      const began = performance.now();
      if ((await post(webhook.port, agent, body)) !== 200) failed += 1;
      times.push(performance.now() - began);
      if (pace.pauseMs > 0) await sleep(pace.pauseMs);
    }
  };
  await Promise.all(Array.from({ length: pace.parallel }, one));
  agent.destroy();
  times.sort((a, b) => a - b);
  return { sent, failed, p99: times[Math.floor(times.length * 0.99)] ?? Number.NaN, max: times.at(-1) ?? Number.NaN };
}

function review(i: number, accounts: number): string {
  // A step that shares no factor with the sizes visits all of them, far apart.
  const { namespace, name } = placeOf((i * 7919) % accounts);
  const container = { image: 'registry.example.com/checkout:1.27.3', env: [{ name: 'LOG_LEVEL', value: 'info' }] };
  const object = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { generateName: 'checkout-7d9c5b8f6-', namespace, labels: { app: 'checkout' } },
    spec: { serviceAccountName: name, containers: ['app', 'proxy'].map((each) => ({ name: each, ...container })) },
  };
  return JSON.stringify({
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    request: {
      uid: `bench-${i}`,
      kind: { group: '', version: 'v1', kind: 'Pod' },
      resource: { group: '', version: 'v1', resource: 'pods' },
      namespace,
      operation: 'CREATE',
      object,
    },
  });
}

function post(port: number, agent: Agent, body: string): Promise<number | undefined> {
  return new Promise((fulfil, reject) => {
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
    request({ host: '127.0.0.1', port, path: '/mutate?timeout=5s', method: 'POST', agent, headers }, (answer) => {
      answer.resume().on('end', () => fulfil(answer.statusCode));
    })
      .on('error', reject)
      .end(body);
  });
}
