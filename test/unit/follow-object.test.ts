import { afterEach, expect, test, vi } from 'vitest';
import { silentLog } from '../../src/log.ts';
import { type Follower, followObject } from '../../src/runtime/follow-object.ts';
import { KubeError, type KubeResponse, type KubeStreamOptions } from '../../src/runtime/kube-client.ts';

/** A collection with one object at most, of which a test says how it is watched. */
class FakeServer {
  object: { metadata: { name: string; resourceVersion: string } } | undefined;
  lists = 0;
  events: Buffer[] | 'forbidden' | 'silent' = 'silent';
  readonly paths: string[] = [];
  readonly limits: object[] = [];

  put(version: number): void {
    this.object = { metadata: { name: 'tls', resourceVersion: String(version) } };
  }

  get = async (path: string): Promise<KubeResponse> => {
    this.paths.push(path);
    const answer = (status: number, body: object) => ({ status, headers: {}, body: Buffer.from(JSON.stringify(body)) });
    if (!path.includes('?')) {
      return this.object === undefined ? answer(404, { reason: 'NotFound' }) : answer(200, this.object);
    }
    this.lists++;
    const items = this.object === undefined ? null : [this.object];
    return answer(200, { metadata: { resourceVersion: '1' }, items });
  };

  stream = async (path: string, { signal, ...limits }: KubeStreamOptions) => {
    this.paths.push(path);
    this.limits.push(limits);
    const { events } = this;
    if (events === 'forbidden') throw new KubeError('status', 'HTTP 403', 403);
    async function* body() {
      if (events !== 'silent') yield* events as Buffer[];
      await new Promise((_, reject) => {
        signal.addEventListener('abort', () => reject(new KubeError('aborted', 'given up')));
      });
    }
    return { headers: {}, body: body() };
  };
}

let follower: Follower | undefined;
afterEach(() => follower?.stop());

function follow(server: FakeServer): (string | undefined)[] {
  const seen: (string | undefined)[] = [];
  follower = followObject({
    client: server,
    collection: '/api/v1/namespaces/ns/secrets',
    name: 'tls',
    seen: (object) => seen.push((object as FakeServer['object'])?.metadata.resourceVersion),
    log: silentLog,
    random: () => 0.5,
  });
  follower.start();
  return seen;
}

const event = (type: string, version: number, name = 'tls') =>
  Buffer.from(`${JSON.stringify({ type, object: { metadata: { name, resourceVersion: String(version) } } })}\n`);

test('asks for the one object only, so that rights to its name are enough', async () => {
  const server = new FakeServer();
  const seen = follow(server);
  await vi.waitFor(() => expect(server.paths).toHaveLength(2));
  expect(seen).toEqual([undefined]);
  for (const path of server.paths) expect(path).toContain('fieldSelector=metadata.name%3Dtls');
  // One that the server does not end by itself is given up soon.
  expect(server.paths[1]).toContain('&timeoutSeconds=25&');
  expect(server.limits).toEqual([{ connectTimeoutMs: 5_000, lifetimeMs: 25_000, graceMs: 5_000 }]);
});

test('hands over what the watch tells, however it is cut, but nothing older than a read', async () => {
  const server = new FakeServer();
  server.put(5);
  const bytes = Buffer.concat([
    event('MODIFIED', 4),
    event('MODIFIED', 6),
    event('ADDED', 9, 'other'),
    event('DELETED', 7),
  ]);
  server.events = [bytes.subarray(0, 30), bytes.subarray(30, 31), bytes.subarray(31)];
  const seen = follow(server);
  await vi.waitFor(() => expect(seen).toEqual(['5', '6', undefined]));
});

test('without the right to watch, or while watches fail, it reads again within 2 s, and does not spin', async () => {
  const server = new FakeServer();
  server.events = 'forbidden';
  const seen = follow(server);
  await new Promise((resolve) => setTimeout(resolve, 3_000));
  expect(server.lists).toBeLessThan(8);
  server.put(3);
  await vi.waitFor(() => expect(seen).toContain('3'), { timeout: 2_500 });
});

test('a refresh tells what is there now, and that there is nothing', async () => {
  const server = new FakeServer();
  const seen = follow(server);
  await vi.waitFor(() => expect(seen).toHaveLength(1));
  server.put(8);
  await follower?.refresh();
  server.object = undefined;
  await follower?.refresh();
  expect(seen).toEqual([undefined, '8', undefined]);
});
