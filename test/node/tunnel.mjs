/**
 * The end of the tunnel in the node's network: `tunnel.mjs SOCKET` takes connections on a Unix socket, which both sides
 * can reach, reads a first line `HOST PORT`, connects there, and passes bytes on.
 */
import { connect, createServer } from 'node:net';

const socketPath = process.argv[2];

createServer({ allowHalfOpen: true }, (incoming) => {
  incoming.on('error', () => incoming.destroy());
  let head = Buffer.alloc(0);
  incoming.on('data', function onHead(chunk) {
    head = Buffer.concat([head, chunk]);
    const end = head.indexOf(0x0a);
    if (end < 0) return;
    incoming.off('data', onHead).pause();
    const [host, port] = head.subarray(0, end).toString().split(' ');
    const outgoing = connect({ host, port: Number(port), allowHalfOpen: true });
    outgoing.on('error', () => incoming.destroy());
    outgoing.on('close', () => incoming.destroy());
    incoming.on('close', () => outgoing.destroy());
    outgoing.on('connect', () => {
      outgoing.write(head.subarray(end + 1));
      incoming.pipe(outgoing);
      outgoing.pipe(incoming);
    });
  });
}).listen(socketPath);
