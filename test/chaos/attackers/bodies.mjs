// bodies.mjs PORT MS: four clients send bodies of 25 MB all the time, two of them without saying how long they are.
import { request } from 'node:https';

const [port, ms] = process.argv.slice(2).map(Number);
const CHUNK = Buffer.alloc(1_000_000, '{"a":');
const CHUNKS = 25;
const counts = { sent: 0, refused: 0, broken: 0, accepted: 0 };

function one(withLength) {
  return new Promise((done) => {
    const options = {
      port,
      host: '127.0.0.1',
      path: '/mutate',
      method: 'POST',
      agent: false,
      rejectUnauthorized: false,
    };
    const headers = {
      'content-type': 'application/json',
      ...(withLength ? { 'content-length': CHUNK.length * CHUNKS } : {}),
    };
    let answered = false;
    const outgoing = request({ ...options, headers }, (incoming) => {
      answered = true;
      if (incoming.statusCode >= 400) counts.refused += 1;
      else counts.accepted += 1;
      incoming.resume();
    });
    outgoing.on('error', () => {
      // After the answer the connection is closed, whatever else was to be sent.
      if (!answered) counts.broken += 1;
    });
    outgoing.on('close', done);
    counts.sent += 1;
    let left = CHUNKS;
    const more = () => {
      while (left > 0 && !outgoing.destroyed) {
        left -= 1;
        if (!outgoing.write(CHUNK)) return void outgoing.once('drain', more);
      }
      outgoing.end();
    };
    more();
  });
}

const end = performance.now() + ms;
await Promise.all(
  [true, true, false, false].map(async (withLength) => {
    while (performance.now() < end) await one(withLength);
  }),
);
console.log(JSON.stringify(counts));
