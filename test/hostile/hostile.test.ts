import { Agent, request } from 'node:https';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import jsonPatch, { type Operation } from 'fast-json-patch';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createMetrics } from '../../src/runtime/metrics.ts';
import type { Service } from '../../src/runtime/service.ts';
import { startWebhook } from '../../webhook/server.ts';
import { mutationSettings } from '../mutation-settings.ts';
import { serverCertificate, testCa } from '../unit/tls-material.ts';
import { type Case, cases, gains } from './cases.ts';

/** Generous: what it must not be is minutes, as for a search that tries every way, and machines are busy. */
const LONGEST_DELAY_MS = 10_000;
const MOST_MEMORY = 2 * 1024 ** 3;

const settings = mutationSettings({
  oauth2ProxyIssuer: 'https://issuer.example.com',
  presets: 'aws,azure,gcp',
  azureTenantId: 'tenant',
  reservedAudiences: 'apiserver',
});

let service: Service;
let agent: Agent;
let account: Readonly<Record<string, string>> = {};
const logged: string[] = [];
const delay = monitorEventLoopDelay({ resolution: 10 });
const slowest: { name: string; ms: number }[] = [];

beforeAll(async () => {
  const ca = testCa();
  const pair = { ...serverCertificate(ca), notBefore: Date.now(), notAfter: Date.now() + 3_600_000 };
  const note = (fields: object, message: string) => void logged.push(`${message} ${JSON.stringify(fields)}`);
  agent = new Agent({ ca: ca.cert, keepAlive: true });
  service = await startWebhook({
    ...{ address: '127.0.0.1', port: 0, metricsPort: 0, metrics: createMetrics('webhook'), pair },
    log: { debug: note, info: note, warn: note, error: note },
    settings: () => settings,
    serviceAccounts: {
      get: async (namespace, name) => ({
        found: true,
        source: 'cache',
        serviceAccount: { namespace, name, annotations: account },
      }),
    },
    synced: () => true,
  });
});
afterAll(async () => {
  agent.destroy();
  await service.stop(0);
  slowest.sort((a, b) => b.ms - a.ms);
  console.log('longest delays of the event loop, in ms:', slowest.slice(0, 5));
});

interface Reply {
  status: number;
  body: {
    error?: { code: string; message: string };
    response?: { uid: string; allowed: boolean; status?: { code: number; message: string }; patch?: string };
  };
}

function send(body: Buffer): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json', 'content-length': body.length };
    const options = { host: '127.0.0.1', port: service.port, agent, method: 'POST', path: '/mutate', headers };
    const outgoing = request(options, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk)).on('error', reject);
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, body: JSON.parse(Buffer.concat(chunks).toString()) }),
      );
    });
    outgoing.on('error', reject).end(body);
  });
}

const reviewOf = (object: string) =>
  `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"u","namespace":"shop","operation":"CREATE","object":${object}}}`;

function bytesOf({ pod, object, body }: Case): Buffer {
  const bytes = body?.() ?? reviewOf(object?.() ?? JSON.stringify(pod));
  return typeof bytes === 'string' ? Buffer.from(bytes) : bytes;
}

// biome-ignore lint/suspicious/noExplicitAny: any JSON
const objectIn = (bytes: Buffer): any => JSON.parse(bytes.toString()).request.object;

const UNREADABLE = /[\p{Cc}\u200b-\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]/u;

describe('what is sent to the webhook', () => {
  test('is a table with a name for each row', () => {
    expect(new Set(cases.map(({ name }) => name)).size).toBe(cases.length);
    expect(cases.length).toBeGreaterThan(60);
  });

  test.each(cases)(
    '$name, which tries $tries',
    async (row) => {
      account = row.account ?? {};
      const bytes = bytesOf(row);
      delay.reset();
      delay.enable();
      const reply = await send(bytes);
      delay.disable();
      slowest.push({ name: row.name, ms: Math.round(delay.max / 1e6) });
      const { expect: expected } = row;
      if ('status' in expected) {
        expect(reply).toMatchObject({
          status: expected.status,
          body: { error: { message: expect.stringMatching(/\S/) } },
        });
      } else {
        expect(reply.status, JSON.stringify(reply.body)).toBe(200);
        const { response } = reply.body;
        expect(response?.uid).toBe('u');
        if ('denied' in expected) {
          expect(response).toMatchObject({ allowed: false, status: { code: 422 } });
          const message = response?.status?.message ?? '';
          for (const part of expected.denied) expect(message).toContain(part);
          expect(message).toContain('; accepted: ');
          for (const line of message.split('\n')) expect(line).not.toMatch(UNREADABLE);
          expect(message.length).toBeLessThan(64 * 1024);
        } else {
          expect(response).toMatchObject({ allowed: true });
          const before = objectIn(bytes);
          const patch = JSON.parse(Buffer.from(response?.patch ?? 'W10=', 'base64').toString()) as Operation[];
          expect(patch.every(({ op }) => op === 'add')).toBe(true);
          const after = patch.length === 0 ? before : jsonPatch.applyPatch(objectIn(bytes), patch, true).newDocument;
          expect(gains(before, after)).toEqual(expected.gets);
        }
      }
      expect(delay.max / 1e6).toBeLessThan(LONGEST_DELAY_MS);
      expect(({} as Record<string, unknown>).inject).toBeUndefined();
    },
    120_000,
  );

  test('leaves a webhook that answers, within its memory', async () => {
    account = {};
    expect(await send(Buffer.from(reviewOf('{"spec":{}}')))).toMatchObject({
      status: 200,
      body: { response: { uid: 'u', allowed: true } },
    });
    const { rss } = process.memoryUsage();
    console.log(`resident memory after all of them: ${Math.round(rss / 1024 ** 2)} MiB`);
    expect(rss).toBeLessThan(MOST_MEMORY);
    expect(logged.filter((line) => line.startsWith('request failed'))).toEqual([]);
  });
});
