// connections.mjs PORT MS: bursts of 600 reviews at once, each on a new connection, one burst after the other.
import { Agent, request } from 'node:https';

const [port, ms] = process.argv.slice(2).map(Number);
const PARALLEL = 600;
const counts = { parallel: PARALLEL, bursts: 0, answered: 0, toldToWait: 0, refused: 0, broken: 0, longestMs: 0 };

const review = (uid) =>
  JSON.stringify({
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    request: {
      uid,
      kind: { group: '', version: 'v1', kind: 'Pod' },
      resource: { group: '', version: 'v1', resource: 'pods' },
      namespace: 'shop',
      operation: 'CREATE',
      object: {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { generateName: 'burst-', namespace: 'shop' },
        spec: { serviceAccountName: 'web', containers: [{ name: 'app', image: 'app:1' }] },
      },
    },
  });

function one(agent, uid) {
  const began = performance.now();
  return new Promise((done) => {
    const options = {
      port,
      host: '127.0.0.1',
      path: '/mutate?timeout=3s',
      method: 'POST',
      agent,
      rejectUnauthorized: false,
    };
    const outgoing = request({ ...options, headers: { 'content-type': 'application/json' } }, (incoming) => {
      if (incoming.statusCode === 200) counts.answered += 1;
      else if (incoming.statusCode === 429) counts.toldToWait += 1;
      else counts.refused += 1;
      incoming.resume();
      incoming.on('close', done);
    });
    outgoing.on('error', () => {
      counts.broken += 1;
      done();
    });
    outgoing.end(review(uid));
  }).then(() => {
    counts.longestMs = Math.max(counts.longestMs, Math.round(performance.now() - began));
  });
}

const end = performance.now() + ms;
do {
  const agent = new Agent({ keepAlive: false, maxSockets: Number.POSITIVE_INFINITY });
  await Promise.all(Array.from({ length: PARALLEL }, (_, i) => one(agent, `burst-${counts.bursts}-${i}`)));
  counts.bursts += 1;
} while (performance.now() < end);
console.log(JSON.stringify(counts));
