/** What is profiled. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { serviceAccountKeyPair } from '../../cluster/control-plane.ts';
import type { Account } from '../../unit/service-accounts/protobuf-writer.ts';
import { ANNOTATED_EACH, placeOf } from '../accounts/load.ts';
import { cases } from '../admission/cases.ts';
import { differences } from '../admission/differences.ts';
import type { Bench } from '../bench.ts';
import type { Counter } from '../load/counter.ts';
import { requestBytes } from '../load/request.ts';
import { ApiDouble } from '../servers/api-double.ts';
import { type Running, startPodpass } from '../servers/podpass-process.ts';
import type { CpuProfile } from './self-time.ts';

export const SCENES = ['admission', 'discovery', 'accounts'] as const;

export const isScene = (name: string): name is (typeof SCENES)[number] => SCENES.some((each) => each === name);

export interface Extent {
  /** Of load, once it is warm. */
  readonly ms: number;
  /** ServiceAccounts to be read. */
  readonly accounts: number;
}

type Scene = (bench: Bench, extent: Extent) => Promise<CpuProfile>;

export const scenes: Readonly<Record<(typeof SCENES)[number], Scene>> = { admission, discovery, accounts };

const SLICE_MS = 200;

/** All cases but the big one, in turns. */
async function admission(bench: Bench, { ms }: Extent): Promise<CpuProfile> {
  const double = await ApiDouble.start(cases.map(({ account }) => account));
  const podpass = await startPodpass('webhook', await webhookFlags(bench, double), bench.spawning);
  const usual = cases.filter(({ name }) => !name.startsWith('big'));
  const requests = usual.map(({ body, templates }) => {
    const request = requestBytes('POST', '/mutate?timeout=10s', { body });
    return { request, counters: differences(request, templates) };
  });
  const profile = await loaded(bench, podpass, requests, ms);
  double.stop();
  return profile;
}

/** Both documents, in turns. */
async function discovery(bench: Bench, { ms }: Extent): Promise<CpuProfile> {
  const { folder, tls, spawning } = bench;
  const keys = join(folder, 'keys.pem');
  await writeFile(keys, serviceAccountKeyPair('rsa').publicPem);
  const flags = ['--issuer', 'https://issuer.example.com', '--keys', keys];
  const pair = ['--tls-cert', tls.certFile, '--tls-key', tls.keyFile];
  const podpass = await startPodpass('discovery', [...flags, ...pair], spawning);
  const paths = ['/openid/v1/jwks', '/.well-known/openid-configuration'];
  return loaded(
    bench,
    podpass,
    paths.map((path) => ({ request: requestBytes('GET', path), counters: [] })),
    ms,
  );
}

/** The whole start of the webhook, with so many ServiceAccounts to be read. */
async function accounts(bench: Bench, extent: Extent): Promise<CpuProfile> {
  const double = await ApiDouble.start(Array.from({ length: extent.accounts }, (_, i) => account(i)));
  const spawning = { ...bench.spawning, env: { PODPASS_BENCH_PROFILE: 'start' } };
  const podpass = await startPodpass('webhook', await webhookFlags(bench, double), spawning);
  const profile = await podpass.process.ask<CpuProfile>('profiled');
  await podpass.process.stop();
  double.stop();
  return profile;
}

function account(i: number): Account {
  const own = i % ANNOTATED_EACH === 0 ? { 'podpass.dev/audiences': `https://api-${i}.example.com, vault` } : {};
  const { namespace, name } = placeOf(i);
  const release = { 'meta.helm.sh/release-name': name, 'meta.helm.sh/release-namespace': namespace };
  return { namespace, name, annotations: { ...release, ...own } };
}

async function webhookFlags({ folder, tls }: Bench, double: ApiDouble): Promise<string[]> {
  const kubeconfig = join(folder, 'kubeconfig');
  await writeFile(kubeconfig, double.kubeconfig);
  return ['--kubeconfig', kubeconfig, '--tls-cert', tls.certFile, '--tls-key', tls.keyFile];
}

async function loaded(
  { generator, tls, plan }: Bench,
  podpass: Running,
  requests: readonly { readonly request: Buffer; readonly counters: readonly Counter[] }[],
  ms: number,
): Promise<CpuProfile> {
  await generator.connect('podpass', podpass.port, tls.ca);
  const turn = async () => {
    let sent = 0;
    for (const { request, counters } of requests)
      sent += (await generator.run('podpass', request, SLICE_MS, counters)).count;
    return sent;
  };
  for (let sent = 0; sent < plan.warmUp; ) sent += await turn();
  await podpass.process.ask('profile');
  const began = performance.now();
  while (performance.now() - began < ms) await turn();
  const profile = await podpass.process.ask<CpuProfile>('profiled');
  await generator.disconnect('podpass');
  await podpass.process.stop();
  return profile;
}
