// slow-sockets.mjs PORT MS: holds 500 connections, each opened again when it is cut. In turn one says nothing, one ends its
// TLS handshake and says nothing, one sends a byte of a header each second, and one a byte of a body.
import { connect } from 'node:net';
import { connect as connectTls } from 'node:tls';

const [port, ms] = process.argv.slice(2).map(Number);
const SOCKETS = 500;
const counts = { sockets: SOCKETS, opened: 0, cut: 0, most: 0 };
const open = new Set();
let over = false;

const BEGINNINGS = {
  header: 'POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nX-Slow: ',
  body: 'POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n',
};

function start(kind) {
  if (over) return;
  counts.opened += 1;
  const to = { port, host: '127.0.0.1', rejectUnauthorized: false };
  const socket = kind === 'tcp' ? connect(to) : connectTls(to);
  open.add(socket);
  counts.most = Math.max(counts.most, open.size);
  let trickle;
  const beginning = BEGINNINGS[kind];
  if (beginning !== undefined) {
    socket.once('secureConnect', () => {
      socket.write(beginning);
      trickle = setInterval(() => socket.write('x'), 1_000);
    });
  }
  socket.resume();
  socket.on('error', () => undefined);
  socket.on('close', () => {
    clearInterval(trickle);
    open.delete(socket);
    if (over) return;
    counts.cut += 1;
    setTimeout(() => start(kind), 100);
  });
}

const kinds = ['tcp', 'tls', 'header', 'body'];
for (let i = 0; i < SOCKETS; i++) start(kinds[i % kinds.length]);
setTimeout(() => {
  over = true;
  for (const socket of open) socket.destroy();
  console.log(JSON.stringify(counts));
}, ms);
