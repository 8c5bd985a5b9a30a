import { randomBytes, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type RunningContainer, runContainer } from './container.ts';
import { logIn } from './log-in.ts';
import { requestTo } from './request.ts';
import { CLIENT, type Scene, setScene, WORKER } from './scene.ts';

let scene: Scene;
let proxy: RunningContainer;

const bearer = (token: string) => ({ Authorization: `Bearer ${token}` });

async function start(annotations: Readonly<Record<string, string>>): Promise<RunningContainer> {
  const pod = await scene.mutate({
    'oauth2-proxy-sso': 'shop-sso',
    'oauth2-proxy-sso-issuer': scene.people.issuer,
    'oauth2-proxy-sso-redirect-url': 'https://shop.example.com/oauth2/callback',
    'oauth2-proxy-audiences': 'https://shop.example.com, second',
    ...annotations,
  });
  const secret = { 'client-id': CLIENT.id, 'client-secret': CLIENT.secret };
  return runContainer(pod, 'podpass-oauth2-proxy', {
    uid: randomUUID(),
    configMaps: { 'issuer-ca': { 'ca.crt': scene.ca }, staff: { callers: `${WORKER}\nbob@elsewhere.example\n` } },
    secrets: { 'shop-sso': { ...secret, 'cookie-secret': randomBytes(32).toString('base64url') } },
  });
}

beforeAll(async () => {
  scene = await setScene();
  proxy = await start({ 'oauth2-proxy-callers': WORKER, 'oauth2-proxy-sso-email-domains': 'example.com' });
});
afterAll(async () => {
  await proxy?.stop();
  await scene?.stop();
});

test('a browser is sent to where people log in', async () => {
  const { status, headers } = await requestTo(proxy.port, '/orders', { Accept: 'text/html' });
  expect(status).toBe(302);
  const location = new URL(headers.location ?? '');
  expect(location.origin + location.pathname).toBe(`${scene.people.issuer}/authorize`);
  expect(Object.fromEntries(location.searchParams)).toMatchObject({
    client_id: CLIENT.id,
    redirect_uri: 'https://shop.example.com/oauth2/callback',
    response_type: 'code',
  });
  expect(scene.application.requests()).toEqual([]);
});

test('a person of the domain comes in and stays', async () => {
  scene.people.email = 'ann@example.com';
  const { status, location, cookie } = await logIn(proxy.port, scene);
  expect([status, location]).toEqual([302, '/orders']);
  expect((await requestTo(proxy.port, '/orders', { Cookie: cookie })).status).toBe(200);
  expect(scene.application.requests()[0]?.headers).toMatchObject({ 'x-forwarded-email': 'ann@example.com' });
});

test('a person of another domain does not, nor one with another secret', async () => {
  scene.people.email = 'eve@elsewhere.example';
  expect(await logIn(proxy.port, scene)).toMatchObject({ status: 403, cookie: '' });
  scene.people.email = 'ann@example.com';
  const other = await start({ 'oauth2-proxy-callers': WORKER, 'oauth2-proxy-sso-email-domains': 'example.com' });
  const { cookie } = await logIn(other.port, scene);
  await other.stop();
  expect((await requestTo(proxy.port, '/orders', { Cookie: cookie })).status).toBe(302);
  expect(scene.application.requests()).toEqual([]);
});

test('a caller of the list comes in with each audience, and other ServiceAccounts do not', async () => {
  for (const audience of ['https://shop.example.com', 'second'])
    expect((await requestTo(proxy.port, '/', bearer(await scene.mint({ audience })))).status).toBe(200);
  expect(scene.application.requests()).toHaveLength(2);
  const refused = [
    { subject: 'system:serviceaccount:shop:default' },
    { audience: 'third' },
    // For people, and for them alone.
    { audience: CLIENT.id },
    { expirationSeconds: -300 },
    { issuer: scene.people.issuer },
  ];
  for (const claims of refused)
    expect((await requestTo(proxy.port, '/', bearer(await scene.mint(claims)))).status).toBe(403);
  expect(scene.application.requests()).toEqual([]);
});

test('a ConfigMap names people, too', async () => {
  const running = await start({ 'oauth2-proxy-callers-config-map': 'staff' });
  scene.people.email = 'bob@elsewhere.example';
  const { cookie } = await logIn(running.port, scene);
  expect((await requestTo(running.port, '/', { Cookie: cookie })).status).toBe(200);
  expect((await requestTo(running.port, '/', bearer(await scene.mint()))).status).toBe(200);
  scene.people.email = 'ann@example.com';
  expect(await logIn(running.port, scene)).toMatchObject({ status: 403, cookie: '' });
  await running.stop();
  scene.application.requests();
});

test('a ServiceAccount that is called like the end of a domain is no person of it', async () => {
  const running = await start({
    'oauth2-proxy-callers': WORKER,
    'oauth2-proxy-sso-email-domains': '.example.com, *.example.org',
  });
  for (const name of ['a.example.com', 'a.example.org']) {
    const token = await scene.mint({ subject: `system:serviceaccount:shop:${name}` });
    expect((await requestTo(running.port, '/', bearer(token))).status).toBe(403);
  }
  scene.people.email = 'ann@staff.example.com';
  const { cookie } = await logIn(running.port, scene);
  expect((await requestTo(running.port, '/', { Cookie: cookie })).status).toBe(200);
  await running.stop();
  scene.application.requests();
});
