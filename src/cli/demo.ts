import { randomUUID } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createFilesSource } from '../../discovery/key-source/files.ts';
import { startDiscovery } from '../../discovery/server.ts';
import type { AdmissionResponse } from '../../webhook/admission-review.ts';
import { startWebhook } from '../../webhook/server.ts';
import type { ServiceAccountSource } from '../../webhook/service-accounts.ts';
import type { CommandSettings } from '../catalog/commands.ts';
import { settingRows } from '../catalog/settings.ts';
import { parsed } from '../codec.ts';
import { Failure, messageOf } from '../fault.ts';
import type { AddOperation } from '../json-patch.ts';
import { silentLog } from '../log.ts';
import { httpGet, httpPostJson } from '../runtime/http.ts';
import { firstSignal } from '../runtime/lifecycle.ts';
import { createMetrics } from '../runtime/metrics.ts';
import type { Service } from '../runtime/service.ts';
import { createDevelopmentIssuer, type DevelopmentIssuer } from './demo/development-issuer.ts';
import { POD, SERVICE_ACCOUNT } from './demo/manifests.ts';
import { applyAndDiff } from './diff.ts';
import { type ManifestObject, readManifests } from './manifest-file.ts';
import type { Terminal } from './terminal.ts';
import { verifyToken } from './verify.ts';

/** Everything that runs in the demo, and where. */
interface Stage {
  readonly issuer: string;
  readonly mutateUrl: string;
  /** The CA of both services, PEM, and its file. */
  readonly ca: string;
  readonly caFile: string;
  readonly manifestFile: string;
  readonly tokenFile: string;
  readonly development: DevelopmentIssuer;
}

const AUDIENCE = 'https://api.example.com';

export async function runDemo({ once }: CommandSettings<'demo'>, terminal: Terminal): Promise<number> {
  const signal = firstSignal();
  const folder = await mkdtemp(join(tmpdir(), 'podpass-demo-'));
  const services: Service[] = [];
  try {
    const stage = await start(folder, services);
    await walk(stage, createPrinter(terminal));
    if (!once) {
      farewell(stage, terminal);
      await signal;
    }
    return 0;
  } finally {
    await Promise.all(services.map((service) => service.stop(1000)));
    await rm(folder, { recursive: true, force: true });
  }
}

// ---- the stage -------------------------------------------------------------------------------------------------------

async function start(folder: string, services: Service[]): Promise<Stage> {
  const development = await createDevelopmentIssuer();
  const keyFile = join(folder, 'service-account.pub');
  const caFile = join(folder, 'ca.crt');
  const manifestFile = join(folder, 'shop.yaml');
  await Promise.all([
    writeFile(keyFile, development.publicKey),
    writeFile(caFile, development.ca.cert),
    writeFile(manifestFile, `${SERVICE_ACCOUNT}---\n${POD}`),
  ]);
  const common = {
    address: '127.0.0.1',
    port: 0,
    metricsPort: 0,
    pair: development.server,
    log: silentLog,
  };
  // The issuer's URL has the port in it, which is known only when the service listens.
  let tellIssuer: (issuer: string) => void = () => {};
  const told = new Promise<string>((resolve) => {
    tellIssuer = resolve;
  });
  const discovery = await startDiscovery({
    ...common,
    issuers: [
      {
        issuer: () => told,
        sources: [createFilesSource({ paths: [keyFile] })],
        pollIntervalMs: 60_000,
        holdDownMs: 0,
        revoked: [],
        cacheMaxAgeSeconds: 300,
      },
    ],
    clock: Date.now,
    metrics: createMetrics('discovery'),
  });
  services.push(discovery);
  const issuer = `https://localhost:${discovery.port}`;
  tellIssuer(issuer);
  await untilReady(discovery);
  const settings = {
    annotationPrefix: settingRows.annotationPrefix.default,
    mountPath: settingRows.mountPath.default,
    tokenExpiration: parsed(settingRows.tokenExpiration.codec, settingRows.tokenExpiration.default),
    presets: [],
    reservedAudiences: new Set([issuer]),
  };
  const webhook = await startWebhook({
    ...common,
    settings: () => settings,
    serviceAccounts: embeddedServiceAccounts(),
    synced: () => true,
    metrics: createMetrics('webhook'),
  });
  services.push(webhook);
  return {
    issuer,
    mutateUrl: `https://localhost:${webhook.port}/mutate`,
    ca: development.ca.cert,
    caFile,
    manifestFile,
    tokenFile: join(folder, 'token.jwt'),
    development,
  };
}

/** The one ServiceAccount of the demo, where a cluster has its API server. */
function embeddedServiceAccounts(): ServiceAccountSource {
  const object = readOne(SERVICE_ACCOUNT);
  const { annotations } = object.value.metadata as { annotations: Record<string, string> };
  return {
    async get(namespace, name) {
      if (namespace !== object.namespace || name !== object.name) return { found: false, source: 'live' };
      return { found: true, source: 'cache', serviceAccount: { namespace, name, annotations } };
    },
  };
}

function readOne(manifest: string): ManifestObject {
  const [object] = readManifests(manifest, 'the demo').objects;
  if (object === undefined) throw new TypeError('the manifest is empty');
  return object;
}

async function untilReady({ metricsPort }: Service): Promise<void> {
  const url = `http://127.0.0.1:${metricsPort}/readyz`;
  for (const deadline = Date.now() + 5_000; ; await new Promise((resolve) => setTimeout(resolve, 20))) {
    try {
      await httpGet(url, { accept: 'text/plain' });
      return;
    } catch (error) {
      if (Date.now() > deadline) throw error;
    }
  }
}

// ---- the walk --------------------------------------------------------------------------------------------------------

interface Printer {
  step(text: string): void;
  line(text: string): void;
  added(text: string): void;
  good(text: string): void;
  refused(text: string): void;
}

function createPrinter({ out, colours }: Terminal): Printer {
  const paint = (code: number, text: string) => (colours ? `\u001b[${code}m${text}\u001b[0m` : text);
  let steps = 0;
  return {
    step(text) {
      steps += 1;
      out(`${paint(1, `${steps}. ${text}`)}\n`);
    },
    line: (text) => out(`   ${text}\n`),
    added: (text) => out(`   ${paint(32, text)}\n`),
    good: (text) => out(`   ${paint(32, 'accepted')}  ${text}\n`),
    refused: (text) => out(`   ${paint(31, 'refused')}   ${text}\n`),
  };
}

/** The way of one Pod, each step checked; throws a Failure at the first that goes wrong. */
async function walk(stage: Stage, print: Printer): Promise<void> {
  print.step('A Pod and its ServiceAccount ask for identities, an annotation each');
  for (const line of annotationLines(SERVICE_ACCOUNT)) print.line(`ServiceAccount shop/web  ${line}`);
  for (const line of annotationLines(POD)) print.line(`Pod shop/web-…           ${line}`);

  const pod = await admitted(stage, print);
  const tokens = await minted(stage, pod);
  print.step('Anyone verifies them, knowing only the issuer URL');
  for (const { audience, token } of tokens) {
    const claims = await verifyToken(token, { issuer: stage.issuer, audience, ca: [stage.ca] });
    const minutes = ((claims.exp ?? 0) - (claims.iat ?? 0)) / 60;
    print.good(`${claims.sub} towards ${audience}, for ${minutes} minutes`);
  }
  const [first] = tokens;
  if (first === undefined) throw new Failure('the webhook added no token');
  await writeFile(stage.tokenFile, first.token, { mode: 0o600 });

  print.step('What is wrong is refused, with the reason');
  print.refused(
    await refusal(
      verifyToken(first.token, { issuer: stage.issuer, audience: 'https://other.example.com', ca: [stage.ca] }),
    ),
  );
  const denied = await review(stage, POD.replace('expiration.vault: 10m', 'expiration.vault: 5 minutes'));
  if (denied.response.allowed) throw new Failure('a Pod with a wrong annotation was admitted');
  print.refused(`the webhook: ${denied.response.status?.message}`);
}

/** Sends the Pod through the webhook, and shows what was added. */
async function admitted(stage: Stage, print: Printer): Promise<ManifestObject> {
  const pod = readOne(POD);
  const { response } = await review(stage, POD);
  if (!response.allowed || response.patch === undefined) throw new Failure('the webhook added nothing');
  const patch = JSON.parse(Buffer.from(response.patch, 'base64').toString()) as AddOperation[];
  print.step(`The webhook adds what they ask for (POST ${stage.mutateUrl})`);
  const [, , ...lines] = applyAndDiff(pod, patch, 1).trimEnd().split('\n');
  for (const line of lines) {
    if (line.startsWith('+')) print.added(line);
    else if (!line.startsWith('@')) print.line(line);
  }
  return pod;
}

interface MintedToken {
  readonly audience: string;
  readonly token: string;
}

interface ProjectedVolume {
  readonly projected?: {
    readonly sources: readonly {
      readonly serviceAccountToken: { readonly audience: string; readonly expirationSeconds: number };
    }[];
  };
}

/** What the kubelet does for the volumes of an admitted Pod: one token for each source. */
function minted({ issuer, development }: Stage, pod: ManifestObject): Promise<MintedToken[]> {
  const { spec } = pod.toJSON() as { spec: { volumes: ProjectedVolume[] } };
  const sources = spec.volumes.flatMap(({ projected }) => projected?.sources ?? []);
  return Promise.all(
    sources.map(async ({ serviceAccountToken: { audience, expirationSeconds } }) => ({
      audience,
      token: await development.mint({
        issuer,
        namespace: pod.namespace,
        serviceAccount: 'web',
        pod: `${pod.name}x2x7q`,
        audience,
        expirationSeconds,
      }),
    })),
  );
}

interface Answer {
  readonly response: Omit<AdmissionResponse, 'patch'> & {
    readonly patch?: string;
    readonly status?: { readonly message: string };
  };
}

/** Sends a Pod to the webhook as the API server would, over TLS. */
async function review({ mutateUrl, ca }: Stage, manifest: string): Promise<Answer> {
  const pod = readOne(manifest);
  const body = {
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    request: {
      uid: randomUUID(),
      kind: { group: '', version: 'v1', kind: 'Pod' },
      resource: { group: '', version: 'v1', resource: 'pods' },
      namespace: pod.namespace,
      operation: 'CREATE',
      object: pod.value,
    },
  };
  return JSON.parse((await httpPostJson(mutateUrl, body, { ca: [ca], accept: 'application/json' })).toString());
}

/** Why something was refused; a Failure where it was not. */
async function refusal(attempt: Promise<unknown>): Promise<string> {
  let reason: string | undefined;
  await attempt.catch((error: unknown) => {
    reason = messageOf(error);
  });
  if (reason === undefined) throw new Failure('a token was accepted that should have been refused');
  return reason;
}

function annotationLines(manifest: string): string[] {
  return manifest.split('\n').flatMap((line) => (line.trim().startsWith('podpass.dev/') ? [line.trim()] : []));
}

function farewell(stage: Stage, { out }: Terminal): void {
  const lines = [
    '',
    'Both services go on until Ctrl-C. To try by hand:',
    `  curl --cacert ${stage.caFile} ${stage.issuer}/.well-known/openid-configuration`,
    `  curl --cacert ${stage.caFile} ${stage.issuer}/openid/v1/jwks`,
    `  node dist/podpass.js verify - < ${stage.tokenFile} --ca ${stage.caFile} \\`,
    `    --issuer ${stage.issuer} --audience ${AUDIENCE}`,
    `  node dist/podpass.js mutate -f ${stage.manifestFile} -o diff`,
    '',
  ];
  out(lines.join('\n'));
}
