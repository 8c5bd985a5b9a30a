import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createDevelopmentIssuer, type DevelopmentIssuer } from '../../src/cli/demo/development-issuer.ts';
import { type PodObject, type RunningContainer, runContainer, type Surroundings } from './container.ts';
import { logIn } from './log-in.ts';
import { type Reply, requestTo } from './request.ts';
import { AUDIENCE, CLIENT, type Scene, setScene, WORKER } from './scene.ts';

const PROXY = 'podpass-oauth2-proxy';
const OTHER = 'system:serviceaccount:shop:default';

let scene: Scene;
let stranger: DevelopmentIssuer;
let proxy: RunningContainer;

const surroundings = (more: Partial<Surroundings> = {}): Surroundings => ({
  uid: randomUUID(),
  configMaps: { 'issuer-ca': { 'ca.crt': scene.ca }, callers: { callers: `# who may\n${WORKER}\n` } },
  ...more,
});
const run = (pod: PodObject, more: Partial<Surroundings> = {}) => runContainer(pod, PROXY, surroundings(more));

async function withProxy(
  annotations: Readonly<Record<string, string>>,
  look: (running: RunningContainer, pod: PodObject) => Promise<void>,
): Promise<void> {
  const pod = await scene.mutate(annotations);
  const running = await run(pod);
  try {
    await look(running, pod);
  } finally {
    await running.stop();
  }
}

beforeAll(async () => {
  scene = await setScene();
  stranger = await createDevelopmentIssuer();
  proxy = await run(
    await scene.mutate({
      'oauth2-proxy-audiences': `${AUDIENCE}, second`,
      'oauth2-proxy-callers': `${WORKER}, system:serviceaccount:shop:cron`,
      'oauth2-proxy-skip-paths': '/healthz',
    }),
  );
});
afterAll(async () => {
  await proxy?.stop();
  await scene?.stop();
});

const bearer = (token: string) => ({ Authorization: `Bearer ${token}` });
const get = (path: string, headers?: Record<string, string>, method?: string): Promise<Reply> =>
  requestTo(proxy.port, path, headers, method);

describe('a caller of the list', () => {
  test('comes in, with each of the audiences', async () => {
    for (const audience of [AUDIENCE, 'second']) {
      const reply = await get('/orders?id=1', bearer(await scene.mint({ audience })));
      expect([reply.status, reply.body]).toEqual([200, 'the application']);
    }
    const paths = scene.application.requests().map(({ path }) => path);
    expect(paths).toEqual(['/orders?id=1', '/orders?id=1']);
  });

  test('is known to the application by its subject, whatever it says itself', async () => {
    const lies = { 'X-Forwarded-User': 'root', 'X-Forwarded-Email': 'root@example.com' };
    await get('/', { ...bearer(await scene.mint()), ...lies });
    const [seen] = scene.application.requests();
    expect(seen?.headers).toMatchObject({ 'x-forwarded-user': WORKER, 'x-forwarded-email': WORKER });
  });

  test('may send the token as the password of Basic', async () => {
    const basic = Buffer.from(`any:${await scene.mint()}`).toString('base64');
    expect((await get('/', { Authorization: `Basic ${basic}` })).status).toBe(200);
    expect(scene.application.requests()).toHaveLength(1);
  });

  test('is answered 202 for a gateway that asks', async () => {
    const { status, headers } = await get('/oauth2/auth', bearer(await scene.mint()));
    expect([status, headers['gap-auth']]).toEqual([202, WORKER]);
  });
});

describe('nobody else comes in', () => {
  const refused: readonly (readonly [string, () => Promise<Record<string, string>>, number, number])[] = [
    ['another ServiceAccount', async () => bearer(await scene.mint({ subject: OTHER })), 403, 401],
    [
      'another one with the name of a caller in it',
      async () => bearer(await scene.mint({ subject: `${WORKER}2` })),
      403,
      401,
    ],
    ['a token for another audience', async () => bearer(await scene.mint({ audience: 'third' })), 403, 403],
    ['a token that has expired', async () => bearer(await scene.mint({ expirationSeconds: -300 })), 403, 403],
    [
      'a token of another issuer',
      async () => bearer(await scene.mint({ issuer: 'https://other.example.com' })),
      403,
      403,
    ],
    ["a token with somebody else's signature", async () => bearer(await scene.mint({ signedBy: stranger })), 403, 403],
    ['no token', async () => ({}), 403, 401],
    ['an opaque token', async () => bearer('c2VjcmV0'), 403, 403],
    ['a password', async () => ({ Authorization: `Basic ${Buffer.from('a:b').toString('base64')}` }), 403, 403],
    ['the scheme in lower case', async () => ({ Authorization: `bearer ${await scene.mint()}` }), 403, 403],
  ];
  test.each(refused)('%s', async (_, headers, status, asked) => {
    const sent = await headers();
    expect((await get('/orders', sent)).status).toBe(status);
    expect((await get('/oauth2/auth', sent)).status).toBe(asked);
    expect(scene.application.requests()).toEqual([]);
  });
});

describe('a path without authentication', () => {
  test('is open for GET alone', async () => {
    expect((await get('/healthz')).status).toBe(200);
    expect((await get('/healthz?verbose')).status).toBe(200);
    for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS', 'HEAD'])
      expect([method, (await get('/healthz', {}, method)).status]).toEqual([method, 403]);
    expect(scene.application.requests().map(({ method, path }) => `${method} ${path}`)).toEqual([
      'GET /healthz',
      'GET /healthz?verbose',
    ]);
  });

  const ways = [
    ...['/healthzz', '/healthz/', '/healthz/orders', '/orders/healthz', '/orders?/healthz', '/orders?x=/healthz'],
    ...[
      '/healthz/../orders',
      '/healthz/%2e%2e/orders',
      '/healthz%2f..%2forders',
      '//orders/healthz',
      '/orders#/healthz',
    ],
    ...[
      '/orders%23/healthz',
      '/orders;/healthz',
      '/healthz%00',
      '/healthz%0a',
      '/healthz\\..\\orders',
      '/%2fhealthz/orders',
    ],
    ...['/healthz%3f/orders', 'http://x/healthz/../orders', '///orders/healthz', '/orders/..%2fhealthz'],
  ];
  test.each(ways)('lets nothing else through: %s', async (path) => {
    for (const headers of [{}, { 'X-Forwarded-Uri': '/healthz', 'X-Original-Uri': '/healthz' }]) {
      const { status } = await get(path, headers);
      expect(status).not.toBe(200);
    }
    // What it may reach is the open path alone.
    for (const request of scene.application.requests()) expect(request.path.split('?')[0]).toBe('/healthz');
  });
});

/** What docs/oauth2-proxy.md warns of: the day that one of these fails, a sentence there may go. */
describe('what oauth2-proxy leaves to the application', () => {
  test('upgrades, on a path without authentication and on no other', async () => {
    for (const protocol of ['h2c', 'websocket']) {
      const upgrade = { Connection: 'Upgrade', Upgrade: protocol };
      await get('/healthz', upgrade);
      expect(scene.application.requests().map(({ headers }) => headers.upgrade)).toEqual([protocol]);
      expect((await get('/orders', upgrade)).status).toBe(403);
      expect(scene.application.requests()).toEqual([]);
    }
  });

  test('the target of a request as it is written', async () => {
    expect((await get('https:///healthz')).status).toBe(200);
    const [seen] = scene.application.requests();
    expect(seen?.path).toBe('https:///healthz');
    expect(new URL(seen?.path ?? '', 'http://localhost').pathname).toBe('/');
  });

  test('a request of a caller who has the headers about it taken out', async () => {
    const { status } = await get('/', { ...bearer(await scene.mint()), Connection: 'close, X-Forwarded-User' });
    const [seen] = scene.application.requests();
    expect([status, seen?.headers['x-forwarded-user']]).toEqual([200, undefined]);
    expect(seen?.headers['x-forwarded-email']).toBe(WORKER);
  });
});

describe('there are no sessions', () => {
  /**
   * A cookie that whoever knows the secret can make: oauth2-proxy itself makes it, as one for people with the same
   * secret, for a person whose e-mail address is the name of a caller.
   */
  async function forge(pod: PodObject, uid: string): Promise<string> {
    const [, secret = ''] = proxyArgs(pod)
      .map((arg) => /^--cookie-secret=(.*)$/.exec(arg))
      .find((match) => match !== null) as RegExpExecArray;
    const cookieSecret = secret.replace('$(POD_ID)', uid);
    const forger = await scene.mutate({
      'oauth2-proxy-callers-config-map': 'callers',
      'oauth2-proxy-sso': 'sso',
      'oauth2-proxy-sso-issuer': scene.people.issuer,
      'oauth2-proxy-sso-redirect-url': 'https://shop.example.com/oauth2/callback',
    });
    const running = await run(forger, {
      secrets: { sso: { 'client-id': CLIENT.id, 'client-secret': CLIENT.secret, 'cookie-secret': cookieSecret } },
    });
    try {
      scene.people.email = WORKER;
      const { cookie } = await logIn(running.port, scene);
      return cookie;
    } finally {
      await running.stop();
    }
  }

  const proxyArgs = (pod: PodObject) => pod.spec.initContainers?.find(({ name }) => name === PROXY)?.args ?? [];

  test('a cookie that is made with the very secret is refused, which is what the flags are for', async () => {
    const pod = await scene.mutate({ 'oauth2-proxy-callers': WORKER });
    const uid = randomUUID();
    const cookie = await forge(pod, uid);
    const tried: Record<string, number> = {};
    const withoutFlags = (args: readonly string[]) => args.filter((arg) => !/^--cookie-(expire|refresh)=/.test(arg));
    for (const [name, changeArgs] of [
      ['as podpass writes it', undefined],
      ['without the flags', withoutFlags],
    ] as const) {
      const running = await run(pod, { uid, ...(changeArgs === undefined ? {} : { changeArgs }) });
      tried[name] = (await requestTo(running.port, '/orders', { Cookie: cookie })).status;
      await running.stop();
    }
    expect(tried).toEqual({ 'as podpass writes it': 403, 'without the flags': 200 });
    expect(scene.application.requests()).toHaveLength(1);
  });

  test('nobody can log in', async () => {
    const start = await get('/oauth2/start?rd=/orders');
    expect(start.headers.location ?? '').not.toMatch(/^https?:/);
    const csrf = (start.headers['set-cookie'] ?? []).map((each) => each.split(';')[0]).join('; ');
    const state = new URLSearchParams((start.headers.location ?? '').replace(/^[^?]*\?/, '')).get('state') ?? '';
    const back = await get(`/oauth2/callback?${new URLSearchParams({ code: 'x', state })}`, { Cookie: csrf });
    expect(back.status).toBeGreaterThanOrEqual(400);
    expect((back.headers['set-cookie'] ?? []).filter((each) => /^_oauth2_proxy=[^;]/.test(each))).toEqual([]);
  });
});

describe('callers change', () => {
  const change = async (running: RunningContainer) => {
    const other = bearer(await scene.mint({ subject: OTHER }));
    expect((await requestTo(running.port, '/', other)).status).toBe(403);
    running.replaceFile('podpass-oauth2-proxy-callers', 'callers', `${OTHER}\n`);
    await expect.poll(async () => (await requestTo(running.port, '/', other)).status, { timeout: 10_000 }).toBe(200);
    expect((await requestTo(running.port, '/', bearer(await scene.mint()))).status).toBe(403);
    scene.application.requests();
  };

  test('in the annotation that podpass wrote', () => withProxy({ 'oauth2-proxy-callers': WORKER }, change));

  test('in a ConfigMap', () => withProxy({ 'oauth2-proxy-callers-config-map': 'callers' }, change));
});

test('every ServiceAccount of the issuer comes in where that is written, and nobody else', () =>
  withProxy({ 'oauth2-proxy-callers': '*' }, async ({ port }) => {
    for (const subject of [WORKER, OTHER])
      expect((await requestTo(port, '/', bearer(await scene.mint({ subject })))).status).toBe(200);
    expect((await requestTo(port, '/', bearer(await scene.mint({ signedBy: stranger })))).status).toBe(403);
    expect((await requestTo(port, '/')).status).toBe(403);
    expect(scene.application.requests()).toHaveLength(2);
  }));

test('a name that is taken over leads to the same container', () =>
  withProxy({ 'oauth2-proxy': 'http', 'oauth2-proxy-callers': WORKER }, async (running, pod) => {
    const container = pod.spec.initContainers?.find(({ name }) => name === PROXY);
    expect(container?.ports).toEqual([{ name: 'http', containerPort: running.port, protocol: 'TCP' }]);
    expect((await requestTo(running.port, '/', bearer(await scene.mint()))).status).toBe(200);
    expect(scene.application.requests()).toHaveLength(1);
  }));

test('it does not start without the issuer, and says why', async () => {
  const pod = await scene.mutate({ 'oauth2-proxy-callers': WORKER });
  const noCa = { configMaps: { 'issuer-ca': { 'ca.crt': stranger.ca.cert } } };
  await expect(run(pod, noCa)).rejects.toThrow(/exit code 1[\s\S]*certificate/);
});
