import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { get } from 'node:http';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, test } from 'vitest';
import { type Connections, trackConnections } from '../../src/runtime/connections.ts';

const clients: Socket[] = [];
afterEach(() => {
  for (const client of clients.splice(0)) client.destroy();
});

/** A client of that port, and whether it still has its connection. */
async function dial(port: number): Promise<{ client: Socket; open: () => boolean }> {
  const client = connect(port, '127.0.0.1').on('error', () => {});
  clients.push(client);
  let open = true;
  client.resume().once('close', () => {
    open = false;
  });
  await once(client, 'connect');
  return { client, open: () => open };
}

async function serverWith(connections: Connections): Promise<{ port: number; next: () => Promise<Socket> }> {
  const server = createServer((socket) => connections.add(socket.on('error', () => {})));
  await once(server.listen(0, '127.0.0.1'), 'listening');
  server.unref();
  const next = async () => (await once(server, 'connection'))[0] as Socket;
  return { port: (server.address() as AddressInfo).port, next };
}

/** Clients that come one after the other: `add` is one more, `states` tells which still have their connections. */
async function clientsOf(connections: Connections) {
  const { port, next } = await serverWith(connections);
  const open: (() => boolean)[] = [];
  const sockets: Socket[] = [];
  const add = async () => {
    const accepted = next();
    open.push((await dial(port)).open);
    sockets.push(await accepted);
  };
  const states = () => open.map((is) => (is() ? 'open' : 'cut')).join(' ');
  return { add, sockets, states };
}

test('one too many cuts the one that has been idle longest, and a busy one only where none is idle', async () => {
  const connections = trackConnections(3);
  const { add, sockets, states } = await clientsOf(connections);
  const work = (index: number) => {
    const connection = connections.of(sockets[index] as Socket);
    connection?.begin();
    return () => connection?.end();
  };

  for (let i = 0; i < 3; i++) await add();
  const done = work(0);
  work(1)();
  await add();
  await expect.poll(states).toBe('open open cut open');
  work(1);
  work(3);
  await add();
  await expect.poll(states).toBe('open open cut open cut');
  done();
  await add();
  await expect.poll(states).toBe('cut open cut open cut open');
});

test('a connection with several requests in the works is busy until the last of them has ended', async () => {
  const connections = trackConnections(2);
  const { add, sockets, states } = await clientsOf(connections);
  await add();
  const first = connections.of(sockets[0] as Socket);
  first?.begin();
  first?.begin();
  first?.end();
  await add();
  await add();
  await expect.poll(states).toBe('open cut open');
  first?.end();
  connections.of(sockets[2] as Socket)?.begin();
  await add();
  await expect.poll(states).toBe('cut cut open open');
});

test('a connection that is gone is not known', async () => {
  const connections = trackConnections(2);
  const { port, next } = await serverWith(connections);
  const accepted = next();
  const { client } = await dial(port);
  const socket = await accepted;
  socket.resume();
  const closed = once(socket, 'close');
  client.destroy();
  await closed;
  expect(connections.of(socket)).toBeUndefined();
});

test('cut ends all of them', async () => {
  const connections = trackConnections(3);
  const { port, next } = await serverWith(connections);
  const accepted = next();
  const { client } = await dial(port);
  await accepted;
  const closed = once(client, 'close');
  connections.cut();
  await closed;
});

const listener = fileURLToPath(new URL('../../src/runtime/listener.ts', import.meta.url));
const program = `
  import { listen } from ${JSON.stringify(listener)};
  const handler = (_, response) => response.end('here');
  console.log((await listen({ handler, address: '127.0.0.1', port: 0 })).port);
`;

test('a process that may open few files serves on, however many connections there are', async () => {
  const command = ['--import', 'tsx', '--input-type=module', '-e', program];
  const child = spawn('/bin/sh', ['-c', 'ulimit -n 128; exec "$0" "$@"', process.execPath, ...command]);
  try {
    const port = Number((await once(child.stdout, 'data'))[0]);
    for (let i = 0; i < 300; i++) await dial(port);
    const answer = () =>
      new Promise((resolve) =>
        get({ port, host: '127.0.0.1', agent: false }, (response) => resolve(response.resume().statusCode)).on(
          'error',
          (error: NodeJS.ErrnoException) => resolve(error.code),
        ),
      );
    for (let i = 0; i < 20; i++) expect(await answer()).toBe(200);
  } finally {
    child.kill('SIGKILL');
  }
});
