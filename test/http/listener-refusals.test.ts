import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { silentLog } from '../../src/log.ts';
import { type Listener, listen } from '../../src/runtime/listener.ts';
import { createWebhookApp } from '../../webhook/app.ts';
import { createBodyReader } from '../../webhook/body.ts';

let listener: Listener;

beforeAll(async () => {
  const review = async () => ({ answer: '{}', uid: '', namespace: '', result: 'unchanged' as const, reason: '' });
  const handler = createWebhookApp({
    review,
    onAdmission() {},
    log: silentLog,
    bodies: createBodyReader(4_000, 7_100),
  });
  listener = await listen({ handler, address: '127.0.0.1', port: 0 });
});

afterAll(() => listener.close(0));

async function open(text: string): Promise<{ socket: Socket; received: () => string }> {
  // As a client that never closes its own half.
  const socket = connect({ port: listener.port, host: '127.0.0.1', allowHalfOpen: true });
  let received = '';
  socket.on('data', (chunk) => {
    received += chunk;
  });
  socket.on('error', () => {});
  await once(socket, 'connect');
  socket.write(text);
  return { socket, received: () => received };
}

const post = (length: number, type = 'application/json') =>
  `POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: ${type}\r\nContent-Length: ${length}\r\n\r\n`;

test('what is no HTTP is answered, and its connection ended', async () => {
  const { socket, received } = await open('nonsense\r\n\r\n');
  await once(socket, 'end');
  expect(received()).toMatch(/^HTTP\/1\.1 400 [\s\S]*\{"error":\{"code":"bad_request"/);
  socket.destroy();
});

test('a refused request gets its own answer without having sent its whole body', async () => {
  const started = performance.now();
  const { socket, received } = await open(post(1_000, 'text/plain'));
  await once(socket, 'data');
  expect(received()).toMatch(/^HTTP\/1\.1 415 /);
  expect(performance.now() - started).toBeLessThan(5_000);
  socket.destroy();
});

test('a refused request that is still being sent is the last one on its connection', async () => {
  const { socket, received } = await open(post(1_000_000, 'text/plain'));
  const more = setInterval(() => socket.write('x'.repeat(1_000)), 50);
  const started = performance.now();
  await once(socket, 'end');
  clearInterval(more);
  expect(received()).toMatch(/^HTTP\/1\.1 415 [\s\S]*\r\nConnection: close\r\n/);
  expect(performance.now() - started).toBeLessThan(5_000);
  socket.destroy();
});

test('bodies that are sent slowly make room for others, and are told to come again', async () => {
  const review = JSON.stringify({ apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', request: { uid: 'u' } });
  const send = async () => {
    const { socket, received } = await open(post(review.length) + review);
    await once(socket, 'data');
    socket.destroy();
    return received().split('\r\n')[0];
  };
  const slow = await Promise.all([1, 2].map(() => open(`${post(3_500)}${' '.repeat(2_990)}`)));
  expect(await send()).toBe('HTTP/1.1 429 Too Many Requests');
  // Less than the 15 s that a request may take.
  await expect.poll(send, { timeout: 5_000 }).toBe('HTTP/1.1 200 OK');
  await expect
    .poll(() => slow.filter(({ received }) => /^HTTP\/1\.1 429 [\s\S]*Retry-After: 1\r\n/.test(received())).length)
    .toBeGreaterThan(0);
  for (const { socket } of slow) socket.destroy();
});

test('a body in many small pieces is held to take what the pieces do', async () => {
  const head =
    'POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n';
  const { socket, received } = await open(head + '1\r\n \r\n'.repeat(20));
  await once(socket, 'data');
  expect(received()).toMatch(/^HTTP\/1\.1 429 /);
  socket.destroy();
  const again = await open(`${head}${'1\r\n \r\n'.repeat(5)}0\r\n\r\n`);
  await once(again.socket, 'data');
  expect(again.received()).toMatch(/^HTTP\/1\.1 200 /);
  again.socket.destroy();
});

test('a body that never ends is answered 408 when its time is over', async () => {
  const { socket, received } = await open(`${post(100)}{`);
  await once(socket, 'end');
  expect(received()).toMatch(/^HTTP\/1\.1 408 /);
  socket.destroy();
});
