import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import type { RequestListener, ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { createCa } from '../../src/certificate.ts';
import { listen } from '../../src/runtime/listener.ts';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const key = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
const now = Date.now();
const validity = { notBefore: now - 60_000, notAfter: now + 3_600_000 };
const pair = createCa({ key, commonName: 'test', serial: randomBytes(16), ...validity });
const tls = { ...pair, ...validity };

test('a connection that never begins its TLS handshake does not hold up the end', async () => {
  const listener = await listen({ handler: () => {}, address: '127.0.0.1', port: 0, tls });
  const socket = connect(listener.port, '127.0.0.1');
  await once(socket, 'connect');
  const closed = once(
    socket.on('error', () => {}),
    'close',
  );
  const started = performance.now();
  await listener.close(200);
  await closed;
  expect(performance.now() - started).toBeLessThan(5_000);
});

test('a connection that never begins its TLS handshake is cut after 10 s', async () => {
  const listener = await listen({ handler: () => {}, address: '127.0.0.1', port: 0, tls });
  const socket = connect(listener.port, '127.0.0.1');
  await once(socket, 'connect');
  const started = performance.now();
  await once(
    socket.on('error', () => {}),
    'close',
  );
  expect(performance.now() - started).toBeGreaterThan(9_000);
  await listener.close(0);
});

test('answers that wait for those before them are forgotten with their connection', async () => {
  const pending: WeakRef<ServerResponse>[] = [];
  // Longer than the connection lives; a handler that answers does not hold on to it.
  const handler: RequestListener = (_, response) => void pending.push(new WeakRef(response));
  const listener = await listen({ handler, address: '127.0.0.1', port: 0 });
  const socket = connect(listener.port, '127.0.0.1');
  await once(socket, 'connect');
  socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(20));
  await expect.poll(() => pending.length).toBe(20);
  socket.destroy();
  const alive = () => {
    collectGarbage();
    return pending.filter((each) => each.deref() !== undefined).length;
  };
  await expect.poll(alive, { timeout: 10_000 }).toBe(0);
  await listener.close(0);
});

test('an answer that nobody reads is dropped after 10 s', async () => {
  const answered = new EventEmitter<{ answer: [ServerResponse] }>();
  const handler: RequestListener = (_, response) =>
    answered.emit('answer', response.end(Buffer.alloc(64 * 1024 * 1024)));
  const listener = await listen({ handler, address: '127.0.0.1', port: 0 });
  const socket = connect(listener.port, '127.0.0.1').on('error', () => {});
  socket.pause().write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
  const [response] = await once(answered, 'answer');
  const started = performance.now();
  await once(response, 'close');
  expect(performance.now() - started).toBeGreaterThan(9_000);
  socket.destroy();
  await listener.close(0);
});
