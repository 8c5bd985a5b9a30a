// What podpass costs, as ratios to floors measured in the same run: numbers of one machine mean nothing on another. The
// candidates take turns, so that what disturbs one disturbs all. `--json` prints the result for programs.
import { Agent as HttpAgent, request as httpRequest, type RequestListener } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { parseArgs } from 'node:util';
import { createDiscoveryApp } from '../../discovery/app.ts';
import { createDocuments } from '../../discovery/document.ts';
import { publicKeysFromPem } from '../../discovery/read-keys.ts';
import { createRoutes } from '../../discovery/routes.ts';
import { createDevelopmentIssuer } from '../../src/cli/demo/development-issuer.ts';
import { POD } from '../../src/cli/demo/manifests.ts';
import { readManifests } from '../../src/cli/manifest-file.ts';
import { silentLog } from '../../src/log.ts';
import { type Listener, listen } from '../../src/runtime/listener.ts';
import { parseReview, writeReview } from '../../webhook/admission-review.ts';
import { admit } from '../../webhook/admit.ts';
import { createWebhookApp } from '../../webhook/app.ts';

const { values } = parseArgs({
  options: { json: { type: 'boolean', default: false }, rounds: { type: 'string', default: '7' } },
});
const ROUNDS = Number(values.rounds);
const ROUND_MS = 400;
const PARALLEL = 8;

/** Does one unit of work. */
type Work = () => unknown | Promise<unknown>;

/** A candidate and the floor that it is divided by, with as many units at once as a client would have under way. */
interface Comparison {
  readonly name: string;
  readonly floorName: string;
  readonly parallel: number;
  readonly candidate: Work;
  readonly floor: Work;
}

/** Units a second. */
async function rate(work: Work, parallel: number): Promise<number> {
  const started = performance.now();
  let done = 0;
  await Promise.all(
    Array.from({ length: parallel }, async () => {
      while (performance.now() - started < ROUND_MS) {
        await work();
        done += 1;
      }
    }),
  );
  return (done * 1000) / (performance.now() - started);
}

const median = (numbers: readonly number[]) =>
  numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? Number.NaN;

async function compare({ name, floorName, parallel, candidate, floor }: Comparison) {
  await rate(candidate, parallel);
  await rate(floor, parallel);
  const rates = { candidate: [] as number[], floor: [] as number[] };
  for (let round = 0; round < ROUNDS; round++) {
    rates.candidate.push(await rate(candidate, parallel));
    rates.floor.push(await rate(floor, parallel));
  }
  // Time for a unit against the floor's, round by round.
  const ratios = rates.candidate.map((each, round) => (rates.floor[round] ?? Number.NaN) / each);
  return {
    name,
    floor: floorName,
    ratio: median(ratios),
    lowest: Math.min(...ratios),
    highest: Math.max(...ratios),
    perSecond: median(rates.candidate),
    floorPerSecond: median(rates.floor),
  };
}

// ---- candidates ------------------------------------------------------------------------------------------------------

const issuer = await createDevelopmentIssuer();
const pod = readManifests(POD, 'the bench').objects[0]?.value;
const request = {
  uid: 'bench',
  kind: { group: '', version: 'v1', kind: 'Pod' },
  resource: { group: '', version: 'v1', resource: 'pods' },
  namespace: 'shop',
  operation: 'CREATE',
  object: pod,
};
const body = Buffer.from(JSON.stringify({ apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', request }));
const settings = {
  annotationPrefix: 'podpass.dev',
  mountPath: '/var/run/secrets/podpass.dev/tokens',
  tokenExpiration: 3600,
  reservedAudiences: new Set<string>(),
  presets: [],
};
const serviceAccount = {
  namespace: 'shop',
  name: 'web',
  annotations: { 'podpass.dev/audiences': 'https://api.example.com' },
};
const source = { get: async () => ({ found: true, source: 'cache', serviceAccount }) as const };
const answer = async () => {
  const parsedRequest = parseReview(body);
  return writeReview(parsedRequest, (await admit(parsedRequest, source, settings)).response);
};

const documents = createDocuments('https://issuer.example.com', publicKeysFromPem(issuer.publicKey, 'bench').keys);
const listeners: Listener[] = [];
const agents: (HttpAgent | HttpsAgent)[] = [];

/** A server of its own on loopback, and a client that asks it over connections that stay open. */
async function client(handler: RequestListener, tls: boolean, path: string, post?: Buffer): Promise<Work> {
  const pair = { tls: issuer.server };
  const listener = await listen({ handler, address: '127.0.0.1', port: 0, ...(tls ? pair : {}) });
  listeners.push(listener);
  const agent = tls ? new HttpsAgent({ keepAlive: true, ca: issuer.ca.cert }) : new HttpAgent({ keepAlive: true });
  agents.push(agent);
  const headers = post === undefined ? {} : { 'Content-Type': 'application/json', 'Content-Length': post.length };
  const options = {
    agent,
    host: 'localhost',
    port: listener.port,
    path,
    method: post === undefined ? 'GET' : 'POST',
    headers,
  };
  return () =>
    new Promise<void>((resolve, reject) => {
      const sent = (tls ? httpsRequest : httpRequest)(options, (response) => {
        if (response.statusCode !== 200) reject(new Error(`the answer is ${response.statusCode}`));
        response.resume().on('end', resolve);
      });
      sent.on('error', reject).end(post);
    });
}

const webhook = createWebhookApp({
  admit: (each) => admit(each, source, settings),
  onAdmission() {},
  log: silentLog,
});
const routes = createRoutes([
  { issuer: 'https://issuer.example.com', documents: () => documents, cacheMaxAgeSeconds: 300 },
]);
const discovery = createDiscoveryApp({
  routes: () => routes,
  complete: () => true,
  log: silentLog,
});
/** Reads the body and answers with bytes that were ready before. */
const echo =
  (bytes: Buffer): RequestListener =>
  (incoming, response) => {
    incoming.resume().on('end', () => response.writeHead(200, { 'Content-Length': bytes.length }).end(bytes));
  };

const comparisons: Comparison[] = [
  {
    name: 'admission of a Pod, in the process',
    floorName: 'JSON.parse and JSON.stringify of the review',
    parallel: 1,
    candidate: answer,
    floor: () => JSON.stringify(JSON.parse(body.toString())),
  },
  {
    name: 'POST /mutate over TLS',
    floorName: 'a bare https server that answers the same bytes',
    parallel: PARALLEL,
    candidate: await client(webhook, true, '/mutate?timeout=5s', body),
    floor: await client(echo(Buffer.from(await answer())), true, '/', body),
  },
  {
    name: 'GET /openid/v1/jwks',
    floorName: 'a bare http server that answers the same bytes',
    parallel: PARALLEL,
    candidate: await client(discovery, false, '/openid/v1/jwks'),
    floor: await client(echo(documents.jwks.bytes), false, '/'),
  },
];

const results = [];
for (const comparison of comparisons) results.push(await compare(comparison));
for (const agent of agents) agent.destroy();
await Promise.all(listeners.map((listener) => listener.close(0)));

if (values.json) console.log(JSON.stringify({ node: process.version, rounds: ROUNDS, results }, undefined, 2));
else {
  console.log(
    `Node ${process.version}; time for one unit against the floor's, median of ${ROUNDS} rounds (lowest to highest)\n`,
  );
  for (const { name, floor, ratio, lowest, highest, perSecond, floorPerSecond } of results) {
    console.log(
      `${ratio.toFixed(2)} (${lowest.toFixed(2)} to ${highest.toFixed(2)})  ${name}, ${Math.round(perSecond)}/s`,
    );
    console.log(`  against ${floor}, ${Math.round(floorPerSecond)}/s`);
  }
}
